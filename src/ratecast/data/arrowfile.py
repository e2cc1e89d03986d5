"""Parquet and Arrow IPC files."""

import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from arro3.core import RecordBatchReader, Table

from ratecast.data.table import TableRead, plain_table
from ratecast.data.textfile import unreadable
from ratecast.errors import DataError

_PARQUET: Final = b"PAR1"
_ARROW: Final = b"ARROW1"
_STREAM: Final = b"\xff\xff\xff\xff"
_BATCH_ROWS: Final = 65_536  # the default of 1,024 is half as fast

_stderr_lock = threading.Lock()


def read_parquet(path: Path) -> TableRead:
    """Read a Parquet file.

    Raises:
        DataError: if it cannot be read, or is damaged.
    """
    with _faults(path, "Parquet"):
        _check_parquet(path)
        table = _open_parquet(path).read_all()
        return TableRead(table=plain_table(table), source=str(path))


def stream_parquet(path: Path) -> Iterator[TableRead]:
    """The pieces of a Parquet file, as `read_parquet` reads it."""
    with _faults(path, "Parquet"):
        _check_parquet(path)
        yield from _pieces(_open_parquet(path), path)


def read_arrow(path: Path) -> TableRead:
    """Read an Arrow IPC file (also called Feather, version 2) or stream.

    Raises:
        DataError: if it cannot be read, or is damaged.
    """
    with _faults(path, "Arrow"):
        return TableRead(table=plain_table(_open_arrow(path).read_all()), source=str(path))


def stream_arrow(path: Path) -> Iterator[TableRead]:
    """The pieces of an Arrow IPC file or stream, as `read_arrow` reads it."""
    with _faults(path, "Arrow"):
        yield from _pieces(_open_arrow(path), path)


def _pieces(reader: RecordBatchReader, path: Path) -> Iterator[TableRead]:
    for batch in reader:
        yield TableRead(table=plain_table(Table.from_batches([batch])), source=str(path))


def _open_arrow(path: Path) -> RecordBatchReader:
    from arro3.io import read_ipc, read_ipc_stream

    with path.open("rb") as file:
        head = file.read(len(_ARROW))
    if head == _ARROW:
        return read_ipc(path)
    if head.startswith(_STREAM):  # checked here: of anything else, the first four bytes are taken as a size and allocated
        return read_ipc_stream(path)
    raise DataError(f"{path} is damaged or no Arrow file; write or download it again")


@contextmanager
def _faults(path: Path, kind: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise unreadable(path, error) from error
    except DataError:
        raise
    except BaseException as error:
        # arro3 raises bare `Exception`s for damaged files, or the PanicException of its Rust side, a BaseException.
        if isinstance(error, Exception) or _is_panic(error):
            raise DataError(f"{path} is damaged or no {kind} file; write or download it again") from error
        raise


def _check_parquet(path: Path) -> None:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        if size == 0:
            raise DataError(f"{path} is empty; expected a Parquet file")
        head = file.read(len(_PARQUET))
        file.seek(-min(size, len(_PARQUET)), os.SEEK_END)
        if head != _PARQUET:
            raise DataError(f"{path} is no Parquet file, whatever its name says")
        if size < 12 or file.read() != _PARQUET:
            raise DataError(f"{path} is an incomplete Parquet file; write or download it again")


def _open_parquet(path: Path) -> RecordBatchReader:
    """Open a Parquet file, quietly: arro3 0.9 panics on a damaged footer, which prints a backtrace on standard error."""
    from arro3.io import read_parquet as open_parquet

    with _stderr_lock, tempfile.TemporaryFile() as captured:
        try:
            saved = os.dup(2)
        except OSError:  # there is no standard error to keep clean
            return open_parquet(path, batch_size=_BATCH_ROWS)
        if sys.stderr is not None:
            sys.stderr.flush()
        is_silent = False
        os.dup2(captured.fileno(), 2)
        try:
            return open_parquet(path, batch_size=_BATCH_ROWS)
        except BaseException as error:
            is_silent = _is_panic(error)
            raise
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            captured.seek(0)
            if not is_silent:  # what other threads wrote meanwhile
                os.write(2, captured.read())


def _is_panic(error: BaseException) -> bool:
    return type(error).__name__ == "PanicException"
