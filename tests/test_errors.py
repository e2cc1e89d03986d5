import inspect
from pathlib import Path

import pytest

from ratecast import errors
from ratecast.errors import MissingExtraError, RatecastError, require


def test_every_error_is_a_ratecast_error_and_stands_in_the_drawn_tree() -> None:
    kinds = {kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, Exception)}
    assert len(kinds) == 13
    assert all(issubclass(kind, RatecastError) for kind in kinds)
    assert all(kind.__name__ in (errors.__doc__ or "") for kind in kinds)


def test_require_gives_the_module() -> None:
    assert require("json.decoder", "train", "fitting").__name__ == "json.decoder"


def test_require_names_the_extra_that_is_missing() -> None:
    with pytest.raises(
        MissingExtraError, match=r"^fitting needs the package 'no_such_package'.*pip install 'ratecast\[train\]'$"
    ):
        require("no_such_package.part", "train", "fitting")


def test_require_does_not_hide_a_fault_inside_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_package.py").write_text("import no_such_dependency\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ModuleNotFoundError, match="no_such_dependency"):
        require("broken_package", "train", "fitting")
