"""Text files as they come: perhaps compressed, in an encoding that nobody wrote down, or no text at all."""

import codecs
import gzip
import importlib
import io
import itertools
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import IO, Any, Final, cast

from ratecast.errors import DataError

ENCODINGS: Final = (
    "cp1252", "gb18030", "big5", "cp932", "euc_jp", "cp949",
    "cp1251", "koi8_r", "cp1250", "cp1253", "cp1254", "cp1255", "cp1256",
)  # fmt: skip
"""Encodings, other than Unicode's, that are looked for. With all that Python knows the guesses are worse and slower."""

_BYTE_ORDER_MARKS: Final = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_FORMATS: Final = {
    b"PAR1": "a Parquet file",
    b"ARROW1": "an Arrow file",
    b"SQLite format 3\0": "an SQLite database",
    b"PK\x03\x04": "a ZIP archive or an Excel workbook",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"%PDF": "a PDF document",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ": "an xz archive",
}
_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"

_ZSTD_BYTES: Final = 1 << 17
_HEAD_BYTES: Final = 1 << 18
_SAMPLE_BYTES: Final = 1 << 16
_CONTROLS: Final = frozenset(range(1, 32)) - frozenset(b"\t\n\v\f\r\x1a\x1b")
_FEWEST_BINARY_CONTROLS: Final = 5  # so many different control characters stand in no text
_WESTERN: Final = frozenset(
    "àáâãäåæçèéêëìíîïñòóôõöøœùúûüßÿÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØŒÙÚÛÜ€£©®°º«»¡¿·–—’“”„•…½"
    "\N{LEFT SINGLE QUOTATION MARK}\N{SINGLE LOW-9 QUOTATION MARK}\N{ACUTE ACCENT}\N{NO-BREAK SPACE}"
)


@dataclass(frozen=True)
class _Encoding:
    name: str
    errors: str = "strict"
    note: str | None = None


@contextmanager
def open_text(path: Path, newline: str) -> Iterator[tuple[io.TextIOWrapper, list[str]]]:
    """Open a text file, decompressed and decoded, with notes on what was unusual.

    Args:
        path: the file; gzip and zstd are known by their first bytes, whatever the name.
        newline: as for `open`; lines are never split at other characters than line feeds and carriage returns.

    Raises:
        DataError: if the file cannot be read, is empty, damaged or holds no text; also for errors of reading that occur
            while the context is open.
    """
    try:
        with open_bytes(path) as stream:
            encoding = _detect(path, stream)
        with (
            open_bytes(path) as stream,
            io.TextIOWrapper(
                cast("IO[bytes]", stream), encoding=encoding.name, errors=encoding.errors, newline=newline
            ) as text,
        ):
            yield text, [encoding.note] if encoding.note else []
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path} is a damaged or incomplete compressed file ({error}); copy or download it again") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is damaged: it begins as {error.encoding} and then is not; save it as UTF-8") from None
    except OSError as error:
        raise unreadable(path, error) from None


def read_ahead(stream: io.TextIOWrapper, characters: int) -> tuple[str, Iterable[str]]:
    """The beginning of a text stream, and all of its lines, the beginning included; the stream need not be seekable."""
    head = stream.read(characters)
    lines = io.StringIO(head + stream.readline(), newline="")
    return head, itertools.chain(lines, stream)


def unreadable(path: Path, error: OSError) -> DataError:
    """The error that tells why a file cannot be read."""
    if isinstance(error, FileNotFoundError):
        return DataError(f"there is no file {path}; check the path")
    return DataError(f"cannot read {path}: {error.strerror or error}")


@contextmanager
def open_bytes(path: Path) -> Iterator[io.BufferedIOBase]:
    """Open a file, decompressed if it begins like a gzip or zstd file.

    Raises:
        DataError: if it is a zstd file and nothing here can read those.
    """
    with path.open("rb") as raw:
        head = raw.read(4)
        raw.seek(0)
        if head.startswith(_GZIP):
            with gzip.GzipFile(fileobj=raw) as stream:
                yield cast("io.BufferedIOBase", stream)
        elif head.startswith(_ZSTD):
            with _open_zstd(path, raw) as stream:
                yield stream
        else:
            yield raw


def _open_zstd(path: Path, raw: IO[bytes]) -> io.BufferedIOBase:
    try:
        zstandard = importlib.import_module("zstandard")
    except ImportError:
        raise DataError(f"reading {path} needs the package zstandard (pip install zstandard); or unpack the file") from None
    return io.BufferedReader(_ZstdFile(raw, zstandard), _ZSTD_BYTES)


