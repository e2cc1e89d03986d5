"""The queue against a plain sort of what was put in."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from ratecast.errors import DataError, UnknownPredictionError
from ratecast.store import Decision, Store, StoredPrediction, Waiting
from stored import SURE, TORN, predicted


def pages(store: Store, **chosen: Any) -> list[Waiting]:
    """All reviews that wait, read in small pages."""
    found: list[Waiting] = []
    after = None
    while True:
        page = store.queue(after=after, limit=7, **chosen)
        found += page.reviews
        after = page.next
        if after is None:
            return found
        assert len(page.reviews) == 7


def mixed(count: int) -> list[StoredPrediction]:
    draw = random.Random(0)
    return [
        predicted(
            f"id {number}",
            probabilities=draw.choice([SURE, TORN]),
            stars=draw.choice([None, 1.0, 4.0]),
            flag=draw.choice([None, None, "odd"]),
            model=draw.choice(["hotels", "phones"]),
            shadow=draw.random() < 0.1,
        )
        for number in range(count)
    ]


@pytest.mark.parametrize("chosen", [{}, {"model": "phones"}])
@pytest.mark.parametrize("reason", [None, "uncertain", "surprising", "flagged"])
def test_pages_have_everything_once_in_order(store: Store, chosen: dict[str, str], reason: Any) -> None:
    given = mixed(120)
    store.add_predictions(given)
    assert store.flush()
    expected: dict[str, Callable[[StoredPrediction], bool]] = {
        "uncertain": lambda entry: entry.probabilities == TORN,
        "surprising": lambda entry: entry.probabilities == SURE and entry.stars == 1.0,
        "flagged": lambda entry: entry.flag is not None,
    }
    of_choice = [
        entry for entry in given if not entry.shadow and all(getattr(entry, name) == value for name, value in chosen.items())
    ]
    whole = [entry for entry in of_choice if any(holds(entry) for holds in expected.values())]
    wanted = whole if reason is None else [entry for entry in of_choice if expected[reason](entry)]
    found = pages(store, reason=reason, **chosen)
    assert {entry.id for entry in found} == {entry.id for entry in wanted}
    assert [(entry.urgency, entry.id) for entry in found] == sorted(
        ((entry.urgency, entry.id) for entry in found), reverse=True
    )
    assert store.queue_sizes(**chosen)[reason or "all"] == len(wanted) == len(found)
    for entry in found:
        assert entry.reasons == tuple(
            name for name, holds in expected.items() if holds(next(e for e in given if e.id == entry.id))
        )


def test_a_page_has_what_a_person_needs_to_see(store: Store) -> None:
    given = predicted("a", probabilities=TORN, stars=2.0, interval=(1.0, 5.0), user="Jane", title="Hm", item="room")
    store.add_predictions([given])
    assert store.flush()
    (found,) = store.queue().reviews
    same = ("id", "time", "model", "version", "item", "user", "text", "title", "stars", "rating", "interval", "probabilities")
    assert all(getattr(found, name) == getattr(given, name) for name in same)


def test_a_decision_takes_a_review_out_of_the_queue(store: Store) -> None:
    store.add_predictions([predicted("a", probabilities=TORN), predicted("b", probabilities=TORN)])
    store.add_decision(Decision(prediction_id="a", reviewer="Ann", verdict="accept"))
    assert store.flush()
    assert [entry.id for entry in store.queue().reviews] == ["b"]
    store.add_decision(Decision(prediction_id="b", reviewer="Bob", verdict="correct", rating=2, note="irony"))
    assert [(found.decision.reviewer, found.prediction.id) for found in store.decided()] == [("Bob", "b"), ("Ann", "a")]
    assert [found.decision.rating for found in store.decided(limit=1)] == [2]
    assert store.queue_sizes()["all"] == 0
    with pytest.raises(UnknownPredictionError, match="there is no prediction 'c'"):
        store.add_decision(Decision(prediction_id="c", reviewer="Ann", verdict="accept"))
    store.flag("a", "look again")
    assert next((entry.id, entry.flag, entry.urgency) for entry in store.queue().reviews) == ("a", "look again", 1.0)


def test_a_flag_puts_a_review_before_those_without(store: Store) -> None:
    store.add_predictions([predicted("sure"), predicted("torn", probabilities=TORN), predicted("other", probabilities=TORN)])
    store.flag("sure", "harmful")
    store.flag("torn", "harmful")
    store.flag("torn", "harmful indeed")
    assert store.flush()
    found = store.queue().reviews
    assert [(entry.id, entry.flag) for entry in found] == [("torn", "harmful indeed"), ("sure", "harmful"), ("other", None)]
    assert found[0].urgency < 2
    with pytest.raises(UnknownPredictionError):
        store.flag("nobody", "harmful")


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"reason": "boring"}, "unknown reason 'boring'; known are uncertain"),
        ({"after": "x~y"}, "no place"),
        ({"after": "1"}, "no place"),
    ],
)
def test_questions_that_make_no_sense(store: Store, chosen: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        store.queue(**chosen)
