"""Requests become batches: one thread predicts, and takes what waits in turns."""

import asyncio
import logging
import math
import threading
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from ratecast.config import BatchingConfig, LimitsConfig
from ratecast.records import Prediction, Predictions, Review
from ratecast.serve.faults import Fault
from ratecast.serve.models import Served

_LOG: Final = logging.getLogger(__name__)
_SURE: Final = 0.8
"""Share of the time until its deadline that a request may be reckoned to take: the machine may do something else meanwhile."""
_REVIEW_BYTES: Final = 64
"""What a review counts besides its text: its special tokens, and its own part of the answer."""


@dataclass(frozen=True, kw_only=True)
class Batched:
    """A batch that a part of a job was in.

    Attributes:
        started, ended: moments on the clock of `time.monotonic`.
        reviews: of all jobs.
        own_reviews: of the job.
    """

    started: float
    ended: float
    reviews: int
    own_reviews: int


@dataclass(eq=False, kw_only=True)
class Job:
    """The reviews of a request on their way.

    Attributes:
        size: bytes of all its texts.
        costs: what predicting each review costs, in bytes of text that are read, shape ``(review,)``.
        deadline: when the answer is of no use any more, on the clock of `time.monotonic`.
        is_part: whether it is a part of a longer work: it has no deadline, and gives way after a piece.
        found: predictions so far, in the order of the reviews.
        batches: those in which they were predicted.
        left: cost of the reviews that are not predicted yet.
    """

    served: Served
    reviews: Sequence[Review]
    size: int
    costs: Sequence[int]
    deadline: float
    answer: "asyncio.Future[list[Prediction]]"
    is_part: bool = False
    arrived: float = field(default_factory=time.monotonic)
    found: list[Prediction] = field(default_factory=list)
    batches: list[Batched] = field(default_factory=list)
    left: int = 0

    def __post_init__(self) -> None:
        self.left = sum(self.costs)


@dataclass(frozen=True, kw_only=True)
class _Piece:
    job: Job
    reviews: Sequence[Review]
    cost: int


