"""Batches, limits, deadlines and cancelling, with a real model in the predictor's thread."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ratecast
from ratecast.config import BatchingConfig, LimitsConfig
from ratecast.records import Review
from ratecast.serve.batching import Batcher, listed, review_size
from ratecast.serve.faults import Fault
from ratecast.serve.models import Served
from watched import watched, watched_model


@pytest.fixture
def served(linear_model: Path) -> Served:
    return watched_model("tiny", linear_model)


def with_batcher(
    work: Callable[[Batcher], Coroutine[Any, Any, None]], *, limits: LimitsConfig | None = None, **batching: Any
) -> None:
    async def main() -> None:
        batcher = Batcher(BatchingConfig(**batching), limits or LimitsConfig())
        try:
            await work(batcher)
            assert (batcher.waiting_bytes, batcher.waiting_requests) == (0, 0)
        finally:
            batcher.close()

    asyncio.run(asyncio.wait_for(main(), 60))


def reviews_of(*texts: str) -> list[Review]:
    return [Review(text=text) for text in texts]


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - what is waited for happens in another thread
        await asyncio.sleep(0.005)


async def holding(batcher: Batcher, served: Served) -> Any:
    """Keep the predictor busy with one review until it may go on."""
    watched(served).may_go_on.clear()
    job = batcher.submit(served, reviews_of("first"))
    await until(lambda: len(watched(served).batches) == 1)
    return job


def test_what_waits_is_predicted_together_and_each_gets_its_own(served: Served, linear_model: Path) -> None:
    texts = [f"the movie was {word} {number}" for number, word in enumerate(("good", "bad", "great", "awful") * 10)]

    async def work(batcher: Batcher) -> None:
        first = await holding(batcher, served)
        jobs = [batcher.submit(served, reviews_of(*texts[start : start + 4])) for start in range(0, 40, 4)]
        watched(served).may_go_on.set()
        found = [one for job in jobs for one in await job.answer]
        expected = ratecast.load(linear_model).predict(texts)
        np.testing.assert_allclose([one.rating for one in found], expected.rating, atol=1e-9)
        assert len(await first.answer) == 1
        assert watched(served).batches == [["first"], texts]

    with_batcher(work)


def test_a_batch_waits_for_further_requests(served: Served) -> None:
    async def work(batcher: Batcher) -> None:
        jobs = []
        for number in range(3):
            jobs.append(batcher.submit(served, reviews_of(str(number))))
            await asyncio.sleep(0.02)
        for job in jobs:
            await job.answer
        assert watched(served).batches == [["0", "1", "2"]]

    with_batcher(work, wait_ms=2000.0, batch_bytes=3 * review_size(Review(text="0")))  # full: nothing waits 2 s
    watched(served).batches.clear()

    async def alone(batcher: Batcher) -> None:
        started = time.monotonic()
        await batcher.submit(served, reviews_of("0")).answer
        assert 0.3 <= time.monotonic() - started < 5

    with_batcher(alone, wait_ms=300.0)


def test_a_large_request_is_cut_and_others_overtake_it(served: Served) -> None:
    async def work(batcher: Batcher) -> None:
        await_first = await holding(batcher, served)
        large = batcher.submit(served, reviews_of(*(f"large {number:02d}" for number in range(40))))
        small = batcher.submit(served, reviews_of("small"))
        watched(served).may_go_on.set()
        await small.answer
        assert [one.rating for one in await large.answer]
        assert len(await large.answer) == 40
        await await_first.answer
        batches = watched(served).batches
        assert batches[1] == [f"large {number:02d}" for number in range(10)] + ["small"]
        assert [text for batch in batches[1:] for text in batch if text != "small"] == [
            f"large {number:02d}" for number in range(40)
        ]
        assert [len(batch) for batch in batches[2:]] == [20, 10]  # alone in the line it fills batches

    cost = review_size(Review(text="large 00"))
    with_batcher(work, batch_bytes=20 * cost, piece_bytes=10 * cost)


def test_past_the_limit_of_the_queue_requests_are_refused_at_once(served: Served) -> None:
    async def work(batcher: Batcher) -> None:
        first = await holding(batcher, served)
        taken = batcher.submit(served, reviews_of("a" * 600))
        started = time.monotonic()
        with pytest.raises(Fault) as found:
            batcher.submit(served, reviews_of("b" * 600))
        assert time.monotonic() - started < 0.05
        assert (found.value.status, found.value.headers["Retry-After"]) == (503, "1")
        watched(served).may_go_on.set()
        assert len(await taken.answer) == len(await first.answer) == 1

    with_batcher(work, limits=LimitsConfig(max_queue_bytes=1000))


def test_a_text_that_is_read_in_part_costs_little_and_takes_its_room_all_the_same(tiny_model: Path) -> None:
    served = watched_model("tiny", tiny_model)
    most = ratecast.load(tiny_model).most_tokens
    assert most is not None
    assert served.cost(5 * most - 1) == 5 * most - 1
    assert 5 * most < served.cost(200_000) < 5 * most + 1_000
    huge = reviews_of("great " * 33_000)

    async def work(batcher: Batcher) -> None:
        first = await holding(batcher, served)
        taken = batcher.submit(served, huge)
        assert batcher.waiting_bytes < 2_000
        with pytest.raises(Fault, match="too many reviews are waiting"):
            batcher.submit(served, huge)
        with pytest.raises(Fault, match="too many reviews are waiting"):
            batcher.check_room(600_000)
        watched(served).may_go_on.set()
        assert len(await taken.answer) == len(await first.answer) == 1
        await batcher.submit(served, huge).answer  # there is room again

    with_batcher(work, limits=LimitsConfig(max_queue_bytes=300_000))


def test_a_request_is_reckoned_to_wait_for_all_of_its_batch(served: Served) -> None:
    async def work(batcher: Batcher) -> None:
        served.learn(100.0, 100_000)  # a millisecond for each byte
        served.learn(100.0, 100_000)
        first = await holding(batcher, served)
        jobs = [batcher.submit(served, reviews_of("a" * 936)) for _ in range(4)]  # 1 s each, the last one after 4 s
        with pytest.raises(Fault, match="longer than 10 s"):  # more may come into its batch, of 3.8 s
            batcher.submit(served, reviews_of("a" * 936))
        batcher.submit(served, reviews_of("a"))
        watched(served).may_go_on.set()
        for job in jobs:
            assert len(await job.answer) == 1
        await first.answer
        await until(lambda: batcher.waiting_requests == 0)

    with_batcher(work, batch_bytes=3800)


def test_requests_do_not_wait_for_all_of_a_longer_work(served: Served) -> None:
    async def work(batcher: Batcher) -> None:
        served.learn(100.0, 100_000)  # a millisecond for each byte
        served.learn(100.0, 100_000)
        first = await holding(batcher, served)
        parts = [batcher.submit_part(served, reviews_of(*["a" * 936] * 16)) for _ in range(2)]  # 32 s
        small = batcher.submit(served, reviews_of("small"))
        with pytest.raises(Fault, match="longer than 10 s"):
            batcher.submit(served, reviews_of(*["a" * 936] * 7))
        watched(served).may_go_on.set()
        await small.answer
        for part in parts:
            assert len(await part.answer) == 16
        assert "small" in watched(served).batches[1]
        await first.answer

    with_batcher(work, piece_bytes=1000, batch_bytes=4000)


def test_a_request_that_would_be_late_is_refused_at_once(served: Served) -> None:
    async def work(batcher: Batcher) -> None:
        served.learn(100.0, 1000)  # a tenth of a second for each byte
        served.learn(100.0, 1000)
        first = await holding(batcher, served)
        with pytest.raises(Fault, match="longer than 10 s") as found:
            batcher.submit(served, reviews_of("a" * 1000))
        assert int(found.value.headers["Retry-After"]) >= 1
        watched(served).may_go_on.set()
        await first.answer

    with_batcher(work)


def test_time_between_batches_counts_as_theirs(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(batcher: Batcher) -> None:
        first = await holding(batcher, served)
        second = batcher.submit(served, reviews_of("second"))
        take = batcher._next_batch

        def take_late() -> Any:
            time.sleep(0.5)  # as when requests are refused by the thousand
            return take()

        monkeypatch.setattr(batcher, "_next_batch", take_late)
        watched(served).may_go_on.set()
        await first.answer
        await until(lambda: batcher.batches == 1)  # an answer is given before its batch is learnt from
        known = served.seconds_per_byte
        await second.answer
        await until(lambda: batcher.batches == 2)
        assert served.seconds_per_byte > 2 * known

    with_batcher(work, batch_bytes=100)


def test_a_body_is_refused_unread_only_if_its_request_would_be(served: Served) -> None:
    async def work(batcher: Batcher) -> None:
        batcher.check_room(10**9)  # nothing waits
        first = await holding(batcher, served)
        taken = batcher.submit(served, reviews_of("a" * 600))
        room = 1000 - batcher.waiting_bytes
        batcher.check_room(3 * room + 2)  # so large a body may hold as little text as that
        with pytest.raises(Fault, match="too many reviews are waiting"):
            batcher.check_room(3 * room + 3)
        served.learn(100.0, 1000)  # a tenth of a second for each byte: what waits alone takes too long
        served.learn(100.0, 1000)
        with pytest.raises(Fault, match="longer than 10 s") as found:
            batcher.check_room(0)
        assert found.value.status == 503
        watched(served).may_go_on.set()
        assert len(await taken.answer) == len(await first.answer) == 1

    with_batcher(work, limits=LimitsConfig(max_queue_bytes=1000))


def test_what_is_late_is_not_computed(served: Served) -> None:
    async def work(batcher: Batcher) -> None:
        first = await holding(batcher, served)
        late = batcher.submit(served, reviews_of("late"), deadline_ms=50)
        await asyncio.sleep(0.1)
        watched(served).may_go_on.set()
        with pytest.raises(Fault) as found:
            await late.answer
        assert found.value.status == 504
        await first.answer
        assert watched(served).batches == [["first"]]

    with_batcher(work)


def test_what_is_cancelled_is_not_computed(served: Served) -> None:
    async def work(batcher: Batcher) -> None:
        first = await holding(batcher, served)
        cancelled, kept = (batcher.submit(served, reviews_of(text)) for text in ("cancelled", "kept"))
        batcher.cancel(cancelled)
        batcher.cancel(first)  # while it is computed
        watched(served).may_go_on.set()
        await kept.answer
        assert watched(served).batches == [["first"], ["kept"]]
        assert not cancelled.answer.done()

    with_batcher(work)


def test_a_text_that_cannot_be_predicted_fails_alone(served: Served) -> None:
    async def work(batcher: Batcher) -> None:
        first = await holding(batcher, served)
        jobs = [batcher.submit(served, reviews_of(text)) for text in ("good", "poison", "bad")]
        watched(served).may_go_on.set()
        await first.answer
        assert len(await jobs[0].answer) == len(await jobs[2].answer) == 1
        with pytest.raises(ZeroDivisionError):
            await jobs[1].answer
        assert len(await batcher.submit(served, reviews_of("after")).answer) == 1

    with_batcher(work)


def test_closing_refuses_what_waits(served: Served) -> None:
    async def work(batcher: Batcher) -> None:
        first = await holding(batcher, served)
        waiting = batcher.submit(served, reviews_of("waiting"))
        watched(served).may_go_on.set()
        batcher.close()
        await first.answer
        with pytest.raises(Fault):
            await waiting.answer
        with pytest.raises(Fault):
            batcher.submit(served, reviews_of("after"))

    with_batcher(work, wait_ms=0.0)


def test_predictions_one_by_one_are_those_of_the_batch(linear_model: Path) -> None:
    predictions = ratecast.load(linear_model).predict(["good", "", "the food was awful"])
    for one, expected in zip(listed(predictions), predictions, strict=True):
        assert (one.rating, one.median, one.mode) == (expected.rating, expected.median, expected.mode)
        assert one.probabilities == expected.probabilities
        assert (one.interval, one.warnings) == (expected.interval, expected.warnings)
