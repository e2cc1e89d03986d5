"""How much each key may send in a minute."""

import math
import threading
import time
from typing import Final, Literal

from ratecast.config import LimitsConfig
from ratecast.serve.faults import Fault
from ratecast.serve.keys import Key
from ratecast.serve.metrics import Metrics

What = Literal["requests", "reviews"]
_WHATS: Final[tuple[What, ...]] = ("requests", "reviews")


class Bucket:
    """A token bucket: it holds what a minute allows, is emptied by what is sent, and fills up steadily.

    Who sends more than a minute's worth at once is let through when the bucket is full. It then owes the rest, so that the rate
    is kept all the same.

    Args:
        per_minute: how much a minute allows.
    """

    def __init__(self, per_minute: float) -> None:
        self.per_minute = per_minute
        self._left, self._seen = per_minute, time.monotonic()

    @property
    def left(self) -> float:
        """What may be sent now; below 0 where something is owed."""
        now = time.monotonic()
        self._left = min(self.per_minute, self._left + (now - self._seen) * self.per_minute / 60)
        self._seen = now
        return self._left

    def seconds_until(self, count: float) -> float:
        """How long it takes until so much may be sent; 0 if it may be now."""
        return max(0.0, 60 * (min(count, self.per_minute) - self.left) / self.per_minute)

    def take(self, count: float) -> float:
        """Take so much if it may be sent, and otherwise nothing; the seconds until it may be, 0 if it was taken."""
        seconds = self.seconds_until(count)
        if not seconds:
            self._left -= count
        return seconds

    def give_back(self, count: float) -> None:
        """Undo a `take`."""
        self._left += count


class Rates:
    """The limits of all keys, those of a name with a bucket of requests and one of reviews.

    Args:
        limits: what a minute allows a key that says nothing else.
        metrics: counts what is refused.
        workers: processes that share the limits, of which each allows its part.
    """

    def __init__(self, limits: LimitsConfig, metrics: Metrics, workers: int = 1) -> None:
        self._limits, self._metrics, self._workers = limits, metrics, workers
        self._buckets: dict[tuple[str, What, float], Bucket] = {}
        self._lock = threading.Lock()  # the page counts reviews in threads

    def take(self, key: Key | None, what: What, count: int) -> None:
        """Count what a key sends.

        Raises:
            Fault: 429 if the key may not send so much now; it is not counted then.
        """
        bucket = self._bucket(key, what)
        if key is None or bucket is None:
            return
        with self._lock:
            seconds = bucket.take(count)
        if seconds:
            self._metrics.limited.labels(key.name, what).inc()
            raise Fault.too_much(f"the key {key.name!r} may send {self._per_minute(key, what):g} {what} a minute", seconds)

    def give_back(self, key: Key | None, what: What, count: int) -> None:
        """Count no more what was counted and then refused for another reason."""
        if (bucket := self._bucket(key, what)) is not None:
            with self._lock:
                bucket.give_back(count)

    def headers(self, key: Key | None) -> dict[str, str]:
        """What a key may still send, in the words of the IETF's draft of RateLimit header fields."""
        buckets = [(what, bucket) for what in _WHATS if (bucket := self._bucket(key, what)) is not None]
        if not buckets:
            return {}
        policies = [f'"{what}";q={max(1, math.floor(bucket.per_minute))};w=60' for what, bucket in buckets]
        with self._lock:
            states = [
                f'"{what}";r={max(0, math.floor(bucket.left))};t={math.ceil(bucket.seconds_until(math.inf))}'
                for what, bucket in buckets
            ]
        return {"ratelimit-policy": ", ".join(policies), "ratelimit": ", ".join(states)}

    def _per_minute(self, key: Key, what: What) -> float:
        own = key.requests_per_minute if what == "requests" else key.reviews_per_minute
        default = self._limits.requests_per_minute if what == "requests" else self._limits.reviews_per_minute
        given = default if own is None else own
        return math.inf if given is None else given

    def _bucket(self, key: Key | None, what: What) -> Bucket | None:
        """The bucket of a key, which all keys of its name and limit share, so that two for a while send no more than one.

        It is new if the limit is; None where nothing limits the key.
        """
        if key is None or math.isinf(per_minute := self._per_minute(key, what) / self._workers):
            return None
        with self._lock:
            return self._buckets.setdefault((key.name, what, per_minute), Bucket(per_minute))