class Batcher:
    """Predicts in a thread of its own, whatever waits together.

    Jobs stand in a line. A batch takes a piece of each, from the first on; what is left of a large job goes to the end of the
    line, so that a small one behind it waits for a piece and not for all of it.

    Args:
        batching: how large batches and pieces are.
        limits: what is refused.
    """

    def __init__(self, batching: BatchingConfig, limits: LimitsConfig) -> None:
        self._batching, self._limits = batching, limits
        self._line: deque[Job] = deque()
        self._open: set[Job] = set()  # those that wait or are being predicted
        self._parts: set[Job] = set()  # those of them that are parts of longer works
        self._left: Counter[Served] = Counter()  # what they still cost
        self._size = 0  # of their texts, in bytes
        self._changed = threading.Condition()
        self._stopping = False
        self._ended = 0.0  # the batch before, on the clock of `time.monotonic`
        self.batches = self.predicted = 0
        self._thread = threading.Thread(target=self._run, name="ratecast-predict", daemon=True)
        self._thread.start()

    @property
    def waiting_bytes(self) -> int:
        """Bytes that will be read of what waits or is being predicted."""
        with self._changed:
            return self._left.total()

    @property
    def waiting_requests(self) -> int:
        """Requests that wait or are being predicted."""
        with self._changed:
            return len(self._open)

    def submit(self, served: Served, reviews: Sequence[Review], deadline_ms: float | None = None) -> Job:
        """Put the reviews of a request into the line; to be called on the event loop that the answer is awaited on.

        Args:
            served: what predicts them.
            reviews: the reviews.
            deadline_ms: how long the answer is of use; the service's own limit at most, and by default.

        Raises:
            Fault: 503 if too much waits already, or so much that the deadline would pass.
        """
        return self._submit(served, reviews, min(deadline_ms or self._limits.deadline_ms, self._limits.deadline_ms) / 1000)

    def submit_part(self, served: Served, reviews: Sequence[Review]) -> Job:
        """Put a part of a longer work into the line, which has no deadline: requests wait for no more than a piece of it.

        Raises:
            Fault: 503 if too much waits already.
        """
        return self._submit(served, reviews, math.inf, is_part=True)

    def _submit(self, served: Served, reviews: Sequence[Review], seconds: float, *, is_part: bool = False) -> Job:
        sizes = [review_size(review) for review in reviews]
        job = Job(
            served=served,
            reviews=reviews,
            size=sum(sizes),
            costs=[served.cost(size) for size in sizes],
            deadline=time.monotonic() + seconds,
            answer=asyncio.get_running_loop().create_future(),
            is_part=is_part,
        )
        with self._changed:
            if self._stopping:
                raise Fault.overloaded("the service is being stopped", 1.0)
            self._admit(job.size, job.left * served.seconds_per_byte, seconds)
            self._line.append(job)
            self._open.add(job)
            if is_part:
                self._parts.add(job)
            self._size += job.size
            self._left[served] += job.left
            self._changed.notify_all()
        return job

    def check_room(self, body_bytes: int) -> None:
        """Refuse a request that `submit` would refuse, before anything is done for it.

        Of a body of JSON a third at least is taken for text: a letter of two bytes may be written in six. Which model it is for
        is not known yet: the quickest of those that requests wait for.

        Args:
            body_bytes: size of its body; 0 if unknown.

        Raises:
            Fault: 503.
        """
        with self._changed:
            size = body_bytes // 3
            quickest = min((served.cost(size) * served.seconds_per_byte for served in self._left), default=0.0)
            self._admit(size, quickest, self._limits.deadline_ms / 1000)

    def cancel(self, job: Job) -> None:
        """Forget a job whose answer nobody waits for; what is not being predicted of it never will be."""
        with self._changed:
            self._drop(job)

    def wait_idle(self, seconds: float) -> bool:
        """Wait until nothing waits or is being predicted, for so long at most; whether that is so."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._open, seconds)

    def close(self) -> None:
        """End the thread after the batch that it works on; whatever still waits is refused."""
        with self._changed:
            self._stopping = True
            jobs = [job for job in self._line if job in self._open]
            for job in jobs:
                self._drop(job)
            self._changed.notify_all()
        for job in jobs:
            _settle(job, error=Fault.overloaded("the service is being stopped", 1.0))
        self._thread.join()

    def _admit(self, size: int, own_seconds: float, seconds: float) -> None:
        if not self._open:  # where nothing waits any request is taken: only trying shows how long it takes
            return
        ahead = sum(left * served.seconds_per_byte for served, left in self._left.items())
        for part in self._parts:  # the rest of each goes behind whatever comes
            ahead -= max(0, part.left - self._batching.piece_bytes) * part.served.seconds_per_byte
        if self._size + size > self._limits.max_queue_bytes:
            raise Fault.overloaded("too many reviews are waiting", ahead)
        slowest = max((served.seconds_per_byte for served in self._left), default=0.0)
        joining = min(ahead, self._batching.batch_bytes * slowest)  # what comes later may be in its batch, and is waited for
        if ahead + own_seconds + joining > _SURE * seconds:
            raise Fault.overloaded(f"this request would take longer than {seconds:g} s, for what waits before it", ahead)

    def _drop(self, job: Job) -> None:
        """Take a job off the books; the line passes over it when its turn comes."""
        if job in self._open:
            self._pay(job, job.left)
            self._forget(job)

    def _forget(self, job: Job) -> None:
        self._open.remove(job)
        self._parts.discard(job)
        self._size -= job.size
        if not self._open:
            self._changed.notify_all()

    def _pay(self, job: Job, cost: int) -> None:
        job.left -= cost
        self._left[job.served] -= cost
        if not self._left[job.served]:
            del self._left[job.served]  # so that a model that is served no more can go

    # -- the thread ---------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while self._predict_next():
            pass  # no name here holds on to what was predicted: a model that is served no more can go

    def _predict_next(self) -> bool:
        """Predict the next batch; False when it is time to stop."""
        pieces = self._next_batch()
        if not pieces:
            return False
        # From the end of the batch before, if this one waited by then: what the process does between batches takes time too.
        begun = max(self._ended, min(piece.job.arrived for piece in pieces))
        self._predict(pieces)
        self._ended = time.monotonic()
        cost = sum(piece.cost for piece in pieces)
        if 4 * cost >= self._batching.batch_bytes:  # in small batches other things than the text take the time
            pieces[0].job.served.learn(self._ended - begun, cost)
        self.batches += 1
        self.predicted += sum(len(piece.reviews) for piece in pieces)
        return True

    def _next_batch(self) -> list[_Piece]:
        """Wait for jobs, and for further ones a little; what to predict next, or nothing when it is time to stop."""
        with self._changed:
            while True:
                self._changed.wait_for(lambda: self._line or self._stopping)
                if self._stopping:
                    return []
                full = self._line[0].arrived + self._batching.wait_ms / 1000
                while not self._is_full() and (left := full - time.monotonic()) > 0 and not self._stopping:
                    self._changed.wait(left)
                if pieces := self._take():
                    return pieces

    def _is_full(self) -> bool:
        return self._left.total() >= self._batching.batch_bytes

    def _take(self) -> list[_Piece]:
        """Pieces of the jobs in line, all of one model, that fill a batch."""
        pieces: list[_Piece] = []
        later: list[Job] = []
        others: list[Job] = []
        room = self._batching.batch_bytes
        while self._line and (room > 0 or not pieces):
            job = self._line.popleft()
            if job not in self._open:
                continue
            if job.deadline < time.monotonic():
                self._drop(job)
                _settle(job, error=Fault.too_late())
                continue
            if pieces and job.served is not pieces[0].job.served:
                others.append(job)
                continue
            # A job alone in the line has nobody to make way for; but a part of a longer work is kept short for who comes next.
            is_cut = bool(self._line or later or pieces) or job.is_part
            most = min(room, self._batching.piece_bytes) if is_cut else room
            piece = _cut(job, most)
            pieces.append(piece)
            room -= piece.cost
            if len(piece.reviews) < len(job.reviews) - _taken(job):
                later.append(job)
        self._line.extendleft(reversed(others))
        self._line.extend(later)
        return pieces

    def _predict(self, pieces: Sequence[_Piece]) -> None:
        reviews = [review for piece in pieces for review in piece.reviews]
        started = time.monotonic()
        try:
            found = listed(pieces[0].job.served.predictor.predict(reviews))
        except Exception as error:  # noqa: BLE001 - whatever it is, the others are answered
            if len(pieces) > 1:  # find the one that fails, so that it fails alone
                for piece in pieces:
                    self._predict([piece])
                return
            _LOG.exception("predicting failed")
            self.cancel(pieces[0].job)
            _settle(pieces[0].job, error=error)
            return
        ended = time.monotonic()
        start = 0
        for piece in pieces:
            job, end = piece.job, start + len(piece.reviews)
            job.batches.append(Batched(started=started, ended=ended, reviews=len(reviews), own_reviews=len(piece.reviews)))
            job.found += found[start:end]
            start = end
            with self._changed:
                if job not in self._open:
                    continue
                self._pay(job, piece.cost)
                if job.left:
                    continue
                self._forget(job)
            _settle(job)


def _taken(job: Job) -> int:
    """Reviews of a job that are predicted; a job is never in two batches at once."""
    return len(job.found)


def _cut(job: Job, most: int) -> _Piece:
    """The next reviews of a job, at least one, up to a cost."""
    start = end = _taken(job)
    cost = 0
    while end < len(job.reviews) and (end == start or cost + job.costs[end] <= most):
        cost += job.costs[end]
        end += 1
    return _Piece(job=job, reviews=job.reviews[start:end], cost=cost)


def _settle(job: Job, *, error: BaseException | None = None) -> None:
    def tell() -> None:
        if job.answer.done():
            return
        if error is None:
            job.answer.set_result(job.found)
        else:
            job.answer.set_exception(error)

    try:
        job.answer.get_loop().call_soon_threadsafe(tell)
    except RuntimeError:  # the loop is closed: nobody waits
        _LOG.debug("an answer came after the end of the event loop")


def review_size(review: Review) -> int:
    """Bytes of a review, and some for what it takes besides."""
    return _REVIEW_BYTES + len(review.text.encode()) + len((review.title or "").encode())


def listed(predictions: Predictions) -> list[Prediction]:
    """The predictions one by one; the arrays are computed once for all of them, which indexing would do for each."""
    levels = predictions.scale.levels
    intervals = [None] * len(predictions) if predictions.interval is None else predictions.interval.tolist()
    warnings = predictions.warnings or [()] * len(predictions)
    passed = [None] * len(predictions) if predictions.passed_on is None else predictions.passed_on.tolist()
    numbers = (predictions.rating, predictions.median, predictions.mode)
    columns = (*(values.tolist() for values in numbers), predictions.probabilities.tolist(), intervals, warnings, passed)
    return [
        Prediction(
            rating=rating,
            median=median,
            mode=mode,
            probabilities=dict(zip(levels, chances, strict=True)),
            interval=None if interval is None else (interval[0], interval[1]),
            warnings=tuple(notes),
            passed_on=passed_on,
        )
        for rating, median, mode, chances, interval, notes, passed_on in zip(*columns, strict=True)
    ]
