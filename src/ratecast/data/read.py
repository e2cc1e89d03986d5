"""Any table of reviews, from wherever it is: one function for files, folders, databases and frames."""

import glob
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from arro3.core import Array, ChunkedArray, DataType, Table

from ratecast.data.arrowfile import read_arrow, read_parquet, stream_arrow, stream_parquet
from ratecast.data.database import read_database
from ratecast.data.delimited import read_delimited, stream_delimited
from ratecast.data.frames import read_frame
from ratecast.data.jsonlines import read_json, stream_json
from ratecast.data.table import TEXT, TableRead, is_number
from ratecast.data.textfile import unreadable
from ratecast.data.wording import counted
from ratecast.errors import DataError

READERS: Final[dict[str, Callable[[Path], TableRead]]] = {
    ".csv": read_delimited,
    ".tsv": read_delimited,
    ".tab": read_delimited,
    ".json": read_json,
    ".jsonl": read_json,
    ".ndjson": read_json,
    ".parquet": read_parquet,
    ".pq": read_parquet,
    ".arrow": read_arrow,
    ".arrows": read_arrow,
    ".ipc": read_arrow,
    ".feather": read_arrow,
}
"""The reader of each extension; those of text also read ``.gz`` and ``.zst`` of it."""

_STREAMERS: Final[dict[Callable[[Path], TableRead], Callable[[Path], Iterator[TableRead]]]] = {
    read_delimited: stream_delimited,
    read_json: stream_json,
    read_parquet: stream_parquet,
    read_arrow: stream_arrow,
}

DATABASES: Final = (".db", ".sqlite", ".sqlite3")
COMPRESSIONS: Final = (".gz", ".zst")


class PandasLike(Protocol):
    """A pandas or polars frame."""

    @property
    def columns(self) -> Any:
        """Names of the columns."""


class ArrowLike(Protocol):
    """A table of pyarrow, arro3 or anything else that exports Arrow data, or a Hugging Face data set."""

    @property
    def column_names(self) -> Any:
        """Names of the columns."""


Source = str | Path | Sequence[str] | Sequence[Path] | PandasLike | ArrowLike
"""Where a table comes from: a file, a folder or glob of files, several files, or a frame."""


def read_table(source: Source, *, query: str | None = None) -> TableRead:
    """Read a table.

    Args:
        source: a file (CSV, TSV, JSON lines or list, Parquet, Arrow, SQLite), a folder or glob of such files, a list of them,
            or a frame (pandas, polars, Arrow, Hugging Face data set). Columns of several files are united by name.
        query: SQL query that gives the table; only for a database, and needed where it has several tables.

    Raises:
        DataError: if the source cannot be read or has no rows.

    Example:
        ``read_table("reviews.csv").table.num_rows``
    """
    read = _read(source, query)
    if not read.table.num_rows or not read.table.num_columns:
        columns = ", ".join(read.table.column_names)
        raise DataError(f"{read.source} has a header ({columns}) and no rows; expected a row for each review")
    return read


def stream_table(source: Source, *, query: str | None = None) -> Iterator[TableRead]:
    """The pieces of a table, so that a file larger than memory can be read. Arguments and errors as for `read_table`.

    Delimited files, JSON lines, Parquet and Arrow are read piece by piece, everything else is one piece. Pieces of several
    files come one after the other, and columns may differ between them.
    """
    parts = source if isinstance(source, list | tuple) else [source]
    for part in parts:
        if query is not None or not isinstance(part, str | Path) or Path(part).suffix.lower() in DATABASES:
            yield _read(part, query)
        else:
            for file in _found_files(Path(part).expanduser())[0]:
                yield from _STREAMERS[_reader(file)](file)


def table_files(source: Source) -> list[Path]:
    """The files that a table is read from; none for a frame."""
    parts = source if isinstance(source, list | tuple) else [source]
    return [file for part in parts if isinstance(part, str | Path) for file in _found_files(Path(part).expanduser())[0]]


def _read(source: Any, query: str | None) -> TableRead:
    if isinstance(source, str | Path):
        path = Path(source).expanduser()
        if path.suffix.lower() in DATABASES:
            return read_database(path, query)
        if query is not None:
            raise DataError(f"a query needs a database ({', '.join(DATABASES)}), found {_shown(source)}")
        return _read_path(path)
    if query is not None:
        raise DataError(f"a query needs a database, found a {type(source).__name__}")
    frame = read_frame(source)
    if frame is not None:
        return frame
    if isinstance(source, list | tuple) and source and all(isinstance(part, str | Path) for part in source):
        return _unite([_read(part, None) for part in source], counted(len(source), "file"))
    raise DataError(
        f"cannot read a table from an object of type {type(source).__name__}; "
        "expected a path, a list of paths, or a frame of pandas, polars or Arrow"
    )


