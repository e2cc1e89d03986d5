"""Training on reviews that are read in windows."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from ratecast.config import FitConfig
from ratecast.errors import ConfigError
from ratecast.model.backbone import load_backbone, set_trained
from ratecast.model.heads import create_head
from ratecast.model.rater import Rater, batch_tensors
from ratecast.model.windows import AttentionWindows, create_window_pooling
from ratecast.progress import SilentReporter
from ratecast.records import Reviews, strings
from ratecast.scale import RatingScale
from ratecast.text import TextEncoder, pad_texts
from ratecast.train.finetune import finetune
from ratecast.train.finetuned import FineTuned
from ratecast.train.frozen import encode, stored_layers
from ratecast.train.inputs import Network, RatedTexts
from ratecast.train.learner import RatingLearner
from ratecast.train.loop import Run
from ratecast.train.optim import learning_rates
from ratecast.train.pairs import PairLearner, pair_loss
from ratecast.train.plan import make_plan
from ratecast.train.speed import Speed, sample_rows

SCALE = RatingScale.parse("1..5")
GRADES = ("awful", "bad", "fine", "good", "great")
TEXTS = ["good food", "", "the food and the staff " * 7, "bad awful room " * 4, "never again " * 40, "very good hotel " * 12]
RATINGS = np.array([5.0, 3, 4, 1, 1, 5])


def network_of(folder: Path, pooling: str = "attention", **settings: object) -> tuple[Rater, TextEncoder, FitConfig]:
    config = FitConfig().with_values(
        backbone=str(folder), max_tokens=16, windows=4, window_pooling=pooling, learning_rate=1e-3, dropout=0.0, **settings
    )
    backbone = load_backbone(config.backbone)
    windows = create_window_pooling(config.backbone, backbone.width, backbone.model)
    head = create_head("softmax", backbone.width, SCALE, RATINGS)
    torch.manual_seed(1)
    for weight in [head.linear.weight, *([] if windows is None else windows.parameters())]:
        torch.nn.init.normal_(weight)
    return Rater(backbone.model, head, pooling="mean", windows=windows).eval(), backbone.encoder, config


def test_stored_layers_give_the_same_vectors_of_windows(tiny_backbone: Path, tmp_path: Path) -> None:
    rater, encoder, _ = network_of(tiny_backbone)
    texts, settings = encoder.encode(TEXTS), encoder.settings
    found = encode(rater, texts, settings, frozen=1, store=tmp_path / "x.npy", reporter=SilentReporter(), task="")
    assert found.hidden is not None
    assert found.windows is not None
    assert len(found.hidden.values) == texts.lengths.sum()
    rows = np.array([3, 2, 0])
    ids, mask, windows = batch_tensors(pad_texts(texts, rows, settings))
    with torch.no_grad(), stored_layers(rater, 1, found.hidden.tuple_length) as stand_in:
        stand_in.states = found.hidden.padded(texts.windows_of(rows), ids.shape[1])
        again = rater.vectors(torch.zeros_like(ids), mask, windows)  # so that nothing but what is stored can be read
    torch.testing.assert_close(again, found.vectors[rows], atol=5e-3, rtol=5e-3)
    torch.testing.assert_close(rater.joined(found.windows, torch.from_numpy(texts.layout(np.arange(6)))), found.vectors)
    network = Network(rater, settings, frozen=1, layers=2, tuple_length=found.hidden.tuple_length)
    with network.skipping(), torch.no_grad():
        output = network.output(RatedTexts(texts=texts, ratings=RATINGS, encoded=found), rows)
        torch.testing.assert_close(output, rater.head(found.vectors[rows]), atol=5e-2, rtol=5e-2)


def test_with_the_head_alone_the_pooling_of_windows_learns_too(tiny_backbone: Path) -> None:
    rater, encoder, _ = network_of(tiny_backbone)
    set_trained(rater.backbone, trained_layers=0, train_embeddings=False)
    texts = encoder.encode(TEXTS)
    encoded = encode(rater, texts, encoder.settings, frozen=2, store=None, reporter=SilentReporter(), task="")
    reviews = RatedTexts(texts=texts, ratings=RATINGS, encoded=encoded)
    rows = np.array([4, 0, 2])
    with Network(rater, encoder.settings, frozen=2, layers=2).skipping() as network:
        output = network.output(reviews, rows)
    torch.testing.assert_close(output, rater.head(encoded.vectors[rows]))
    output.square().sum().backward()  # type: ignore[no-untyped-call]
    assert isinstance(rater.windows, AttentionWindows)
    assert rater.windows.query.grad is not None
    assert float(rater.windows.query.grad.abs().max()) > 0


def test_parts_of_a_batch_teach_what_the_whole_does(tiny_backbone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rater, encoder, config = network_of(tiny_backbone, batch_reviews=6)
    texts = encoder.encode(TEXTS)
    weights = np.array([1.0, 2, 0.5, 1, 1.5, 0])
    reviews = RatedTexts(texts=texts, ratings=RATINGS, weights=weights)
    learner = RatingLearner(Network(rater, encoder.settings, frozen=0, layers=2), reviews, reviews, config)
    gradients, counts = [], []
    for most in (10_000, 100, 1):
        monkeypatch.setattr("ratecast.text.batch.MOST_BATCH_TOKENS", most)
        rater.zero_grad()
        losses = [loss for loss in learner.losses(0) if loss.backward() is None]  # type: ignore[no-untyped-call]
        counts.append(len(losses))
        gradients.append([weight.grad.clone() for weight in rater.parameters() if weight.grad is not None])
    assert counts[0] == 1
    assert 1 < counts[1] < counts[2] == 6
    for other in gradients[1:]:
        for found, expected in zip(other, gradients[0], strict=True):
            torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("pooling", "names"), [("attention", {"query", "place"}), ("recurrent", {"start", "carry.weight"})])
def test_a_step_trains_the_pooling_of_windows(pooling: str, names: set[str], tiny_backbone: Path) -> None:
    rater, encoder, config = network_of(tiny_backbone, pooling, batch_reviews=6)
    reviews = RatedTexts(texts=encoder.encode(TEXTS), ratings=RATINGS)
    learner = RatingLearner(Network(rater, encoder.settings, frozen=0, layers=2), reviews, reviews, config)
    assert rater.windows is not None
    before = {name: weight.detach().clone() for name, weight in rater.windows.named_parameters()}
    optimizer = learner.create_optimizer()
    for loss in learner.losses(0):
        loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    changed = {name for name, weight in rater.windows.named_parameters() if not torch.equal(weight, before[name])}
    assert changed == set(before) == names


def test_the_pooling_of_windows_learns_as_fast_as_the_head(tiny_backbone: Path) -> None:
    rater, _, config = network_of(tiny_backbone)
    rates = learning_rates(rater, config.train, 0.5)
    assert rates["windows.query"] == rates["windows.place"] == rates["head.linear.weight"] == 1e-3


def test_a_plan_counts_the_tokens_of_all_windows() -> None:
    config = FitConfig().with_values(windows=4, max_tokens=128)
    speed = Speed(encoding=30_000.0, training=10_000.0, graph=1e6)
    lengths = np.full(1000, 400)
    plan = make_plan(lengths, speed, config, layers=6, longest=128, precision="float32", seconds=None)
    assert plan.seconds == pytest.approx(10 * 1000 * 400 / 10_000)
    assert "of up to 4 windows of 128 tokens" in plan.describe()
    short = config.with_values(window_pooling="recurrent")
    for chosen, least in ((config, 0), (short, 6)):  # a summary enters the lowest layer, which then cannot be stored
        plan = make_plan(lengths, speed, chosen, layers=6, longest=128, precision="float32", seconds=lambda *_: 30.0)
        assert plan.trained_layers == least


def test_the_sample_that_is_timed_goes_through_the_network_at_once() -> None:
    assert sample_rows(np.array([9000, 10_000, 8000])).tolist() == [1]
    lengths = np.arange(1, 2049)
    rows = sample_rows(lengths)
    assert len(rows) * lengths[rows].max() <= 8192
    assert lengths[rows].max() == 2048


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"windows": 0}, "windows must be above 0, found 0"),
        ({"windows": 2, "overlap_fraction": 1.0}, "overlap_fraction must be at least 0 and below 1"),
        ({"windows": 2, "window_pooling": "max"}, "window_pooling must be one of attention, mean, recurrent, found 'max'"),
        ({"windows": 2, "window_pooling": "recurrent", "trained_layers": 0}, "leave trained_layers unset, or choose attention"),
        ({"windows": 2, "window_pooling": "recurrent", "adversarial": 0.5}, "adversarial does not go with window_pooling"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        FitConfig().with_values(**settings)


def long_reviews(count: int, seed: int) -> Reviews:
    """Reviews of some 60 tokens whose rating is that of the one grading word in their middle."""
    rng = np.random.default_rng(seed)
    levels = rng.integers(0, 5, count)
    filler = ("the food and", "staff of this hotel", "room and service", "it was", "this phone again")
    texts = []
    for level in levels:
        words = " ".join(filler[number] for number in rng.integers(0, 5, 16)).split()
        words.insert(len(words) // 2, f"{GRADES[level]} {GRADES[level]}")
        texts.append(" ".join(words))
    return Reviews(text=strings(texts), rating=levels.astype(np.float64) + 1)


@pytest.fixture(scope="module")
def long_parts() -> dict[str, Reviews]:
    return {name: long_reviews(count, seed) for seed, (name, count) in enumerate({"train": 160, "validation": 60}.items())}


@pytest.mark.slow
@pytest.mark.parametrize("pooling", [None, "mean", "attention", "recurrent"])
def test_the_middle_of_a_review_is_learnt_from_in_windows_alone(
    pooling: str | None, run_of: Callable[..., Run], long_parts: dict[str, Reviews]
) -> None:
    windows = {} if pooling is None else {"windows": 6, "window_pooling": pooling}
    run = run_of(max_tokens=16, steps=5, **windows)
    tuned = finetune(long_parts, SCALE, run, time_left=None, reviews_after=0, judged="validation")
    assert isinstance(tuned, FineTuned)
    if pooling is None:
        assert tuned.result.best_score > 1.2
        assert (tuned.windowed, tuned.shortened) == (0, 160)
        return
    assert tuned.result.best_score < 0.8
    assert (tuned.windowed, tuned.shortened) == (160, 0)


def test_pairs_are_of_whole_reviews(tiny_backbone: Path) -> None:
    rater, encoder, config = network_of(tiny_backbone)
    texts, settings = encoder.encode(TEXTS), encoder.settings
    reviews = dict.fromkeys(("train", "validation"), RatedTexts(texts=texts, ratings=RATINGS))
    score = PairLearner(rater, reviews, settings, config).score(0)
    with torch.no_grad():
        vectors = rater.vectors(*batch_tensors(pad_texts(texts, np.arange(len(TEXTS)), settings)))
    assert score == pytest.approx(float(pair_loss(vectors, torch.from_numpy(RATINGS), SCALE)), abs=1e-5)
