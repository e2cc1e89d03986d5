"""Numbers for Prometheus."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest

from ratecast.serve.batching import Batcher

_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

_DIFFERENCES: Final = (0.001, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)


class Metrics:
    """What the service counts, in a registry of its own."""

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

    def watch(self, batcher: Batcher) -> None:
        """Show the state of the queue too."""
        gauges = {
            "ratecast_queue_bytes": ("Bytes of text that wait or are being predicted.", lambda: batcher.waiting_bytes),
            "ratecast_queue_requests": ("Requests that wait or are being predicted.", lambda: batcher.waiting_requests),
            "ratecast_batches": ("Batches predicted since the start.", lambda: batcher.batches),
            "ratecast_batch_reviews": ("Reviews predicted in batches since the start.", lambda: batcher.predicted),
        }
        for name, (about, read) in gauges.items():
            Gauge(name, about, registry=self.registry).set_function(read)

    def text(self) -> bytes:
        """All numbers, in Prometheus' text format."""
        return generate_latest(self.registry)