class _ZstdFile(io.RawIOBase):
    """What a zstd file holds. The package's own reader takes one that is cut off for a whole one, and reads one frame only."""

    def __init__(self, raw: IO[bytes], zstandard: ModuleType) -> None:
        self._raw, self._zstandard = raw, zstandard
        self._frame: Any = None
        self._packed = self._ready = b""

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer as far as what is unpacked goes; 0 at the end."""
        while not self._ready:
            self._packed = self._packed or self._raw.read(_ZSTD_BYTES)
            if not self._packed:
                if self._frame is not None:
                    raise EOFError("it ends in the middle of a zstd frame")
                return 0
            self._unpack()
        count = min(len(buffer), len(self._ready))
        buffer[:count], self._ready = self._ready[:count], self._ready[count:]
        return count

    def _unpack(self) -> None:
        if self._frame is None:
            self._frame = self._zstandard.ZstdDecompressor().decompressobj()
        try:
            self._ready, packed = self._frame.decompress(self._packed), b""
        except self._zstandard.ZstdError as error:
            raise EOFError(str(error)) from None
        if self._frame.eof:  # another frame may follow
            packed, self._frame = self._frame.unused_data, None
        self._packed = packed


def _detect(path: Path, stream: io.BufferedIOBase) -> _Encoding:
    head = stream.read(_HEAD_BYTES)
    if not head.strip():
        raise DataError(f"{path} is empty; expected a table with a header line")
    for mark, name in _BYTE_ORDER_MARKS.items():
        if head.startswith(mark):
            return _Encoding(name, note=None if name == "utf-8-sig" else f"read as {name.upper()}")
    wide = _wide_encoding(head)
    if wide:
        return _Encoding(wide, note=f"read as {wide.upper()}, which the null bytes between the letters show")
    _refuse_binary(path, head)
    if _is_utf8(head, stream):
        return _Encoding("utf-8")
    with open_bytes(path) as again:
        return _guess(again)


def _wide_encoding(head: bytes) -> str | None:
    """UTF-16 without its mark: null bytes stand on one side of the letters only."""
    even, odd = head[::2].count(0), head[1::2].count(0)
    if even + odd < len(head) * 0.05 or min(even, odd) > 0.02 * max(even, odd):
        return None
    name = "utf-16-le" if odd > even else "utf-16-be"
    try:
        text = head[: len(head) // 2 * 2].decode(name, "strict" if len(head) < _HEAD_BYTES else "replace")
    except UnicodeDecodeError:
        return None
    return name if "\n" in text else None


def _refuse_binary(path: Path, head: bytes) -> None:
    for magic, what in _FORMATS.items():
        if head.startswith(magic):
            raise DataError(f"{path} is {what}, not text; rename it, or save the table as CSV (UTF-8)")
    if len(_CONTROLS.intersection(head)) >= _FEWEST_BINARY_CONTROLS or head.count(0) > len(head) * 0.2:
        raise DataError(f"{path} holds binary data, not text; expected a table such as CSV or JSON lines")


def _is_utf8(head: bytes, stream: io.BufferedIOBase) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for chunk in itertools.chain([head], iter(lambda: stream.read(1 << 20), b"")):
            decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _guess(stream: io.BufferedIOBase) -> _Encoding:
    """The likeliest encoding of a file that is not UTF-8 throughout, judged by its first lines that are not ASCII."""
    sample = bytearray()
    for line in stream:
        if not line.isascii():
            sample += line[:_SAMPLE_BYTES]
        if len(sample) >= _SAMPLE_BYTES:
            break
    text = sample.decode("utf-8", "replace")
    foreign = sum(character > "\x7f" for character in text)
    if text.count("\ufffd") < 0.1 * foreign:  # a few broken bytes: another encoding would garble every other character
        return _Encoding("utf-8", "replace", "read as UTF-8; bytes that are not were replaced by �")
    name = "cp1252" if _looks_western(bytes(sample)) else _statistical_guess(bytes(sample))
    return _Encoding(name, "replace", f"read as {name}, a guess; if letters look wrong, save the file as UTF-8")


def _looks_western(sample: bytes) -> bool:
    # charset-normalizer takes French and Spanish for cp1250 and the commonest of all old encodings deserves better.
    try:
        text = sample.decode("cp1252")
    except UnicodeDecodeError:
        return False
    foreign = [character for character in text if character > "\x7f"]
    letters = sum(character.isalpha() for character in text)
    is_sparse = sum(character.isalpha() for character in foreign) <= 0.3 * letters
    return is_sparse and sum(character in _WESTERN for character in foreign) >= 0.98 * len(foreign)


def _statistical_guess(sample: bytes) -> str:
    from charset_normalizer import from_bytes

    best = from_bytes(sample, cp_isolation=list(ENCODINGS)).best()
    return "cp1252" if best is None else best.encoding
