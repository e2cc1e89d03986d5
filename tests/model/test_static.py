"""The static model in NumPy beside the network that it was trained as."""

from pathlib import Path

import numpy as np
import pytest
import torch

from ratecast.errors import ModelFolderError
from ratecast.model import static
from ratecast.model.static import StaticModel
from ratecast.scale import RatingScale
from ratecast.text.ngrams import Ngrams
from ratecast.train.static import StaticNetwork, static_model

SCALE = RatingScale.parse("1..5")
TEXTS = ["the food was great", "the food was awful!", "", "zebra", "great " * 50 + "food"]


@pytest.fixture
def network() -> tuple[StaticNetwork, Ngrams]:
    ngrams = Ngrams.fit(TEXTS * 2, least=2)
    torch.manual_seed(1)
    made = StaticNetwork(len(ngrams), SCALE, np.array(SCALE.levels), width=6, hidden=4)
    with torch.no_grad():
        for weight in made.parameters():
            weight.normal_()
        made.table.copy_(made.table.half())
        made.head.standardise(torch.randn(30, 10))
    return made, ngrams


def test_numpy_gives_what_torch_gives(network: tuple[StaticNetwork, Ngrams]) -> None:
    made, ngrams = network
    bags = ngrams.bags(TEXTS)
    given = [torch.from_numpy(part) for part in (bags.rows, bags.starts[:-1], bags.counts)]
    with torch.no_grad():
        expected = np.maximum(made.head.probabilities(made(*given)).double().numpy(), static._SMALLEST)
    expected /= expected.sum(1, keepdims=True)
    np.testing.assert_allclose(static_model(*network).probabilities(TEXTS), expected, atol=2e-6)


def test_a_mean_over_rows_is_the_same_however_it_is_divided(
    network: tuple[StaticNetwork, Ngrams], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = static_model(*network)
    texts = [*TEXTS, *TEXTS[::-1], "food " * 1000]
    bags = model.ngrams.bags(texts)
    expected = np.zeros((len(texts), 6))
    for number, (start, end) in enumerate(zip(bags.starts, bags.starts[1:], strict=False)):
        expected[number] = model.table[bags.rows[start:end]].sum(0) / np.sqrt(max(1, end - start))
    for rows in (1, 3, 7, 16_384):
        monkeypatch.setattr(static, "_PIECE_ROWS", rows)
        np.testing.assert_allclose(model.vectors(bags), expected, rtol=1e-4, atol=1e-5)


def test_a_saved_model_says_the_same(network: tuple[StaticNetwork, Ngrams], tmp_path: Path) -> None:
    model = static_model(*network)
    files = model.save(tmp_path, "static")
    again = StaticModel.load(tmp_path, files, len(SCALE))
    np.testing.assert_array_equal(again.probabilities(TEXTS), model.probabilities(TEXTS))
    assert again.probabilities([]).shape == (0, 5)


def test_very_long_and_empty_texts(network: tuple[StaticNetwork, Ngrams]) -> None:
    model = static_model(*network)
    found = model.probabilities(["great food " * 200_000, "", "\x00", " "])
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found.sum(1), 1)
    np.testing.assert_array_equal(found[1], found[3])


def test_damage_is_told(network: tuple[StaticNetwork, Ngrams], tmp_path: Path) -> None:
    files = static_model(*network).save(tmp_path, "static")
    with pytest.raises(ModelFolderError, match="4 levels"):
        StaticModel.load(tmp_path, files, 4)
    (tmp_path / "static.words.json").write_text('["one"]')
    with pytest.raises(ModelFolderError, match="cannot read the static model"):
        StaticModel.load(tmp_path, files, 5)
