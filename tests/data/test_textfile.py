"""Encodings, compression and files that are no text."""

import gzip
from pathlib import Path

import pytest

from ratecast.data.delimited import read_delimited
from ratecast.data.read import read_table
from ratecast.errors import DataError

FRENCH = "Très déçu de cet hôtel : chambre sale, personnel désagréable. À éviter, même pour une nuit !"
SPANISH = "El hotel está muy bien, pero la habitación era pequeña y el niño no durmió. ¡Qué lástima!"
CHINESE = "这个酒店非常好房间很干净服务也不错。下次还会再来推荐给大家。"
RUSSIAN = "Очень хороший отель, чистые номера и вежливый персонал. Рекомендую всем!"
POLISH = "Bardzo dobry produkt, szybka wysyłka, polecam każdemu. Świetna jakość, żółty kolor."


def csv_of(text: str, rows: int = 20) -> str:
    return "text,stars\n" + f'"{text}",5\n' * rows


@pytest.mark.parametrize(
    ("text", "encoding", "told"),
    [
        (FRENCH, "cp1252", "cp1252"),
        (SPANISH, "cp1252", "cp1252"),
        (CHINESE, "gb18030", "gb18030"),
        (RUSSIAN, "cp1251", "cp1251"),
        (POLISH, "cp1250", "cp1250"),
        (CHINESE, "utf-16", "UTF-16"),
        (FRENCH, "utf-16-le", "UTF-16-LE"),
        (CHINESE, "utf-16-be", "UTF-16-BE"),
        (FRENCH, "utf-32", "UTF-32"),
    ],
)
def test_odd_encodings_are_read_and_told(tmp_path: Path, text: str, encoding: str, told: str) -> None:
    path = tmp_path / "reviews.csv"
    path.write_bytes(csv_of(text).encode(encoding))
    read = read_delimited(path)
    assert read.table["text"].to_pylist() == [text] * 20
    assert read.table["stars"].to_pylist() == [5] * 20
    assert len(read.notes) == 1
    assert told in read.notes[0]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_utf8_needs_no_note(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "reviews.csv"
    path.write_bytes(csv_of(FRENCH + " 🎉 שלום مرحبا").encode(encoding))
    read = read_delimited(path)
    assert read.table.column_names == ["text", "stars"]
    assert read.table["text"].to_pylist()[0] == FRENCH + " 🎉 שלום مرحبا"
    assert read.notes == ()


def test_a_letter_that_is_not_ascii_far_down_is_still_found(tmp_path: Path) -> None:
    path = tmp_path / "reviews.csv"
    path.write_bytes((csv_of("plain words only", 60_000) + f'"{FRENCH}",4\n').encode("cp1252"))
    read = read_delimited(path)
    assert read.table["text"].to_pylist()[-1] == FRENCH
    assert "cp1252" in read.notes[0]


def test_a_few_broken_bytes_do_not_garble_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "reviews.csv"
    path.write_bytes(csv_of(FRENCH).encode() + b'"cut off \xf0\x9f\x98",1\n')
    read = read_delimited(path)
    assert read.table["text"].to_pylist()[0] == FRENCH
    assert read.table["text"].to_pylist()[-1] == "cut off \ufffd"
    assert "UTF-8" in read.notes[0]


def test_gzip_is_known_by_its_bytes(tmp_path: Path) -> None:
    for name in ("reviews.csv.gz", "named_wrongly.csv"):
        path = tmp_path / name
        path.write_bytes(gzip.compress(csv_of("fine").encode()))
        assert read_table(path).table.num_rows == 20


@pytest.mark.parametrize("cut", [15, 40, -9])
def test_a_damaged_gzip_file_is_refused(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "reviews.csv.gz"
    path.write_bytes(gzip.compress("".join(f"text {i},{i}\n" for i in range(200)).encode())[:cut])
    with pytest.raises(DataError, match="gzip"):
        read_table(path)


def test_gzip_with_wrong_contents_is_refused(tmp_path: Path) -> None:
    whole = bytearray(gzip.compress("".join(f"text {i * i},{i}\n" for i in range(200)).encode()))
    whole[60] ^= 0xFF
    path = tmp_path / "reviews.csv.gz"
    path.write_bytes(whole)
    with pytest.raises(DataError, match="gzip"):
        read_table(path)


def test_zstd(tmp_path: Path) -> None:
    zstandard = pytest.importorskip("zstandard")
    path = tmp_path / "reviews.jsonl.zst"
    path.write_bytes(zstandard.ZstdCompressor().compress(b'{"text": "fine", "stars": 4}\n' * 30))
    assert read_table(path).table["stars"].to_pylist() == [4] * 30


def test_zstd_in_several_frames_and_cut_off(tmp_path: Path) -> None:
    zstandard = pytest.importorskip("zstandard")
    path = tmp_path / "reviews.csv.zst"
    lines = [b"text,stars\n", *(f"fine {row * 7919 % 10007},{row % 5 + 1}\n".encode() for row in range(50_000))]
    frames = [zstandard.ZstdCompressor().compress(b"".join(part)) for part in (lines[:20_000], lines[20_000:])]
    path.write_bytes(b"".join(frames))
    assert read_table(path).table.num_rows == 50_000
    for end in (len(frames[0]) // 2, len(frames[0]) + len(frames[1]) // 2, len(frames[0]) + len(frames[1]) - 3):
        path.write_bytes(b"".join(frames)[:end])
        with pytest.raises(DataError, match="damaged or incomplete compressed file"):
            read_table(path)


def test_zstd_without_its_package_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "zstandard", None)
    path = tmp_path / "reviews.csv.zst"
    path.write_bytes(b"\x28\xb5\x2f\xfd rest")
    with pytest.raises(DataError, match="pip install zstandard"):
        read_table(path)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x10" + bytes(range(256)), "a picture"),
        (b"PK\x03\x04 rest of a workbook", "Excel"),
        (b"PAR1 rest", "Parquet"),
        (bytes(range(256)) * 20, "binary"),
        (b"ab\0\0\0\0\0\0\0\0\0\0c\0d\0\0" * 50, "binary"),
    ],
)
def test_binary_data_is_refused(tmp_path: Path, content: bytes, what: str) -> None:
    path = tmp_path / "reviews.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=what) as caught:
        read_table(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\n\n  \n"])
def test_an_empty_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "reviews.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match="is empty"):
        read_table(path)


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "reviews.csv"
    path.write_text("text,stars\nfine,4\n")

    def deny(self: Path, *arguments: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", deny)
    with pytest.raises(DataError, match=r"cannot read .*reviews\.csv: Permission denied"):
        read_table(path)


def test_a_file_that_disappears_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "reviews.csv"
    path.write_text("text,stars\nfine,4\n")
    opened = Path.open

    def vanish(self: Path, mode: str) -> object:
        if self == path:
            path.unlink(missing_ok=True)
        return opened(self, mode)

    monkeypatch.setattr(Path, "open", vanish)
    with pytest.raises(DataError, match="there is no file"):
        read_table(path)
