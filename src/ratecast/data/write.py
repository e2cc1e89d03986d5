"""Writing a table to a file, all of it or nothing."""

import csv
import gzip
import io
import os
import secrets
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, Final

from arro3.core import ChunkedArray, DataType, Table

from ratecast.data.table import build_array, plain_table
from ratecast.errors import OutputError
from ratecast.files import replace_file

_CHUNK_ROWS: Final = 50_000


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
    target = Path(path)
    serialise = _serialiser(target)
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        if target.is_dir():
            raise OutputError(f"cannot write {target}: it is a folder; name a file")
        with part.open("xb") as file:
            _write_chunks(serialise(plain_table(table)), file, is_compressed=target.suffix.lower() == ".gz")
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
    _serialiser(Path(path))
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


def _serialiser(path: Path) -> Callable[[Table], Iterator[bytes]]:
    suffix = "".join(path.suffixes[-2:] if path.suffix.lower() == ".gz" else path.suffixes[-1:]).lower()
    if suffix not in WRITERS:
        raise OutputError(f"cannot tell from {path} which format to write; use a name that ends in {', '.join(WRITERS)}")
    return WRITERS[suffix]


def _write_chunks(chunks: Iterator[bytes], file: IO[bytes], *, is_compressed: bool) -> None:
    if not is_compressed:
        file.writelines(chunks)
        return
    with gzip.GzipFile(filename="", mode="wb", fileobj=file, compresslevel=6, mtime=0) as stream:  # equal tables, equal files
        stream.writelines(chunks)


def _remove(part: Path) -> None:
    try:
        part.unlink(missing_ok=True)
    except OSError:
        return  # the folder went away or became read-only; the first error tells it


# arro3 0.9 panics when the disk is full under a Parquet file, so everything is made in memory and written by Python.


def _parquet(table: Table) -> Iterator[bytes]:
    from arro3.io import write_parquet

    buffer = io.BytesIO()
    write_parquet(table, buffer, compression="zstd(3)")
    yield buffer.getvalue()


def _arrow(table: Table) -> Iterator[bytes]:
    from arro3.io import write_ipc

    buffer = io.BytesIO()
    write_ipc(table, buffer)
    yield buffer.getvalue()


def _delimited(table: Table, delimiter: str) -> Iterator[bytes]:
    from arro3.io import write_csv

    if not table.num_rows:  # arro3 then leaves out the header as well
        names = io.StringIO()
        csv.writer(names, delimiter=delimiter, lineterminator="\n").writerow(table.column_names)
        yield names.getvalue().encode()
        return
    flat = Table.from_arrays([_flat(column) for column in table.columns], names=table.column_names)
    for start, part in _slices(flat):
        buffer = io.BytesIO()
        write_csv(part, buffer, header=start == 0, delimiter=delimiter)
        yield buffer.getvalue()


def _json_lines(table: Table) -> Iterator[bytes]:
    from arro3.io import write_ndjson

    for _, part in _slices(table):
        buffer = io.BytesIO()
        write_ndjson(part, buffer, explicit_nulls=True)
        yield buffer.getvalue()


def _slices(table: Table) -> Iterator[tuple[int, Table]]:
    for start in range(0, table.num_rows, _CHUNK_ROWS):
        yield start, table.slice(start, min(_CHUNK_ROWS, table.num_rows - start))


def _flat(column: ChunkedArray) -> ChunkedArray:
    kind = column.type
    if any(check(kind) for check in (DataType.is_nested, DataType.is_binary, DataType.is_large_binary)):
        return ChunkedArray([build_array(list(chunk.to_pylist())) for chunk in column.chunks])
    return column


WRITERS: Final[dict[str, Callable[[Table], Iterator[bytes]]]] = {
    ".parquet": _parquet,
    ".csv": partial(_delimited, delimiter=","),
    ".csv.gz": partial(_delimited, delimiter=","),
    ".tsv": partial(_delimited, delimiter="\t"),
    ".tsv.gz": partial(_delimited, delimiter="\t"),
    ".jsonl": _json_lines,
    ".jsonl.gz": _json_lines,
    ".arrow": _arrow,
}
"""What turns a table into the bytes of each format, by extension."""
