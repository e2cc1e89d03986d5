"""The texts of a table, as a stream and without anything else of it."""

import hashlib
from collections.abc import Callable, Iterator

from arro3.core import Table

from ratecast.config import ColumnsConfig
from ratecast.data.columns import find_columns
from ratecast.data.read import Source, stream_table, table_files
from ratecast.data.table import TableRead
from ratecast.data.values import read_strings
from ratecast.errors import DataError

_MOST_NOTES = 5


def stream_texts(source: Source, config: ColumnsConfig, tell: Callable[[str], None]) -> Iterator[list[str]]:
    """What a model would read of each review, the title on a line before the text, in pieces; none for empty texts.

    Memory stays flat for the formats that `stream_table` reads piece by piece.

    Args:
        source: any table of reviews; ratings are not needed.
        config: columns that are known already, and the SQL query.
        tell: takes a line about the columns of each table, and what was unusual.

    Raises:
        DataError: if the table cannot be read or has no column with texts.
    """
    found: dict[str, tuple[str, str | None]] = {}
    told: set[str] = set()
    for piece in stream_table(source, query=config.query):
        if piece.source not in found:
            found[piece.source] = _columns(piece, config)
            text, title = found[piece.source]
            tell(f"{piece.source}: text from {text!r}" + (f", title from {title!r}" if title else ""))
        for note in piece.notes:
            if note not in told and len(told) < _MOST_NOTES:
                tell(f"{piece.source}: {note}")
                told.add(note)
        yield _joined(piece.table, *found[piece.source])


def source_stamp(source: Source) -> str:
    """Hash of what tells, without reading them, whether files are still the same: paths, sizes, times. Empty for a frame."""
    files = table_files(source)
    facts = [(str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return hashlib.sha256(repr(facts).encode()).hexdigest() if files else ""


def _columns(piece: TableRead, config: ColumnsConfig) -> tuple[str, str | None]:
    try:
        columns = find_columns(piece.table, config, need_rating=False)
    except DataError as error:
        raise DataError(f"{piece.source}: {error}") from None
    return columns.text, columns.title


def _joined(table: Table, text: str, title: str | None) -> list[str]:
    if text not in table.column_names:  # a piece of JSON lines none of which has it
        return []
    texts = read_strings(table[text])
    titles = read_strings(table[title]) if title in table.column_names else [None] * len(texts)
    pairs = zip(titles, texts, strict=True)
    return [f"{heading}\n{body}" if heading else body for heading, body in pairs if body and body.strip()]
