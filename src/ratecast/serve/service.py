"""What the routes work with: the models, and predicting with them for a request."""

import asyncio
import random
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from fastapi import Request

from ratecast.config import ServeConfig
from ratecast.records import Prediction, Review
from ratecast.scale import RatingScale
from ratecast.serve.answered import Answered
from ratecast.serve.batching import Batcher, Job
from ratecast.serve.faults import Fault
from ratecast.serve.metrics import Metrics
from ratecast.serve.models import Models, Served
from ratecast.serve.rates import Rates
from ratecast.serve.recording import Recorder
from ratecast.serve.shadow import Shadows
from ratecast.serve.tracing import Tracing
from ratecast.store import Store

_ROUTE_HEADER: Final = "x-route-by"
_WENT_AWAY: Final = 499
"""What nobody receives."""
_ROOM_SECONDS: Final = 0.25
"""How often what has no deadline looks for room."""
_PATIENCE_SECONDS: Final = 60.0
"""For how long it does."""


@dataclass(kw_only=True)
class Service:
    """What the routes work with.

    Attributes:
        models: what is served now; others may take its place at any time.
        is_leaving: whether the service is being stopped.
    """

    config: ServeConfig
    models: Models
    batcher: Batcher
    metrics: Metrics = field(default_factory=Metrics)
    store: Store | None = None
    recorder: Recorder | None = None
    tracing: Tracing = field(default_factory=Tracing)
    is_leaving: bool = False

    def __post_init__(self) -> None:
        self.rates = Rates(self.config.limits, self.metrics, self.config.workers)
        self.shadows = Shadows(self.batcher, self.config, self.metrics, self.recorder)
        self._draw = random.Random(self.config.routing.route_seed)  # noqa: S311 - no secret

    async def answer(
        self,
        request: Request,
        reviews: Sequence[Review],
        *,
        model: str | None = None,
        version: str | None = None,
        route_by: str | None = None,
        deadline_ms: float | None = None,
        check: Callable[[Served], None] = lambda _: None,
    ) -> Answered:
        """Predict reviews with others that wait, until the deadline, and as long as the client does not go away.

        Args:
            request: the request that they came with.
            reviews: what to predict.
            model: the model's name; the first model by default.
            version: the version of it; by default the weights decide.
            route_by: what that choice follows from; by default the request's header, or chance.
            deadline_ms: how long the answer is of use.
            check: is called with the version that is going to answer, and may refuse that.

        Raises:
            Fault: 404 for an unknown model or version, 409 for a rating outside its scale, 413 for too many reviews or a text
                too long, 429 for more than the key may send, 503 for too many that wait, 504 when the deadline passes.
        """
        models = self.models
        served = models.choose(model, version, self._route_key(request, route_by))
        check(served)
        check_size(reviews, self.config)
        _check_ratings(reviews, served)
        self.count_reviews(request, len(reviews))
        try:
            job = self.batcher.submit(served, reviews, deadline_ms)
        except Fault:
            self.rates.give_back(request.state.key, "reviews", len(reviews))
            raise
        try:
            found = await _finished(request, job)
        except BaseException as error:
            self.batcher.cancel(job)
            if isinstance(error, Fault) and error.status == _WENT_AWAY:
                self.metrics.cancelled.inc()
            raise
        finally:
            request.state.trace.predicted(job)
        self.metrics.reviews.labels(served.name, served.version).inc(len(reviews))
        request.state.log |= {"reviews": len(reviews), "model": served.name, "version": served.version}
        answered = Answered(served=served, reviews=reviews, ids=[secrets.token_hex(12) for _ in reviews], found=found)
        if self.recorder is not None:
            with request.state.trace.step("store", predictions=len(reviews)):
                self.recorder.record(answered)
        self.shadows.submit(answered, models.shadows(served.name))
        return answered

    async def answer_in_turn(self, served: Served, reviews: Sequence[Review]) -> list[Prediction]:
        """Predict a part of a longer work that has no deadline: where too much waits, it waits until that is less.

        Args:
            served: the version that predicts.
            reviews: the part; requests do not wait for all of it.

        Raises:
            Fault: 503 if there was no room for a minute, or the service is being stopped.
        """
        end = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                job = self.batcher.submit_part(served, reviews)
                break
            except Fault:
                if self.is_leaving or time.monotonic() > end:
                    raise
                await asyncio.sleep(_ROOM_SECONDS)
        try:
            found = await job.answer
        except BaseException:
            self.batcher.cancel(job)
            raise
        self.metrics.reviews.labels(served.name, served.version).inc(len(reviews))
        return found

    def count_reviews(self, request: Request, count: int) -> None:
        """Count reviews against the limit of the key that sends them.

        Raises:
            Fault: 429 if it may not send so many now.
        """
        self.rates.take(request.state.key, "reviews", count)

    def check_rating(self, rating: float) -> None:
        """See whether a rating can be that of a review, for one of the models.

        Raises:
            Fault: 409 if it lies on no model's scale.
        """
        scales = [served.predictor.scale for served in self.models.principal()]
        if not any(_holds(scale, rating) for scale in scales):
            raise _outside(f"expected a rating from {' or '.join(dict.fromkeys(map(_span, scales)))}, found {rating:g}")

    def check_ready(self) -> None:
        """See whether requests should be sent here.

        Raises:
            Fault: 503 if not.
        """
        if self.is_leaving:
            raise Fault.overloaded("the service is being stopped", 1.0)

    def close(self) -> None:
        """Predict no more, keep what waits to be kept, and hand over what is traced."""
        self.batcher.close()
        self.shadows.close()
        if self.recorder is not None:
            self.recorder.close()
        self.tracing.close()

    def _route_key(self, request: Request, given: str | None) -> bytes:
        if given is not None:
            return given.encode()
        return request.headers.get(_ROUTE_HEADER, "").encode("latin-1") or self._draw.randbytes(8)


