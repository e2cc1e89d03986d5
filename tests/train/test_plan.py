"""The plan of a run: what is given up first when the time is short, and what never is."""

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from ratecast.config import FitConfig
from ratecast.train.plan import Plan, lacking_seconds, make_plan, wanted_epochs
from ratecast.train.precision import PRECISIONS, choose_precision
from ratecast.train.speed import Speed

LENGTHS = np.full(1000, 300)
SPEED = Speed(encoding=30_000.0, training=10_000.0, graph=1e6)
A_PASS = 1000 * 128 / 10_000
"""Seconds of a pass over all reviews at 128 tokens."""


def planned(seconds: float | None, lengths: np.ndarray = LENGTHS, is_readable: bool = True, **settings: object) -> Plan:
    longest = settings.get("max_tokens") or 256
    assert isinstance(longest, int)
    config = FitConfig().with_values(**settings)
    limit = None if seconds is None else lambda _tokens, _layers: seconds
    fixed: dict[str, Any] = {"layers": 6, "longest": longest, "precision": "float32", "is_readable": is_readable}
    return make_plan(np.minimum(lengths, longest), SPEED, config, seconds=limit, **fixed)


def test_without_a_limit_everything_is_trained_until_it_converges() -> None:
    plan = planned(None)
    assert (plan.max_tokens, plan.trained_layers, plan.epochs, plan.reviews) == (256, 6, 10.0, 1000)
    assert plan.seconds == pytest.approx(10 * 1000 * 256 / 10_000)


def test_the_shorter_the_time_the_less_is_kept() -> None:
    plans = [planned(seconds) for seconds in (10_000, 220, 180, 70, 40, 20, 12, 6, 3)]
    kept = [(plan.max_tokens, plan.trained_layers) for plan in plans]
    assert kept[0] == (256, 6)
    assert kept == sorted(kept, reverse=True)
    assert {tokens for tokens, _ in kept} == {256, 192, 128}
    assert kept[4:8] == [(128, 6), (128, 6), (128, 3), (128, 0)]
    assert all(later.reviews <= earlier.reviews for earlier, later in pairwise(plans))
    assert plans[-1].reviews < plans[-2].reviews == 1000


def test_scoring_takes_less_of_the_time_where_reviews_are_read_in_part() -> None:
    def seconds(tokens: float, _layers: int) -> float:
        return 60 - 1000 * 2 * tokens / 30_000  # all reviews are scored twice

    plan = make_plan(np.full(1000, 256), SPEED, FitConfig(), layers=6, longest=256, precision="float32", seconds=seconds)
    assert (plan.max_tokens, plan.trained_layers) == (128, 6)
    assert plan.epochs == pytest.approx(0.81 * (60 - 1000 * 2 * 128 / 30_000) / A_PASS)


def test_the_time_that_a_plan_lacks_suffices_for_all_reviews_and_is_not_far_above() -> None:
    def with_more(more: float) -> Plan:
        return planned(2.0 + more, np.full(20_000, 300))

    more = lacking_seconds(with_more, 20_000, layers=1)
    assert (with_more(more).reviews, with_more(more).epochs >= 1) == (20_000, True)
    assert with_more(more).trained_layers > 0
    assert with_more(more / 1.3).reviews < 20_000 or with_more(more / 1.3).trained_layers == 0
    assert lacking_seconds(with_more, 20_000, layers=0) <= more
    assert lacking_seconds(lambda _: planned(None), 1000, layers=1) == 5.0


def test_longer_input_does_not_take_the_passes_that_few_reviews_need() -> None:
    many, few = planned(700.0, np.full(10_000, 300)), planned(70.0)
    assert many.max_tokens == 256
    assert many.epochs == pytest.approx(0.81 * 700 / 256)  # a pass takes 256 s, and most of the time is for training
    assert few.max_tokens == 128
    assert few.epochs > 4


