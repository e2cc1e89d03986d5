"""Numbers for Prometheus."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, values
from prometheus_client.exposition import generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from ratecast.serve.batching import Batcher

if TYPE_CHECKING:
    from ratecast.store import Store

_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
"""Environment variable of prometheus_client: where the processes of a service write their numbers."""

_DIFFERENCES: Final = (0.001, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)


class Metrics:
    """What the service counts, in a registry of its own; and over all of its workers, where there are several."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("ratecast_requests", "Requests answered.", ["route", "status"], registry=self.registry)
        self.seconds = Histogram(
            "ratecast_request_seconds",
            "Time from a request to its answer.",
            ["route"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.reviews = Counter(
            "ratecast_reviews", "Reviews predicted in answers.", ["model", "version"], registry=self.registry
        )
        self.reloads = Counter("ratecast_reloads", "Times that models were loaded anew.", ["result"], registry=self.registry)
        self.shadow_reviews = Counter(
            "ratecast_shadow_reviews",
            "Reviews copied for a shadow version: predicted, dropped because too much waited, or failed.",
            ["model", "version", "result"],
            registry=self.registry,
        )
        self.shadow_difference = Histogram(
            "ratecast_shadow_difference",
            "Absolute difference between the ratings of a shadow version and of the answer, as a share of the scale's width.",
            ["model", "version", "answered_by"],
            buckets=_DIFFERENCES,
            registry=self.registry,
        )
        self.limited = Counter(
            "ratecast_rate_limited",
            "Requests refused because their key sent too much.",
            ["key", "limit"],
            registry=self.registry,
        )
        self.cancelled = Counter("ratecast_cancelled", "Requests whose client went away.", registry=self.registry)
        self._watched: list[Callable[[], None]] = []

    @property
    def are_shared(self) -> bool:
        """Whether other processes count too, and read what this one counts."""
        return _FOLDER in os.environ

    def watch(self, batcher: Batcher) -> None:
        """Show the state of the queue too."""
        self._follow("ratecast_workers", "Processes that answer.", lambda: 1)
        self._follow("ratecast_queue_bytes", "Bytes of text that wait or are being predicted.", lambda: batcher.waiting_bytes)
        self._follow("ratecast_queue_requests", "Requests that wait or are being predicted.", lambda: batcher.waiting_requests)
        self._add_up("ratecast_batches", "Batches predicted.", lambda: batcher.batches)
        self._add_up("ratecast_batch_reviews", "Reviews predicted in batches.", lambda: batcher.predicted)

    def watch_store(self, store: "Store") -> None:
        """Show how writing to the store goes too."""
        self._follow("ratecast_store_waiting", "Predictions that wait to be written.", lambda: store.counts().waiting)
        self._add_up("ratecast_store_written", "Predictions written to the store.", lambda: store.counts().written)
        self._add_up(
            "ratecast_store_dropped",
            "Predictions that are in no store: too many waited, or the database would never take them.",
            lambda: store.counts().dropped + store.counts().refused,
        )
        self._add_up("ratecast_store_failures", "Writes that failed, and are tried again.", lambda: store.counts().failures)

    def refresh(self) -> None:
        """Write down what is watched, for whoever reads the numbers."""
        for write in self._watched:
            write()

    def text(self) -> bytes:
        """All numbers, in Prometheus' text format."""
        self.refresh()
        if not self.are_shared:
            return generate_latest(self.registry)
        together = CollectorRegistry()
        MultiProcessCollector(together)  # type: ignore[no-untyped-call] # prometheus_client does not annotate it
        return generate_latest(together)

    def _follow(self, name: str, about: str, read: Callable[[], int]) -> None:
        gauge = Gauge(name, about, registry=self.registry, multiprocess_mode="livesum")
        self._watched.append(lambda: gauge.set(read()))

    def _add_up(self, name: str, about: str, read: Callable[[], int]) -> None:
        counter, written = Counter(name, about, registry=self.registry), 0

        def write() -> None:
            nonlocal written
            now = read()
            counter.inc(now - written)
            written = now

        self._watched.append(write)


def share_metrics(folder: Path, number: int) -> None:
    """Count from now on together with other processes; to be called before anything is counted.

    Args:
        folder: where all of them write their numbers.
        number: tells this process from the others. One that follows a dead one with its number counts on.
    """
    os.environ[_FOLDER] = str(folder)
    shared: Any = values
    shared.ValueClass = shared.MultiProcessValue(lambda: number)
