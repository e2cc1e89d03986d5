"""What the service answers to requests that schemathesis makes of its description, right ones and wrong ones."""

import subprocess
import sys
from pathlib import Path

import pytest

from ratecast.serve.keys import SCOPES, add_key
from served import serving

EXAMPLES = 5
"""Requests of each kind to each route."""
SETTINGS = """
[checks.not_a_server_error]  # these say what they mean, and are described
expected-statuses = ["2xx", "4xx", 501, 503, 504]

[phases.stateful]
generation.max-examples = 60

[[operations]]  # a description cannot say that a tensor's shape is that of its data
include-path-regex = "^/v2/.*/infer$"
checks.positive_data_acceptance.enabled = false
"""


@pytest.mark.slow
def test_every_answer_is_described_and_none_is_an_error_of_the_service(linear_model: Path, tmp_path: Path) -> None:
    key = add_key(tmp_path / "keys.toml", "schemathesis", SCOPES)
    (tmp_path / "schemathesis.toml").write_text(SETTINGS, encoding="utf-8")
    program = [str(Path(sys.executable).parent / "schemathesis"), "--no-color", "run"]
    program += ["--generation-deterministic", "--max-examples", str(EXAMPLES), "--header", f"Authorization: Bearer {key}"]
    with serving(linear_model, "--keys", tmp_path / "keys.toml", "--store", tmp_path) as running:
        command = [*program, f"{running.url}/openapi.json"]
        found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert found.returncode == 0, found.stdout + found.stderr
        for path in ("/v1/predict", "/v1/feedback", "/v1/models", "/metrics"):
            assert [entry for entry in running.log if (entry.get("path"), entry.get("status")) == (path, 200)], path
        assert not [entry for entry in running.log if entry["level"] == "error"]
