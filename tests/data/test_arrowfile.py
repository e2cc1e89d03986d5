"""Parquet and Arrow files, whole and damaged."""

import random
from pathlib import Path

import pyarrow as pa
import pyarrow.feather
import pyarrow.ipc
import pyarrow.parquet
import pytest

from ratecast.data.read import read_table
from ratecast.errors import DataError

TABLE = pa.table(
    {
        "text": pa.array(["fine", None, "ok"]),
        "stars": pa.array([4, 3, None], pa.int8()),
        "kind": pa.array(["a", "b", "a"]).dictionary_encode(),
        "time": pa.array([0, 1, 2], pa.timestamp("ms", tz="UTC")),
        "tags": pa.array([["x"], [], None]),
        "nothing": pa.nulls(3),
    }
)


def write(folder: Path, name: str) -> Path:
    path = folder / name
    if name.endswith(".parquet"):
        pyarrow.parquet.write_table(TABLE, path)
    elif name.endswith(".feather"):
        pyarrow.feather.write_feather(TABLE, str(path))
    else:
        is_stream = name.endswith(".arrows")
        with (pyarrow.ipc.new_stream if is_stream else pyarrow.ipc.new_file)(path, TABLE.schema) as writer:
            writer.write_table(TABLE)
    return path


@pytest.mark.parametrize("name", ["reviews.parquet", "reviews.arrow", "reviews.arrows", "reviews.feather"])
def test_whole_files(tmp_path: Path, name: str) -> None:
    table = read_table(write(tmp_path, name)).table
    assert table.column_names == TABLE.column_names
    for column in ("text", "stars", "kind", "tags", "nothing"):
        assert table[column].to_pylist() == TABLE[column].to_pylist()


def test_a_damaged_parquet_file_is_refused_quietly(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    whole = write(tmp_path, "reviews.parquet").read_bytes()
    footer = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    rng = random.Random(0)
    messages = []
    for _ in range(60):
        broken = bytearray(whole)
        for _ in range(8):
            broken[rng.randrange(footer, len(whole) - 8)] ^= rng.randrange(1, 256)
        path = tmp_path / "broken.parquet"
        path.write_bytes(broken)
        try:
            read_table(path)
        except DataError as error:
            messages.append(str(error))
    assert len(messages) > 30
    assert all("broken.parquet" in message and "\n" not in message for message in messages)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("content", "told"), [(b"", "is empty"), (b"PAR1", "incomplete"), (b"text,stars\na,1\n", "no Parquet")]
)
def test_what_is_no_parquet_file_is_refused(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "reviews.parquet"
    path.write_bytes(content)
    with pytest.raises(DataError, match=told):
        read_table(path)


def test_a_cut_off_parquet_file_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "reviews.parquet")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match="incomplete"):
        read_table(path)


def test_what_is_no_arrow_stream_is_not_given_to_the_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Path] = []
    monkeypatch.setattr("arro3.io.read_ipc_stream", given.append)
    path = tmp_path / "reviews.arrow"
    path.write_bytes(b"ARRO")  # read as a size: 1.3 GB
    with pytest.raises(DataError, match="damaged or no Arrow file"):
        read_table(path)
    assert given == []


@pytest.mark.parametrize("name", ["reviews.arrow", "reviews.arrows"])
@pytest.mark.parametrize("kept", [0, 4, 60])
def test_a_cut_off_arrow_file_is_refused(tmp_path: Path, name: str, kept: int) -> None:
    path = write(tmp_path, name)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DataError, match="damaged or no Arrow file"):
        read_table(path)
