"""The tutorial runs from its first cell to its last."""

from pathlib import Path
from typing import Any

import pytest

TUTORIAL = Path(__file__).parent.parent / "docs/tutorial.ipynb"


def notebook() -> Any:
    import nbformat

    return nbformat.read(TUTORIAL, as_version=4)  # type: ignore[no-untyped-call] # nbformat does not annotate it


def test_it_needs_nothing_but_its_folder() -> None:
    code = "\n".join(cell.source for cell in notebook().cells if cell.cell_type == "code")
    assert 'find_spec("ratecast") is None' in code
    assert "/work" not in code
    assert "/home" not in code


def test_its_outputs_are_those_of_one_whole_run() -> None:
    cells = [cell for cell in notebook().cells if cell.cell_type == "code"]
    counts = [cell.execution_count for cell in cells]
    assert counts in ([None] * len(cells), list(range(1, len(cells) + 1)))  # none, or of all cells from top to bottom
    assert not [output for cell in cells for output in cell.outputs if output.output_type == "error"]
    assert TUTORIAL.stat().st_size < 1_000_000


@pytest.mark.slow
def test_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nbclient import NotebookClient

    monkeypatch.setenv("RATECAST_TUTORIAL_BUDGET", "6s")
    monkeypatch.setenv("RATECAST_TUTORIAL_QUICK_BUDGET", "4s")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    found = notebook()
    NotebookClient(found, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    last = [cell for cell in found.cells if cell.cell_type == "code"][-1].outputs[-1]
    assert "It starts well" in last["data"]["text/plain"]  # the review that was told of
    assert (tmp_path / "ratecast-tutorial/scored.csv").is_file()
