import importlib
import subprocess
import sys
import types

import pytest

import ratecast


def test_every_exported_name_is_there_and_is_what_its_module_defines() -> None:
    for name in ratecast.__all__:
        value = getattr(ratecast, name)
        assert not isinstance(value, types.ModuleType), name
        if name != "__version__":
            assert value is getattr(importlib.import_module(value.__module__), name)


def test_exports_are_complete() -> None:
    assert set(ratecast.__all__) == {*ratecast._HOMES, "__version__"}
    assert set(ratecast.__all__) <= set(dir(ratecast))
    public = {name for name in vars(ratecast) if not name.startswith("_")}
    modules = {name for name in public if isinstance(getattr(ratecast, name), types.ModuleType)}
    assert public - modules - {"TYPE_CHECKING", "Any"} <= set(ratecast.__all__)


def test_fit_is_the_function_however_the_package_was_imported() -> None:
    code = (
        "import ratecast.fitting, ratecast.cli.fit, ratecast; print(type(ratecast.fit).__name__, type(ratecast.load).__name__)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["function", "function"]


def test_unknown_name() -> None:
    with pytest.raises(AttributeError, match="module 'ratecast' has no attribute 'finetune'"):
        _ = ratecast.finetune


def test_every_subpackage_exports_what_it_lists() -> None:
    for name in ("data", "text", "evaluate", "model", "train", "baseline", "combine", "tuning"):
        module = importlib.import_module(f"ratecast.{name}")
        for exported in getattr(module, "__all__", []):
            assert hasattr(module, exported), f"ratecast.{name}.{exported}"
