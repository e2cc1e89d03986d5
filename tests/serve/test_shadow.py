"""When a shadow predicts, and when it does not."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ratecast.config import BatchingConfig, LimitsConfig, ServeConfig
from ratecast.records import Review
from ratecast.serve.answered import Answered
from ratecast.serve.batching import Batcher, listed
from ratecast.serve.metrics import Metrics
from ratecast.serve.models import Served
from ratecast.serve.shadow import Shadows
from watched import watched, watched_model


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


class Bench:
    """A batcher and shadows, a version that answers and one that is a shadow."""

    def __init__(self, folder: Path, *, queue_bytes: int = 1_000_000, piece_bytes: int = 8000) -> None:
        self.answering, self.shadow = watched_model("shop", folder), watched_model("shop", folder)
        self.batcher = Batcher(BatchingConfig(), LimitsConfig())
        self.metrics = Metrics()
        config = ServeConfig().with_values(shadow_queue_bytes=queue_bytes, piece_bytes=piece_bytes)
        self.shadows = Shadows(self.batcher, config, self.metrics)

    def answer(self, *texts: str) -> None:
        """Have the shadow take a copy of an answer."""
        reviews = [Review(text=text) for text in texts]
        found = listed(watched(self.answering)._inner.predict(reviews))
        ids = [str(row) for row in range(len(reviews))]
        self.shadows.submit(Answered(served=self.answering, reviews=reviews, ids=ids, found=found), [self.shadow])

    def count(self, result: str) -> float:
        return float(self.metrics.shadow_reviews.labels("shop", self.shadow.version, result)._value.get())

    def close(self) -> None:
        watched(self.shadow).may_go_on.set()
        watched(self.answering).may_go_on.set()
        self.batcher.close()
        self.shadows.close()


def seen(served: Served) -> list[list[str]]:
    return watched(served).batches


def test_a_shadow_waits_until_no_request_does(linear_model: Path) -> None:
    bench = Bench(linear_model)

    async def work() -> None:
        watched(bench.answering).may_go_on.clear()
        job = bench.batcher.submit(bench.answering, [Review(text="request")])
        until(lambda: seen(bench.answering) == [["request"]])
        bench.answer("copy")
        await asyncio.sleep(0.3)
        assert seen(bench.shadow) == []
        watched(bench.answering).may_go_on.set()
        await job.answer
        until(lambda: bench.count("predicted") == 1)
        assert seen(bench.shadow) == [["copy"]]

    asyncio.run(work())
    bench.close()


def test_requests_come_in_between_the_pieces_of_a_copy(linear_model: Path) -> None:
    bench = Bench(linear_model, piece_bytes=200)

    async def work() -> None:
        watched(bench.shadow).may_go_on.clear()
        bench.answer(*(f"copy {number}" for number in range(4)))  # 70 bytes each, with what is added
        until(lambda: len(seen(bench.shadow)) == 1)
        job = bench.batcher.submit(bench.answering, [Review(text="request")])
        await asyncio.wait_for(job.answer, 30)  # which the shadow does not delay
        watched(bench.shadow).may_go_on.set()
        until(lambda: bench.count("predicted") == 4)
        assert seen(bench.shadow) == [["copy 0", "copy 1"], ["copy 2", "copy 3"]]

    asyncio.run(work())
    bench.close()


def test_what_is_too_much_is_dropped_and_what_fails_fails_alone(linear_model: Path, caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench(linear_model, queue_bytes=250)
    watched(bench.shadow).may_go_on.clear()
    for text in ("one", "poison", "three", "four", "five"):
        bench.answer(text)
    assert bench.count("dropped") == 2
    watched(bench.shadow).may_go_on.set()
    until(lambda: bench.count("predicted") == 2)
    assert bench.count("failed") == 1
    assert seen(bench.shadow) == [["one"], ["poison"], ["three"]]
    assert [record.getMessage() for record in caplog.records] == [f"the shadow {bench.shadow} failed"]
    until(lambda: bench.shadows._waiting_bytes == 0)
    bench.answer("six")
    until(lambda: bench.count("predicted") == 3)
    bench.close()
    bench.answer("seven")
    assert bench.count("dropped") == 3
