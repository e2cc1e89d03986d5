"""Shadow versions: they predict copies of what was answered, to be compared with it."""

import logging
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from ratecast.config import ServeConfig
from ratecast.records import Prediction, Review
from ratecast.serve.answered import Answered
from ratecast.serve.batching import Batcher, listed, review_size
from ratecast.serve.metrics import Metrics
from ratecast.serve.models import Served
from ratecast.serve.recording import Recorder

_LOG: Final = logging.getLogger(__name__)
_LOOK_SECONDS: Final = 0.1
"""How often to see whether it is time to stop, while requests keep the service busy."""


@dataclass(frozen=True, kw_only=True)
class _Copy:
    shadow: Served
    answered: Answered
    size: int


class Shadows:
    """Predicts with shadow versions in a thread of its own, while no request waits or is being predicted.

    Args:
        batcher: what predicts for requests.
        config: how much may wait here, and how much is predicted without another look at the requests.
        metrics: where the differences are shown.
        recorder: where predictions are kept, if anywhere.
    """

    def __init__(self, batcher: Batcher, config: ServeConfig, metrics: Metrics, recorder: Recorder | None = None) -> None:
        self._batcher, self._metrics, self._recorder = batcher, metrics, recorder
        self._most_bytes, self._piece_bytes = config.routing.shadow_queue_bytes, config.batching.piece_bytes
        self._line: deque[_Copy] = deque()
        self._waiting_bytes = 0
        self._changed = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="ratecast-shadow", daemon=True)
        self._thread.start()

    def submit(self, answered: Answered, shadows: Sequence[Served]) -> None:
        """Take a copy of what was answered for each shadow; never waits, and drops what is too much."""
        size = sum(map(review_size, answered.reviews)) if shadows else 0
        for shadow in shadows:
            with self._changed:
                has_room = self._waiting_bytes + size <= self._most_bytes and not self._stopping
                if has_room:
                    self._line.append(_Copy(shadow=shadow, answered=answered, size=size))
                    self._waiting_bytes += size
                    self._changed.notify_all()
            if not has_room:
                self._count(shadow, answered, "dropped")

    def close(self) -> None:
        """End the thread; what waits is dropped."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join()

    # -- the thread ---------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while self._predict_next():
            pass  # no name here holds on to a shadow that is served no more

    def _predict_next(self) -> bool:
        """Predict the next copy; False when it is time to stop."""
        with self._changed:
            self._changed.wait_for(lambda: self._line or self._stopping)
            if self._stopping:
                return False
            copy = self._line.popleft()
        try:
            self._compare(copy)
        except Exception:  # noqa: BLE001 - whatever it is, the answer was given
            _LOG.exception("the shadow %s failed", copy.shadow)
            self._count(copy.shadow, copy.answered, "failed")
        with self._changed:
            self._waiting_bytes -= copy.size
        return True

    def _compare(self, copy: _Copy) -> None:
        shadow, answered = copy.shadow, copy.answered
        found: list[Prediction] = []
        for piece in _pieces(answered.reviews, self._piece_bytes):
            while not self._batcher.wait_idle(_LOOK_SECONDS):
                if self._stopping:
                    return
            found += listed(shadow.predictor.predict(list(piece)))
        self._count(shadow, answered, "predicted")
        scale = answered.served.predictor.scale
        shown = self._metrics.shadow_difference.labels(shadow.name, shadow.version, answered.served.version)
        for own, other in zip(found, answered.found, strict=True):
            shown.observe(abs(own.rating - other.rating) / (scale.high - scale.low))
        if self._recorder is not None:
            ids = [f"{name}~{shadow.version}" for name in answered.ids]
            self._recorder.record(Answered(served=shadow, reviews=answered.reviews, ids=ids, found=found), shadow=True)

    def _count(self, shadow: Served, answered: Answered, result: str) -> None:
        self._metrics.shadow_reviews.labels(shadow.name, shadow.version, result).inc(len(answered.reviews))


def _pieces(reviews: Sequence[Review], most_bytes: int) -> Iterator[Sequence[Review]]:
    """The reviews in pieces of at least one and otherwise up to a size, which are predicted at once."""
    piece: list[Review] = []
    left = most_bytes
    for review in reviews:
        left -= review_size(review)
        if piece and left < 0:
            yield piece
            piece, left = [], most_bytes - review_size(review)
        piece.append(review)
    yield piece
