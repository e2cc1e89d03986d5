"""Files whole or not at all; folders of unfinished work."""

import subprocess
import sys
from pathlib import Path

import pytest

from ratecast.errors import ModelFolderError, OutputError
from ratecast.files import MARKER, check_working_folder, read_state, replace_file, working_folder, write_state


def fail_in(folder: Path, *, write: bool) -> None:
    with working_folder(folder, resume=False):
        if write:
            (folder / "checkpoint").write_text("half")
        raise RuntimeError


def test_a_file_takes_the_place_of_another(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("old")
    (tmp_path / "new").write_text("new")
    replace_file(tmp_path / "new", tmp_path / "old")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("old", "new")]


def test_what_a_run_leaves_for_another(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    assert read_state(path) is None
    write_state(path, {"reviews": 3})
    assert read_state(path) == {"reviews": 3}
    path.write_text("")
    with pytest.raises(ModelFolderError, match=r"state.json is damaged .*; run without --resume"):
        read_state(path)


def test_finished_work_leaves_no_folder(tmp_path: Path) -> None:
    with working_folder(tmp_path / "work", resume=False):
        (tmp_path / "work" / "checkpoint").write_text("half")
    assert not list(tmp_path.iterdir())


def test_an_error_leaves_what_can_be_gone_on_with(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        fail_in(tmp_path / "work", write=True)
    with working_folder(tmp_path / "work", resume=True):
        assert (tmp_path / "work" / "checkpoint").read_text() == "half"


def test_an_error_before_anything_is_written_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        fail_in(tmp_path / "work", write=False)
    assert not list(tmp_path.iterdir())


def test_without_resuming_the_folder_begins_empty(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        fail_in(tmp_path / "work", write=True)
    (tmp_path / "work" / "network-1").mkdir()
    with working_folder(tmp_path / "work", resume=False):
        assert [path.name for path in (tmp_path / "work").iterdir()] == [MARKER]


@pytest.mark.parametrize("resume", [True, False])
def test_a_folder_of_somebody_else_is_never_touched(tmp_path: Path, resume: bool) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputError, match="is not from ratecast"), working_folder(tmp_path, resume=resume):
        pass
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "work").symlink_to(tmp_path / "there")
    with pytest.raises(OutputError, match="is not from ratecast"):
        check_working_folder(tmp_path / "work")


WORK = """
import sys
from pathlib import Path
from ratecast.files import working_folder

with working_folder(Path(sys.argv[1]), resume=False):
    pass
"""


def work_elsewhere(folder: Path) -> subprocess.CompletedProcess[str]:
    """Another process that works in the folder."""
    return subprocess.run([sys.executable, "-c", WORK, str(folder)], capture_output=True, text=True, check=False)


def test_two_processes_do_not_work_in_one_folder(tmp_path: Path) -> None:
    with working_folder(tmp_path / "work", resume=False):
        other = work_elsewhere(tmp_path / "work")
        assert "another run works in" in other.stderr
        assert (tmp_path / "work" / MARKER).is_file()
    other = work_elsewhere(tmp_path / "work")
    assert other.returncode == 0, other.stderr
