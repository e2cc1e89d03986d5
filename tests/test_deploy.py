"""The files to run the service with: they start what exists, and name what it shows."""

import configparser
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from ratecast.cli import create_app
from ratecast.config import ServeConfig
from ratecast.errors import ConfigError
from ratecast.serve.gate import OPEN_PATHS

ROOT = Path(__file__).parent.parent
OWN = {"host", "port", "keys", "store", "leave_seconds"}


def objects() -> dict[str, dict[str, Any]]:
    """The manifest's objects by kind."""
    return {part["kind"]: part for part in yaml.safe_load_all((ROOT / "deploy/kubernetes.yaml").read_text(encoding="utf-8"))}


def understood(words: list[str]) -> dict[str, Any]:
    """The settings of a command, which is parsed and not run."""
    _, bound, _ = create_app().parse_args(words, print_error=False, exit_on_error=False)
    settings = {name: value for name, value in bound.kwargs.items() if name in OWN}
    return ServeConfig().with_values(**settings).to_mapping()


def test_the_unit_serves_this_machine_alone_with_a_store() -> None:
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign] # as systemd, which tells capitals apart
    unit.read(ROOT / "deploy/ratecast.service", encoding="utf-8")
    program, *words = shlex.split(unit["Service"]["ExecStart"])
    assert Path(program).name == "ratecast"
    settings = understood(words)
    assert settings["listen"]["keys"] is None
    assert settings["store"] is not None
    assert unit["Service"]["ExecReload"].split()[1:] == ["-HUP", "$MAINPID"]
    assert float(unit["Service"]["TimeoutStopSec"]) > settings["listen"]["leave_seconds"] + settings["listen"]["drain_seconds"]


def test_the_deployment_asks_for_what_is_answered() -> None:
    pod = objects()["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    settings = understood(container["args"])
    assert settings["listen"]["keys"] is not None
    assert container["ports"][0]["containerPort"] == settings["listen"]["port"]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["path"] in OPEN_PATHS, "without a key"
    assert pod["terminationGracePeriodSeconds"] > settings["listen"]["leave_seconds"] + settings["listen"]["drain_seconds"]


def test_the_deployment_starts_beside_a_service_of_its_name() -> None:
    from ratecast.cli.serve import from_environment

    pod = objects()["Deployment"]["spec"]["template"]["spec"]
    assert pod["enableServiceLinks"] is False
    assert objects()["Service"]["metadata"]["name"] == "ratecast"
    with pytest.raises(ConfigError):
        from_environment({"RATECAST_PORT": "tcp://10.0.0.1:80"})  # as Kubernetes would set it


def test_what_the_deployment_writes_has_a_place() -> None:
    pod = objects()["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    (temporary,) = (mount["name"] for mount in container["volumeMounts"] if mount["mountPath"] == "/tmp")
    assert any("emptyDir" in volume for volume in pod["volumes"] if volume["name"] == temporary)
    assert [variable["name"] for variable in container["env"]] == ["RATECAST_STORE"]


def test_the_autoscaler_counts_what_the_service_shows() -> None:
    from ratecast.config import BatchingConfig, LimitsConfig
    from ratecast.serve.batching import Batcher
    from ratecast.serve.metrics import Metrics

    metrics, batcher = Metrics(), Batcher(BatchingConfig(), LimitsConfig())
    metrics.watch(batcher)
    (metric,) = objects()["HorizontalPodAutoscaler"]["spec"]["metrics"]
    assert f"\n{metric['pods']['metric']['name']} " in metrics.text().decode()
    batcher.close()
