"""What is put into a store is found in it, in each kind of database."""

import stat
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from ratecast.errors import ConfigError, DataError, StoreError, StoreUnavailableError, UnknownPredictionError
from ratecast.records import Predictions, Review
from ratecast.scale import RatingScale
from ratecast.store import Decision, Feedback, Store, StoredPrediction
from stored import SURE, TORN, predicted


def test_a_prediction_is_found_as_it_was_given(store: Store) -> None:
    scale = RatingScale.parse("1..5")
    predictions = Predictions(probabilities=np.array([[0.1, 0.2, 0.3, 0.2, 0.2]]), scale=scale, interval=np.array([[2.0, 4.5]]))
    given_at = datetime(2026, 1, 5, tzinfo=UTC)
    review = Review(text="Good, 好 \U0001f600", title="Nice", item="room 7", user="Jane Doe", rating=4, time=given_at)
    given = StoredPrediction.of(predictions[0], review, id="x", model="hotels", version="2", flag="odd", shadow=True)
    store.add_predictions([given])
    assert store.flush()
    assert store.history("x").prediction == given
    assert given.interval == (2.0, 4.5)
    assert given.rating == pytest.approx(3.2)
    assert (given.stars, given.time) == (4, review.time)


def test_what_no_database_can_hold_is_replaced(store: Store) -> None:
    store.add_predictions([predicted("a\0b", text="zero \0 half \ud83d whole \ud83d\ude00", user="\0")])
    store.add_feedback(Feedback(prediction_id="a\0b", rating=2, source="\0"))
    found = store.history("a\0b")
    assert found.prediction.text == "zero \ufffd half \ufffd whole \U0001f600"
    assert found.feedback[0].source == "\ufffd"
    assert store.delete_user("\0").predictions == 1


def test_history_has_what_came_after_in_order(store: Store) -> None:
    store.add_predictions([predicted("a"), predicted("b")])
    first = Feedback(prediction_id="a", rating=2, source="shop", time=datetime(2026, 1, 1, tzinfo=UTC))
    second = Feedback(prediction_id="a", rating=3, source="shop", time=datetime(2026, 1, 2, 12, 30, 0, 123456, tzinfo=UTC))
    decision = Decision(prediction_id="a", reviewer="Ann", verdict="correct", rating=4.5, note="irony")
    for entry in (second, first):
        assert store.add_feedback(entry)
    store.add_decision(decision)
    found = store.history("a")
    assert found.feedback == (first, second)
    assert found.decisions == (decision,)
    assert store.history("b").feedback == ()
    with pytest.raises(UnknownPredictionError, match="there is no prediction 'c'"):
        store.history("c")


def test_feedback_takes_its_waiting_prediction_along(store: Store, open_store: Callable[..., Store]) -> None:
    """Another process sees both at once, so a kill cannot part them."""
    store.add_predictions([predicted("a")])
    assert store.add_feedback(Feedback(prediction_id="a", rating=2))
    assert store.counts().waiting == 0
    assert store.counts().written == 1
    assert open_store().history("a").feedback[0].rating == 2


def test_feedback_may_come_before_its_prediction(store: Store, open_store: Callable[..., Store]) -> None:
    other = open_store()  # as in another process, where the prediction still waits
    assert not other.add_feedback(Feedback(prediction_id="a", rating=2))
    store.add_predictions([predicted("a")])
    assert store.flush()
    assert [entry.rating for entry in store.history("a").feedback] == [2]


def test_predictions_are_written_by_themselves(store: Store) -> None:
    store.add_predictions([predicted("a")])
    until = time.monotonic() + 10
    while store.counts().waiting and time.monotonic() < until:
        time.sleep(0.05)
    assert store.counts().written == 1


def test_closing_writes_what_waits(open_store: Callable[..., Store]) -> None:
    store = open_store()
    store.add_predictions([predicted(f"{number}") for number in range(1200)])
    store.close()
    assert store.counts().written == 1200
    again = open_store()
    assert again.history("1199").prediction.text == "text of 1199"


def test_the_same_prediction_twice_is_kept_once(store: Store) -> None:
    store.add_predictions([predicted("a", text="first")])
    assert store.flush()
    store.add_predictions([predicted("a", text="second"), predicted("b")])
    assert store.flush()
    assert store.history("a").prediction.text == "first"
    assert store.history("b").prediction.text == "text of b"


