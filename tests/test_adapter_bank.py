"""Mixed batches for many adapters over one backbone: whole models, from Python and from the command line."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ratecast
from ratecast import AdapterBank
from ratecast.cli import run
from ratecast.data.table import build_table
from ratecast.errors import ConfigError, DataError, ModelFolderError
from ratecast.model.graph import GRAPH_FILE
from ratecast.model.pack import pack
from ratecast.progress import SilentReporter

pytestmark = pytest.mark.slow
TEXTS = ["the movie was great", "awful 好 好 好", "", "the staff was poor and the room was fine " * 20]
SHOPS = ("hotels", "phones")


@pytest.fixture(scope="module")
def shops(
    tiny_backbone: Path, tiny_reviews: tuple[list[str], list[float]], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """Whole models over one backbone, of two methods; one reads windows and uses a column, the other does neither."""
    parent = tmp_path_factory.mktemp("whole")
    texts, ratings = tiny_reviews
    common: dict[str, Any] = {"backbone": str(tiny_backbone), "max_tokens": 24, "steps": 2, "reporter": SilentReporter()}
    table: dict[str, list[Any]] = {"text": texts, "rating": ratings, "user": [f"u{number % 7}" for number in range(len(texts))]}
    ratecast.fit(build_table(table), out=parent / "hotels", tune="lora", windows=3, use="user", **common)
    ratecast.fit(texts=[*texts[::-1]], ratings=[*ratings[::-1]], out=parent / "phones", tune="bottleneck", **common)
    return {name: parent / name for name in SHOPS}


@pytest.fixture(scope="module")
def bank_folder(shops: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same without graphs, in a folder with something else."""
    folder = tmp_path_factory.mktemp("bank")
    for name, model in shops.items():
        pack(model, folder / name)
        assert not (folder / name / GRAPH_FILE).exists()
    (folder / "notes.txt").write_text("no model")
    return folder


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A table of mixed reviews."""
    rows = [{"text": text, "shop": shop, "user": "u1"} for text in TEXTS for shop in SHOPS]
    path = tmp_path / "mixed.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_mixed_batch_gets_what_each_model_says_by_itself(shops: dict[str, Path], bank_folder: Path) -> None:
    bank = AdapterBank.open(bank_folder)
    assert bank.names == SHOPS
    texts, names = [text for text in TEXTS for _ in SHOPS], [*SHOPS] * len(TEXTS)
    found = bank.predict(texts, names, coverage=0.8, optimise="mae")
    for number, name in enumerate(SHOPS):
        expected = ratecast.load(shops[name]).predict(TEXTS, coverage=0.8, optimise="mae")
        np.testing.assert_allclose(found.probabilities[number::2], expected.probabilities, atol=1e-5)
        assert found.interval is not None
        assert expected.interval is not None
        np.testing.assert_allclose(found.interval[number::2], expected.interval, atol=1e-4)
        np.testing.assert_allclose(found.rating[number::2], expected.rating, atol=1e-4)
        assert found.warnings is not None
        assert found.warnings[number::2] == expected.warnings
    assert found.warnings is not None
    assert found.warnings[6] != found.warnings[7]  # three windows of text are left out less of


def test_a_table_names_the_adapter_of_each_review(
    shops: dict[str, Path], bank_folder: Path, table: Path, tmp_path: Path
) -> None:
    out = tmp_path / "scored.jsonl"
    assert run(["predict", str(bank_folder), str(table), "--adapter-column", "shop", "--out", str(out)]) == 0
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    for number, name in enumerate(SHOPS):
        mine = [json.loads(line) for line in table.read_text().splitlines()][number::2]
        expected = ratecast.load(shops[name]).predict(build_table({key: [row[key] for row in mine] for key in mine[0]}))
        assert [line["predicted_rating"] for line in lines[number::2]] == pytest.approx(list(expected.rating), abs=1e-4)


def test_one_adapter_answers_by_name(shops: dict[str, Path], bank_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--adapter", "phones", "--text", TEXTS[0], "--json"]
    assert run(["predict", str(bank_folder), *flags]) == 0
    found = json.loads(capsys.readouterr().out)["rating"]
    assert found == pytest.approx(ratecast.load(shops["phones"]).predict(TEXTS[:1])[0].rating, abs=1e-4)


def test_names_that_are_not_there_are_told(bank_folder: Path, table: Path, tmp_path: Path) -> None:
    bank = AdapterBank.open(bank_folder)
    with pytest.raises(DataError, match="there is no adapter 'cars'; expected one of hotels, phones"):
        bank.predict(["good"], ["cars"])
    with pytest.raises(DataError, match="found 1 names of adapters for 2 reviews"):
        bank.predict(["good", "bad"], ["hotels"])
    with pytest.raises(ConfigError, match="coverage"):
        bank.predict(["good"], ["hotels"], coverage=2.0)
    with pytest.raises(ModelFolderError, match="is a model itself: give the folder that it lies in"):
        AdapterBank.open(bank_folder / "hotels")
    with pytest.raises(ModelFolderError, match=f"{tmp_path} holds none"):
        AdapterBank.open(tmp_path)


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--adapter", "cars", "--text", "good"], "there is no adapter 'cars'"),
        (["--adapter", "phones", "--adapter-column", "shop", "TABLE"], "found both --adapter and --adapter-column"),
        (["--adapter-column", "shop", "--text", "good"], "--adapter-column needs a table"),
        (["--adapter-column", "brand", "TABLE"], "the table has no column 'brand'"),
        (["--adapter", "phones", "--device", "cuda", "--text", "good"], "run ratecast unpack"),
        (["--text", "good"], "is a folder of models: name one of them, or give --adapter or --adapter-column"),
        (["--backbone", "bert", "--text", "good"], "--backbone is that of a folder of adapters"),
    ],
)
def test_flags_that_do_not_fit_are_refused(
    flags: list[str], told: str, bank_folder: Path, table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["predict", str(bank_folder), *(str(table) if flag == "TABLE" else flag for flag in flags)]) == 2
    assert told in capsys.readouterr().err


def test_a_cell_that_names_no_adapter_is_told_with_its_row(
    bank_folder: Path, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_text(table.read_text().replace('"phones"', '"cars"', 1))
    command = ["predict", str(bank_folder), str(bad), "--adapter-column", "shop", "--out", str(tmp_path / "scored.csv")]
    assert run(command) == 2
    assert "row 1 has 'cars' in the column 'shop'; expected one of hotels, phones" in capsys.readouterr().err
    assert run(command[:5]) == 2
    assert "row 1 has 'cars' in the column 'shop'; expected one of hotels, phones" in capsys.readouterr().err
    bad.write_text(table.read_text().replace('"shop": "phones"', '"shop": null', 1))
    assert run(command) == 2
    assert "row 1 has nothing in the column 'shop'" in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == [bad, table]


def test_a_model_without_adapter_is_no_part_of_a_bank(bank_folder: Path, tiny_model: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(bank_folder, tmp_path / "bank"))
    shutil.copytree(tiny_model, folder / "plain")
    assert AdapterBank.open(folder).names == SHOPS
    assert AdapterBank.open(folder, only="phones").names == ("phones",)
    with pytest.raises(ModelFolderError, match="plain has no adapter"):
        AdapterBank({"plain": folder / "plain"})