@pytest.mark.parametrize("seconds", [5, 10, 20, 40, 80, 160, 1000])
def test_no_plan_takes_longer_than_the_time(seconds: float) -> None:
    plan = planned(seconds)
    assert plan.seconds <= 0.9 * seconds + 1e-9
    rest = 0.9 * seconds - plan.seconds
    assert plan.epochs == wanted_epochs(1000) or rest <= 0.1 * seconds  # what is not used belongs to the head's fit


def test_layers_that_wait_for_their_turn_cost_what_encoding_does() -> None:
    """Joining over half of the training, a quarter of them waits on average: 0.75 / 10,000 + 0.25 / 30,000 = 1 / 12,000."""
    assert planned(None, gradual_unfreezing=0.5).seconds == pytest.approx(10 * 1000 * 256 / 12_000)
    assert planned(1e6, gradual_unfreezing=0.5, trained_layers=2).seconds == pytest.approx(
        4 / 6 * 1000 * 256 / 30_000 + 10 * 1000 * 256 / 3 / 12_000
    )
    assert planned(70.0, gradual_unfreezing=0.5).epochs > 1.1 * planned(70.0).epochs


def test_embeddings_that_shall_be_trained_are_never_frozen() -> None:
    assert planned(12.0).trained_layers == 3
    assert planned(12.0, train_embeddings=True).trained_layers == 6


def test_no_input_is_shorter_than_what_stands_around_each_review() -> None:
    def shortest(tokens: int) -> int:
        fixed: dict[str, Any] = {"layers": 6, "longest": 256, "precision": "float32", "shortest": tokens}
        return make_plan(LENGTHS, SPEED, FitConfig(), seconds=lambda *_: A_PASS, **fixed).max_tokens

    assert (shortest(0), shortest(128), shortest(129), shortest(200), shortest(300)) == (128, 128, 192, 256, 256)


def test_too_little_time_is_not_worth_a_start() -> None:
    assert planned(0.4).reviews == 0
    assert planned(-10.0).reviews == 0


def test_what_the_settings_give_is_left_as_it_is() -> None:
    plan = planned(3.0, max_tokens=200, trained_layers=2, epochs=1.5)
    assert (plan.max_tokens, plan.trained_layers) == (200, 2)
    assert planned(1e6, max_tokens=200, trained_layers=2, epochs=1.5).epochs == 1.5
    assert planned(1e6, trained_layers=0).trained_layers == 0
    for changing in ({"word_deletion": 0.1}, {"back_translation": "a,b"}):
        assert planned(20.0, **changing).trained_layers == 6  # changing texts cannot be stored


def test_fixed_steps_are_done_whatever_the_time() -> None:
    plan = planned(1.0, steps=500)
    assert plan.reviews == 1000
    assert plan.epochs == pytest.approx(500 * 16 / 1000)


def test_frozen_layers_are_computed_for_no_more_reviews_than_fit() -> None:
    plan = planned(60.0, np.full(100_000, 300))
    once, a_pass = 1000 * 128 / 30_000 / 2, A_PASS / 2  # the upper half is computed for the head's fit alone
    assert plan.trained_layers == 3
    assert plan.epochs == 1.0
    assert plan.reviews == math.floor(1000 * 60.0 * 0.9 * 0.9 / (once + a_pass))


def test_the_head_alone_learns_where_layers_would_from_too_few_reviews() -> None:
    """Of 100,000 reviews the top half of the layers learns from 3,000 at least, of 1,000 from all."""
    a_review = 128 / 60_000 + A_PASS / 2 / 1000
    for reviews, least in ((100_000, 3000 * a_review), (1000, 1000 * a_review)):
        enough, too_little = (planned(share * least / 0.81, np.full(reviews, 300)) for share in (1.001, 0.98))
        assert (enough.trained_layers, too_little.trained_layers) == (3, 0)
        assert too_little.reviews == min(reviews, math.floor(0.98 * least / 0.9 * 30_000 / 128))
        unread = planned(0.98 * least / 0.81, np.full(reviews, 300), is_readable=False)
        assert unread.reviews == 0  # of which the pretrained layers make nothing
        assert planned(1.001 * least / 0.81, np.full(reviews, 300), is_readable=False).reviews == enough.reviews