def test_a_sample_is_the_same_in_every_process(open_store: Callable[..., Store]) -> None:
    one, other, another_seed = (open_store(keep_fraction=0.3, sample_seed=seed) for seed in (1, 1, 2))
    ids = [f"id {number}" for number in range(10_000)]
    kept = [name for name in ids if one.keeps(name)]
    assert kept == [name for name in ids if other.keeps(name)]
    assert kept != [name for name in ids if another_seed.keeps(name)]
    assert len(kept) == pytest.approx(3000, abs=5 * (10_000 * 0.3 * 0.7) ** 0.5)
    one.add_predictions([predicted(name) for name in ids[:1000]])
    assert one.flush()
    assert one.counts().written == sum(one.keeps(name) for name in ids[:1000])
    every, none = open_store(keep_fraction=1.0), open_store(keep_fraction=0.0)
    assert all(every.keeps(name) and not none.keeps(name) for name in ids)


def test_shadows_are_kept_beside_the_answered_predictions_that_are(open_store: Callable[..., Store]) -> None:
    store = open_store(keep_fraction=0.3)
    ids = [f"id {number}" for number in range(200)]
    store.add_predictions([predicted(f"{name}~2", version="2", shadow=True) for name in ids])
    assert store.flush()
    kept = [name for name in ids if store.keeps(name)]
    assert store.counts().written == len(kept) < len(ids)
    assert store.history(f"{kept[0]}~2").prediction.shadow


def test_texts_are_not_kept_unless_wanted(open_store: Callable[..., Store]) -> None:
    store = open_store(keep_text=False)
    store.add_predictions([predicted("a", text="secret", title="secret", item="room")])
    store.add_feedback(Feedback(prediction_id="a", rating=1))
    found = store.history("a").prediction
    assert (found.text, found.title, found.item) == (None, None, "room")
    assert store.ratings().num_rows == 0


def test_a_row_that_the_database_refuses_holds_up_no_other(store: Store) -> None:
    rows = [predicted(f"{number}") for number in range(5)]
    rows[2] = predicted("2", rating=None)
    store.add_predictions(rows)
    assert store.flush()
    counts = store.counts()
    assert (counts.written, counts.refused, counts.failures, counts.waiting) == (4, 1, 0, 0)
    assert store.history("4").prediction.id == "4"


