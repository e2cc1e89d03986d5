"""Writing a table to a file, all of it or nothing."""

import csv
import gzip
import io
import itertools
import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, Any, Final, cast

from arro3.core import ChunkedArray, DataType, RecordBatchReader, Table

from ratecast.data.table import build_array, plain_table
from ratecast.errors import OutputError
from ratecast.files import replace_file

_CHUNK_ROWS: Final = 50_000
_GROUP_ROWS: Final = 100_000
"""Rows of a row group of Parquet, which is in memory until it is written."""


def write_table(table: Table, path: str | Path) -> None:
    """Write a table in the format that the extension names: .parquet, .csv, .tsv, .jsonl (these three also .gz) or .arrow.

    The file appears complete or not at all; one that is there already is replaced only at the end.

    Args:
        table: the table; CSV and TSV hold lists and structures as JSON.
        path: the file to write; its folder must exist.

    Raises:
        OutputError: if the extension is unknown or the file cannot be written.

    Example:
        ``write_table(table, "scored.parquet")``
    """
    write_tables([table], path)


def write_tables(tables: Iterable[Table], path: str | Path) -> None:
    """Write tables of the same columns one under another, as `write_table` does one, with one of them in memory at a time.

    Args:
        tables: one at least.
        path: the file to write; its folder must exist.

    Raises:
        OutputError: as `write_table` does.
    """
    target = Path(path)
    write = _writer(target)
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        if target.is_dir():
            raise OutputError(f"cannot write {target}: it is a folder; name a file")
        with part.open("xb") as file:
            plain = map(plain_table, tables)
            if target.suffix.lower() == ".gz":
                # No name and time in it: equal tables, equal files.
                with gzip.GzipFile(filename="", mode="wb", fileobj=file, compresslevel=6, mtime=0) as stream:
                    write(plain, cast("IO[bytes]", stream))
            else:
                write(plain, file)
        replace_file(part, target)
    except FileNotFoundError:
        raise OutputError(f"cannot write {target}: there is no folder {target.parent}; create it first") from None
    except OSError as error:
        raise OutputError(f"cannot write {target}: {error.strerror or error}; nothing was written") from None
    finally:
        _remove(part)


def check_writable(path: str | Path) -> None:
    """Find out before long work whether `write_table` will know the format and can write there.

    Raises:
        OutputError: as `write_table` would.
    """
    _writer(Path(path))
    check_place(path)


def check_place(path: str | Path) -> None:
    """Find out before long work whether a file can be written there, of whatever format.

    Raises:
        OutputError: if the path is a folder, or its folder is missing or not writable.
    """
    target = Path(path)
    if target.is_dir():
        raise OutputError(f"cannot write {target}: it is a folder; name a file")
    if not target.parent.is_dir():
        raise OutputError(f"cannot write {target}: there is no folder {target.parent}; create it first")
    if not os.access(target.parent, os.W_OK):
        raise OutputError(f"cannot write {target}: the folder {target.parent} is not writable")


def _writer(path: Path) -> "Writer":
    suffix = "".join(path.suffixes[-2:] if path.suffix.lower() == ".gz" else path.suffixes[-1:]).lower()
    if suffix not in WRITERS:
        raise OutputError(f"cannot tell from {path} which format to write; use a name that ends in {', '.join(WRITERS)}")
    return WRITERS[suffix]


def _remove(part: Path) -> None:
    try:
        part.unlink(missing_ok=True)
    except OSError:
        return  # the folder went away or became read-only; the first error tells it


class _Sink(io.BytesIO):
    """Takes what arro3 0.9 writes, which panics where a file refuses it, as one on a full disk does."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__()
        self._file = file
        self._error: OSError | None = None

    def write(self, content: Any) -> int:
        """Write, or once that has failed do nothing."""
        if self._error is None:
            try:
                self._file.write(content)
            except OSError as error:
                self._error = error
        return len(content)

    def check(self) -> None:
        """Raise what went wrong."""
        if self._error is not None:
            raise self._error


def _batches(tables: Iterator[Table]) -> RecordBatchReader:
    """The tables as a stream of batches, read as they are asked for."""
    first = next(tables)
    batches = (batch for table in itertools.chain([first], tables) for batch in table.to_batches())
    return RecordBatchReader.from_batches(first.schema, batches)


def _parquet(tables: Iterator[Table], file: IO[bytes]) -> None:
    from arro3.io import write_parquet

    sink = _Sink(file)
    write_parquet(_batches(tables), sink, compression="zstd(3)", max_row_group_size=_GROUP_ROWS)
    sink.check()


def _arrow(tables: Iterator[Table], file: IO[bytes]) -> None:
    from arro3.io import write_ipc

    sink = _Sink(file)
    write_ipc(_batches(tables), sink)
    sink.check()


def _delimited(tables: Iterator[Table], file: IO[bytes], delimiter: str) -> None:
    from arro3.io import write_csv

    is_begun = False
    for table in tables:
        if not is_begun:  # arro3 leaves the header out where there are no rows
            names = io.StringIO()
            csv.writer(names, delimiter=delimiter, lineterminator="\n").writerow(table.column_names)
            file.write(names.getvalue().encode())
            is_begun = True
        flat = Table.from_arrays([_flat(column) for column in table.columns], names=table.column_names)
        for part in _slices(flat):
            buffer = io.BytesIO()
            write_csv(part, buffer, header=False, delimiter=delimiter)
            file.write(buffer.getvalue())


def _json_lines(tables: Iterator[Table], file: IO[bytes]) -> None:
    from arro3.io import write_ndjson

    for part in itertools.chain.from_iterable(map(_slices, tables)):
        buffer = io.BytesIO()
        write_ndjson(part, buffer, explicit_nulls=True)
        file.write(buffer.getvalue())


def _slices(table: Table) -> Iterator[Table]:
    for start in range(0, table.num_rows, _CHUNK_ROWS):
        yield table.slice(start, min(_CHUNK_ROWS, table.num_rows - start))


def _flat(column: ChunkedArray) -> ChunkedArray:
    kind = column.type
    if any(check(kind) for check in (DataType.is_nested, DataType.is_binary, DataType.is_large_binary)):
        return ChunkedArray([build_array(list(chunk.to_pylist())) for chunk in column.chunks])
    return column


Writer = Callable[[Iterator[Table], IO[bytes]], None]
WRITERS: Final[dict[str, Writer]] = {
    ".parquet": _parquet,
    ".csv": partial(_delimited, delimiter=","),
    ".csv.gz": partial(_delimited, delimiter=","),
    ".tsv": partial(_delimited, delimiter="\t"),
    ".tsv.gz": partial(_delimited, delimiter="\t"),
    ".jsonl": _json_lines,
    ".jsonl.gz": _json_lines,
    ".arrow": _arrow,
}
"""What writes tables in each format, by extension."""
