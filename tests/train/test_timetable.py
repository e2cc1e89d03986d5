"""How the time is shared: what has to be scored afterwards is set aside first, and the rest divided among the networks."""

import pytest

from ratecast.train.speed import Speed
from ratecast.train.timetable import Timetable

SPEED = Speed(encoding=20_000.0, training=10_000.0, graph=14_000.0)
UNMEASURED = Timetable(time_left=lambda: 1000.0, training=4000, validation=400, after=700, seconds_after=0.01)
MEASURED = UNMEASURED.measured(SPEED, 200)
JUDGED = 200 / 14_000 + 0.01
"""Seconds that the finished model takes for a review."""


def test_what_follows_the_training_is_set_aside() -> None:
    assert MEASURED.left(1) == pytest.approx(1000 - 400 / 100 - 700 * JUDGED)


def test_members_of_an_ensemble_score_what_the_last_network_learns_from() -> None:
    of_each = 400 / 100
    assert MEASURED.left(3) == pytest.approx((1000 - of_each - 700 * JUDGED - 2 * (of_each + 4000 / 100)) / 3)


def test_the_shorter_the_input_the_more_is_left() -> None:
    seconds = UNMEASURED.planner(SPEED, 1)
    assert seconds is not None
    judged = 100 / 14_000 + 0.01
    assert seconds(100, 3) == pytest.approx(1000 - 2 * 400 * 100 / 20_000 - 700 * judged)
    assert seconds(50, 3) > seconds(100, 3) > seconds(200, 3)
    assert seconds(100, 0) == pytest.approx(1000 - 400 * 100 / 20_000 - 700 * judged)  # they are read for the head's fit alone


def test_no_more_is_scored_than_the_time_allows_to_judge() -> None:
    assert MEASURED.judged(700) == 700
    assert MEASURED.judged(1_000_000) == int(0.2 * 1000 / JUDGED)
    assert MEASURED.judging(50).left(1) == pytest.approx(1000 - 400 / 100 - 50 * JUDGED)


def test_without_a_limit_nothing_is_cut() -> None:
    endless = Timetable(time_left=None, training=4000, validation=400, after=700, seconds_after=0.01).measured(SPEED, 200)
    assert endless.left(1) is None
    assert endless.planner(SPEED, 1) is None
    assert endless.judged(1_000_000) == 1_000_000