async def _finished(request: Request, job: Job) -> list[Prediction]:
    """The predictions of a job.

    Raises:
        Fault: 504 when its deadline passes first; 499, which nobody receives, when the client goes away first.
    """
    loop = asyncio.get_running_loop()
    gone: asyncio.Future[Any] = asyncio.ensure_future(
        request.receive()
    )  # the body was read: what comes is the end of the connection
    try:
        left = job.deadline - loop.time()  # the loop's clock is time.monotonic
        done, _ = await asyncio.wait({job.answer, gone}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
    finally:
        gone.cancel()
    if job.answer in done:
        return job.answer.result()
    if gone in done:
        raise Fault(_WENT_AWAY, "went_away", "the client went away")
    raise Fault.too_late()


def _check_ratings(reviews: Sequence[Review], served: Served) -> None:
    """See whether the ratings that reviews came with can be on a model's scale.

    Raises:
        Fault: 409 if one cannot.
    """
    scale = served.predictor.scale
    for row, review in enumerate(reviews):
        if review.rating is not None and not _holds(scale, review.rating):
            raise _outside(f"review {row} came with the rating {review.rating:g}; expected one from {_span(scale)}")


def _holds(scale: RatingScale, rating: float) -> bool:
    """Whether a rating may be on a scale; the ends of a continuous one are only the outermost that was seen."""
    return scale.is_continuous or scale.low <= rating <= scale.high


def _span(scale: RatingScale) -> str:
    return f"{scale.low:g} to {scale.high:g}"


def _outside(message: str) -> Fault:
    return Fault(409, "rating_outside", message)


def check_size(reviews: Sequence[Review], config: ServeConfig) -> None:
    """Refuse too many reviews, and texts that are too long.

    Raises:
        Fault: 413.
    """
    limits = config.limits
    if len(reviews) > limits.max_reviews:
        raise Fault(
            413, "too_many_reviews", f"found {len(reviews)} reviews; expected at most {limits.max_reviews} in a request"
        )
    for row, review in enumerate(reviews):
        size = len(review.text.encode()) + len((review.title or "").encode())
        if size > limits.max_text_bytes:
            raise Fault(413, "text_too_long", f"review {row} has {size} bytes; expected at most {limits.max_text_bytes}")