def test_a_head_alone_reads_several_layers() -> None:
    config = planned(10.0).resolve(FitConfig())
    assert (config.backbone.trained_layers, config.backbone.pooled_layers) == (0, 4)
    assert planned(10.0).resolve(FitConfig().with_values(pooled_layers=6)).backbone.pooled_layers == 6
    asked = FitConfig().with_values(trained_layers=0)
    assert planned(10.0, trained_layers=0).resolve(asked).backbone.pooled_layers == 1


@pytest.mark.parametrize("setting", [{"prompt": "default"}, {"contrastive_passes": 1.0}, {"gradual_unfreezing": 0.5}])
def test_what_is_for_layers_that_learn_is_not_dropped_for_the_head_alone(setting: dict[str, Any]) -> None:
    assert planned(10.0, LENGTHS, **setting).trained_layers == 3


def test_few_reviews_are_passed_over_more_often() -> None:
    assert [wanted_epochs(reviews) for reviews in (50, 1_500, 3_000, 5_000, 10**6)] == [10.0, 10.0, 5.0, 3.0, 3.0]


def test_a_plan_fills_in_the_settings_and_comes_back_from_a_checkpoint() -> None:
    plan = planned(12.0)
    assert Plan.from_json(plan.to_json()) == plan
    config = plan.resolve(FitConfig())
    assert (config.backbone.max_tokens, config.backbone.trained_layers) == (plan.max_tokens, plan.trained_layers)
    assert config.train.precision == "float32"
    assert planned(None).resolve(FitConfig()).backbone.trained_layers is None


def test_a_machine_that_turns_out_faster_goes_on_until_the_time_or_converging_ends_the_training() -> None:
    many = np.full(10_000, 300)
    short = planned(60.0, many)
    assert (short.epochs, short.reviews) == (1.0, 5695)
    assert short.resolve(FitConfig()).train.epochs == wanted_epochs(5695) == 3.0
    assert planned(None).resolve(FitConfig()).train.epochs == 10.0
    assert planned(60.0, many, epochs=1.5).resolve(FitConfig()).train.epochs == 1.5


def test_only_a_plan_lowers_the_pooled_layers() -> None:
    plan = planned(12.0)
    assert plan.trained_layers == 3
    assert plan.resolve(FitConfig().with_values(pooled_layers=6)).backbone.pooled_layers == 4
    assert planned(None).resolve(FitConfig().with_values(pooled_layers=6)).backbone.pooled_layers == 6
    head_only = FitConfig().with_values(pooled_layers=6, trained_layers=0)
    assert planned(1e6, trained_layers=0).resolve(head_only).backbone.pooled_layers == 6


@pytest.mark.parametrize(
    ("avx", "amx", "gain", "expected"),
    [
        (True, False, 4.4, "bfloat16"),
        (False, True, 4.4, "bfloat16"),
        (True, False, 0.5, "float32"),
        (False, False, 4.4, "float32"),
    ],
)
def test_automatic_precision_is_what_the_processor_is_fast_in(
    monkeypatch: pytest.MonkeyPatch, avx: bool, amx: bool, gain: float, expected: str
) -> None:
    monkeypatch.setattr("ratecast.train.precision._gain", lambda: gain)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.cpu._is_avx512_bf16_supported", lambda: avx)
    monkeypatch.setattr("torch.cpu._is_amx_tile_supported", lambda: amx)
    assert choose_precision("auto") == expected
    assert choose_precision("bfloat16") == "bfloat16"


def test_this_processor_can_be_asked() -> None:
    assert choose_precision("auto") in PRECISIONS