def _read_path(path: Path) -> TableRead:
    files, name = _found_files(path)
    return _unite([_reader(file)(file) for file in files], name)


def _found_files(path: Path) -> tuple[list[Path], str]:
    """The files that a path, folder or pattern stands for, and how to name them all."""
    try:
        if path.is_file():
            return [path], str(path)
        files = _folder_files(path) if path.is_dir() else []
    except OSError as error:  # a name that is too long, or a folder that cannot be listed
        raise unreadable(path, error) from None
    matches = sorted(Path(match) for match in glob.glob(str(path), recursive=True))  # noqa: PTH207 - absolute patterns too
    files = files or [match for match in matches if match.is_file()]
    if not files:
        raise DataError(f"there is no file {_shown(path)}; check the path")
    return files, f"{path} ({counted(len(files), 'file')})"


def _folder_files(folder: Path) -> list[Path]:
    files = [path for path in sorted(folder.iterdir()) if path.is_file() and _suffix(path) in READERS]
    files = [path for path in files if not path.name.startswith((".", "_"))]  # marks that Spark and others leave
    if not files:
        raise DataError(f"the folder {folder} holds no table; expected files that end in {', '.join(READERS)}")
    return files


def _reader(path: Path) -> Callable[[Path], TableRead]:
    suffix = _suffix(path)
    is_compressed = path.suffix.lower() in COMPRESSIONS
    if suffix not in READERS or (is_compressed and READERS[suffix] in (read_parquet, read_arrow)):
        known = ", ".join((*READERS, *DATABASES))
        raise DataError(
            f"cannot tell the format of {path} by its extension {path.suffix!r}; known are {known}, and .gz of the text formats"
        )
    return READERS[suffix]


def _suffix(path: Path) -> str:
    suffix = path.suffix.lower()
    return Path(path.stem).suffix.lower() if suffix in COMPRESSIONS else suffix


def _shown(path: str | Path) -> str:
    text = str(path)
    return text if len(text) <= 120 else f"{text[:120]}…"


# -- one table of several -------------------------------------------------------------------------------------------------


def _unite(reads: Sequence[TableRead], source: str) -> TableRead:
    """One table under another, columns matched by name; what a table lacks is null."""
    if len(reads) == 1:
        return reads[0]
    notes = [f"{read.source}: {note}" for read in reads for note in read.notes]
    names = list(dict.fromkeys(name for read in reads for name in read.table.column_names))
    columns = []
    for name in names:
        parts = [read.table[name] if name in read.table.column_names else None for read in reads]
        absent = [read.source for read, part in zip(reads, parts, strict=True) if part is None]
        if absent:
            notes.append(f"the column {name!r} is missing in {len(absent)} of {len(reads)} files (the first: {absent[0]})")
        kind, is_mixed = _common_type([part for part in parts if part is not None])
        if is_mixed:
            notes.append(f"the column {name!r} holds numbers in some files and texts in others; it is read as text")
        try:
            arrays = [_conform(part, read.table.num_rows, kind) for read, part in zip(reads, parts, strict=True)]
        except Exception as error:  # arro3 raises nothing narrower when it cannot cast
            raise DataError(f"the column {name!r} has types that do not fit each other in {source}: {error}") from error
        columns.append(ChunkedArray([array for array in arrays if len(array)], kind))
    return TableRead(table=Table.from_arrays(columns, names=names), source=source, notes=tuple(notes))


def _common_type(columns: Sequence[ChunkedArray]) -> tuple[DataType, bool]:
    """The type that the columns are brought to, and whether that makes texts of numbers."""
    kinds: list[DataType] = []
    for column in columns:
        if column.null_count < len(column) and not any(column.type.equals(kind) for kind in kinds):
            kinds.append(column.type)
    if not kinds:
        return TEXT, False
    if len(kinds) == 1:
        return kinds[0], False
    if all(is_number(kind) for kind in kinds):
        return DataType.float64(), False
    return TEXT, True


def _conform(column: ChunkedArray | None, rows: int, kind: DataType) -> Array:
    if column is None or column.null_count == rows:
        return Array([None] * rows, TEXT).cast(kind)
    return (column if column.type.equals(kind) else column.cast(kind)).combine_chunks()