def test_too_many_are_dropped_and_counted_without_waiting(
    open_store: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ratecast.store.writer._INTERVAL_SECONDS", 60.0)
    store = open_store(waiting_limit=100)
    start = time.perf_counter()
    store.add_predictions([predicted(f"{number}") for number in range(150)])
    store.add_predictions([predicted("one more")])
    assert time.perf_counter() - start < 0.2
    assert (store.counts().waiting, store.counts().dropped) == (100, 51)
    assert store.flush()
    assert store.counts().written == 100
    store.add_predictions([predicted("one more")])
    assert store.flush()
    assert store.history("one more").prediction.id == "one more"


def test_many_threads_at_once(store: Store) -> None:
    def work(thread: int) -> None:
        for number in range(20):
            name = f"{thread} {number}"
            store.add_predictions([predicted(name)])
            assert store.add_feedback(Feedback(prediction_id=name, rating=thread))

    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.flush()
    assert store.ratings().num_rows == 160
    assert (store.counts().written, store.counts().failures) == (160, 0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Feedback(prediction_id="a", rating=float("nan")), "must be a finite number"),
        (lambda: Decision(prediction_id="a", reviewer="Ann", verdict="correct"), "needs a finite rating"),
        (lambda: Decision(prediction_id="a", reviewer="Ann", verdict="accept", rating=3), "keeps its rating"),
        (lambda: Decision(prediction_id="a", reviewer=" ", verdict="accept"), "needs the name"),
        (lambda: Decision(prediction_id="a", reviewer="Ann", verdict="maybe"), "found 'maybe'"),  # type: ignore[arg-type]
    ],
)
def test_entries_that_make_no_sense(make: Callable[[], object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        make()


def test_settings_that_make_no_sense() -> None:
    from ratecast.config import StoreConfig

    with pytest.raises(ConfigError, match="keep_fraction must be from 0 to 1, found 2; waiting_limit must be above 0, found 0"):
        StoreConfig(keep_fraction=2, waiting_limit=0)


# -- places -----------------------------------------------------------------------------------------------------------


def test_a_folder_gets_a_file_that_others_cannot_read(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        store.check()
    assert stat.S_IMODE((tmp_path / "ratecast.db").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("mysql://user:secret@host/name", "expected a database of sqlite or postgresql, found mysql"),
        ("sqlite://", "in memory would be lost"),
        ("postgresql://host:port/", "URL of the database cannot be read"),
        ("{tmp}/nowhere/ratecast.db", "No such file or directory; name a file in a folder that is there"),
        ("{tmp}/text.txt", "cannot be used: file is not a database"),
    ],
)
def test_places_that_cannot_be_used(place: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("no database, but long enough to be one\n" * 100, encoding="utf-8")
    with pytest.raises(StoreError, match=message) as caught:
        Store.open(place.format(tmp=tmp_path))
    assert "secret" not in str(caught.value)


def test_a_file_that_is_not_there_is_made_only_if_wanted(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no database"):
        Store.open(tmp_path / "a.db", create=False)
    assert not list(tmp_path.iterdir())


def test_a_server_that_does_not_answer_is_told_without_the_password() -> None:
    with pytest.raises(StoreUnavailableError, match=r"user:\*\*\*@127.0.0.1.*refused") as caught:
        Store.open("postgresql://user:secret@127.0.0.1:9/name")
    assert "secret" not in str(caught.value)


# -- deleting ---------------------------------------------------------------------------------------------------------


def test_deleting_a_user_deletes_everything_of_theirs_and_nothing_else(store: Store) -> None:
    for name, user in (("a", "Jane"), ("b", "Jane"), ("c", "jane"), ("d", None)):
        store.add_predictions([predicted(name, user=user, probabilities=TORN)])
        store.add_feedback(Feedback(prediction_id=name, rating=1))
    store.add_feedback(Feedback(prediction_id="a", rating=1))
    store.add_decision(Decision(prediction_id="b", reviewer="Ann", verdict="accept"))
    store.add_predictions([predicted("e", user="Jane"), predicted("f", user="Joe")])  # they still wait
    deleted = store.delete_user("Jane")
    assert (deleted.predictions, deleted.feedback, deleted.decisions) == (3, 3, 1)
    assert store.flush()
    for name in "abe":
        with pytest.raises(UnknownPredictionError):
            store.history(name)
    assert [store.history(name).prediction.user for name in "cdf"] == ["jane", None, "Joe"]
    assert store.queue_sizes()["all"] == 2
    assert store.delete_user("Jane").predictions == 0


def test_nothing_of_a_deleted_text_is_left_in_the_files(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        texts = ["a most secret opinion " * 400, "another secret opinion"]
        store.add_predictions([predicted(f"{number}", user="Jane", text=text) for number, text in enumerate(texts)])
        assert store.flush()
        assert any(b"secret opinion" in path.read_bytes() for path in tmp_path.iterdir())
        store.delete_user("Jane")
        assert not any(b"secret opinion" in path.read_bytes() for path in tmp_path.iterdir())


def test_what_is_old_is_deleted_with_what_belongs_to_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ratecast.store.deletion._BATCH_ROWS", 3)  # several batches
    today = datetime.now(UTC)
    for age in range(10):
        then = today - timedelta(days=age, hours=1)
        store.add_predictions([predicted(f"{age}", kept=then, shadow=age % 2 == 0)])
        store.add_feedback(Feedback(prediction_id=f"{age}", rating=1, time=today))
        store.add_feedback(Feedback(prediction_id=f"unknown {age}", rating=1, time=then))
    store.add_decision(Decision(prediction_id="8", reviewer="Ann", verdict="accept"))
    deleted = store.delete_older_than(2)
    assert (deleted.predictions, deleted.feedback, deleted.decisions) == (8, 16, 1)
    assert store.history("1").feedback
    with pytest.raises(UnknownPredictionError):
        store.history("2")


def test_old_predictions_go_by_themselves(open_store: Callable[..., Store]) -> None:
    store = open_store()
    store.add_predictions(
        [
            predicted("old", item="a", kept=datetime.now(UTC) - timedelta(days=31)),
            predicted("new", item="b", time=datetime(2020, 1, 1, tzinfo=UTC)),
        ]
    )
    assert store.flush()
    open_store(retention_days=30.0)
    until = time.monotonic() + 10
    while store.products(order="best").total > 1 and time.monotonic() < until:
        time.sleep(0.05)
    with pytest.raises(UnknownPredictionError):
        store.history("old")
    assert store.history("new").prediction.probabilities == SURE
