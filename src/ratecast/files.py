"""Files that are there whole or not at all, and folders of work that is not finished.

A file is written beside its place, brought to the disk and renamed, so that neither a full disk nor a killed process nor a
power cut leaves half of it. A folder of unfinished work carries a marker, so that nothing else that lies there is ever deleted,
and is locked while a process works in it.
"""

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

from ratecast.errors import ModelFolderError, OutputError

MARKER: Final = "unfinished-work-of-ratecast"
"""File that says of a folder that ratecast made it for work that is not finished, and may delete it."""


def replace_file(partial: Path, path: Path) -> None:
    """Bring a file to the disk, then give it the place of another one."""
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(partial, path)


def write_state(path: Path, value: Any) -> None:
    """Leave a value that JSON can hold for a run that goes on."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(value), encoding="utf-8")
    replace_file(partial, path)


def read_state(path: Path) -> Any:
    """What `write_state` left; None if there is nothing.

    Raises:
        ModelFolderError: if it is damaged.
    """
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelFolderError(f"{path} is damaged ({error}); run without --resume") from None


@contextmanager
def explained_full_disk(target: Path) -> Iterator[None]:
    """Turns what a full disk makes of a program into an `OutputError` that names ``target``."""
    try:
        yield
    except Exception as error:
        if is_full_disk(error):
            raise OutputError(f"the disk is full: cannot write {target}; free some space and run again") from None
        raise


def is_full_disk(error: Exception) -> bool:
    """Whether an error says that the disk is full; of libraries in Rust (safetensors, tokenizers) only the text does."""
    return (isinstance(error, OSError) and error.errno == errno.ENOSPC) or f"(os error {errno.ENOSPC})" in str(error)


@contextmanager
def explained_write(target: Path) -> Iterator[None]:
    """Turns the operating system's refusal to write into an `OutputError` that names ``target``."""
    try:
        with explained_full_disk(target):
            yield
    except OSError as error:
        if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.EDQUOT, errno.EBUSY}:
            raise OutputError(f"cannot write {target}: {error.strerror}; choose another place or change its rights") from None
        raise


@contextmanager
def working_folder(folder: Path, *, resume: bool) -> Iterator[None]:
    """A folder for work that is not finished, which vanishes when the context ends without an error.

    After an error it stays if there is something in it to go on from.

    Args:
        folder: where it lies.
        resume: whether what lies in it already is gone on with; otherwise it is deleted.

    Raises:
        OutputError: if the folder holds something else, cannot be written, or another process works in it.
    """
    check_working_folder(folder)
    with explained_write(folder):
        folder.mkdir(parents=True, exist_ok=True)
        marker = (folder / MARKER).open("ab")
    with marker:
        _lock(marker, folder)
        if not resume:
            _clear(folder)
        try:
            with explained_full_disk(folder):
                yield
        except BaseException:
            if _is_bare(folder):
                shutil.rmtree(folder, ignore_errors=True)
            raise
        shutil.rmtree(folder, ignore_errors=True)


def check_working_folder(folder: Path) -> None:
    """Find out before long work whether a place can be used by `working_folder`.

    Raises:
        OutputError: if there is something that ratecast did not make for unfinished work.
    """
    if folder.is_symlink() or (folder.exists() and not (folder / MARKER).is_file() and not _is_empty(folder)):
        raise OutputError(
            f"{folder} is not from ratecast, which would keep unfinished work there and delete it in the end; "
            "move it away, or give the model another name"
        )


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())


def _is_bare(folder: Path) -> bool:
    """Whether a working folder holds nothing to go on from."""
    return not any(path.is_file() and path.name != MARKER for path in folder.rglob("*"))


def _clear(folder: Path) -> None:
    for path in folder.iterdir():
        if path.name == MARKER:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _lock(marker: IO[Any], folder: Path) -> None:
    """Keep other processes out until the file is closed, which a killed process's files are too."""
    try:
        import fcntl
    except ImportError:  # not on Windows, where two runs to one folder are left to the user
        return
    try:
        fcntl.flock(marker, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise OutputError(f"another run works in {folder}; wait for its end, or give the model another name") from None
    except OSError as error:
        if error.errno not in {errno.ENOLCK, errno.ENOTSUP, errno.EINVAL}:  # a file system without locks
            raise
