"""Settings of the service."""

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass, field

from ratecast.config.settings import Settings
from ratecast.config.store import StoreConfig


@dataclass(frozen=True, kw_only=True)
class ListenConfig:
    """Where the service listens, and who may use it."""

    host: str = "127.0.0.1"
    """Address to listen on. Beyond this machine only with keys: 0.0.0.0 is every address of the machine."""
    port: int = 8000
    """Port to listen on; 0 takes a free one."""
    keys: str | None = None
    """TOML file with the hashes of API keys, which ratecast new-key writes. Without it nobody needs a key, and only this
    machine is served."""
    leave_seconds: float = 0.0
    """After SIGTERM /readyz says no, and for so long requests are still taken, so that a load balancer can turn away."""
    drain_seconds: float = 30.0
    """How long requests that were taken may still be answered after that."""


@dataclass(frozen=True, kw_only=True)
class LimitsConfig:
    """What is refused."""

    max_body_bytes: int = 4_000_000
    """Largest body of a request; a larger one is refused while it is read."""
    max_upload_bytes: int = 30_000_000
    """Largest table that the page for people takes."""
    max_body_seconds: float = 20.0
    """Longest time that a client may take to send a body."""
    max_reading_bytes: int = 100_000_000
    """Most bytes of bodies that are being read at the same time; further ones are refused."""
    max_connections: int = 1000
    """Connections at the same time; further ones are refused."""
    max_head_seconds: float = 10.0
    """Longest time that a client may take to begin a request and to send its line and headers."""
    max_reviews: int = 1000
    """Most reviews in a request."""
    max_text_bytes: int = 200_000
    """Longest text of a review, with its title, in bytes of UTF-8."""
    max_queue_bytes: int = 16_000_000
    """Most bytes of text that wait to be predicted; past it requests are refused at once."""
    deadline_ms: float = 10_000.0
    """How long a request may take. One that would take longer, by what waits before it, is refused at once. A request may ask
    for less."""
    requests_per_minute: float | None = None
    """Requests that a key may send in a minute, unless the file of keys says something else of it; any number by default."""
    reviews_per_minute: float | None = None
    """Reviews that a key may send in a minute, unless the file of keys says something else of it; any number by default."""


@dataclass(frozen=True, kw_only=True)
class BatchingConfig:
    """How requests are gathered into batches."""

    batch_bytes: int = 16_000
    """Bytes of text, as far as networks read it, that are predicted at once. More is a little faster altogether, and a request
    waits longer for the batch before its own."""
    piece_bytes: int = 4_000
    """What a single request may take of a batch while others wait: the rest of a large one goes behind them."""
    wait_ms: float = 2.0
    """How long the first request of a batch waits for further ones where nothing is being predicted."""


@dataclass(frozen=True, kw_only=True)
class RoutingConfig:
    """Which models are served, and which version of a model answers."""

    models: tuple[str, ...] = ()
    """What is served, where the command line names nothing: a list of model folders, written as there."""
    watch_seconds: float | None = None
    """How often to look whether the model folders, or the list of them in the settings file, have changed; what is new is taken
    over. Never by default; on SIGHUP it is done at once."""
    shadow_queue_bytes: int = 1_000_000
    """Most bytes of text that wait for shadow versions, which predict only while no request waits; what is too much is dropped
    and counted."""
    route_seed: int | None = None
    """Seed of the draw that decides between versions where a request gives nothing to route by; a different one in each process
    by default."""


@dataclass(frozen=True, kw_only=True)
class TraceConfig:
    """Traces of requests for OpenTelemetry. They hold no texts."""

    trace_endpoint: str | None = None
    """Collector that gets the traces, by OTLP over HTTP: http://collector:4318. Nothing is traced by default."""
    trace_fraction: float = 1.0
    """Share of the requests that are traced, where the client does not tell by a traceparent whether to."""


@dataclass(frozen=True, kw_only=True)
class ServeConfig(Settings):
    """Everything that decides how a model is served."""

    listen: ListenConfig = field(default_factory=ListenConfig)
    limits: LimitsConfig = field(default_factory=LimitsConfig)
    batching: BatchingConfig = field(default_factory=BatchingConfig)
    routing: RoutingConfig = field(default_factory=RoutingConfig)
    keeping: StoreConfig = field(default_factory=StoreConfig)
    trace: TraceConfig = field(default_factory=TraceConfig)
    store: str | None = None
    """Where predictions and feedback are kept: an SQLite file, a folder for one, or a URL such as postgresql://user@host/name.
    Nothing is kept by default. The text of reviews is kept too, unless keep_text is false."""
    page: bool = True
    """Whether there is a page for people at /."""
    log_bodies: bool = False
    """Whether the log has the bodies of requests, to find out what a client sends. Mail and web addresses, names of accounts
    and numbers of seven digits or more are replaced, and the values of user and route_by; names in a text are not."""
    workers: int = 1
    """Processes that share the port, each with the models in its memory. Limits of keys are divided between them; all other
    limits are those of each."""
    threads: int | None = None
    """Processor threads of each worker; by default the cores are divided between the workers."""

    def combined_faults(self) -> Iterator[str]:
        """What is wrong with settings together, each of which is of its type."""
        if self.listen.keys is None and not is_loopback(self.listen.host):
            yield (
                f"host {self.listen.host!r} is reached from other machines, so that keys are needed: make one with "
                "ratecast new-key keys.toml NAME and give --keys keys.toml, or listen on 127.0.0.1"
            )
        for name in ("requests_per_minute", "reviews_per_minute"):
            if self.listen.keys is None and getattr(self.limits, name) is not None:
                yield f"{name} limits each key, but no keys are needed: give --keys, or leave it unset"
        endpoint = self.trace.trace_endpoint
        if endpoint is not None and not endpoint.startswith(("http://", "https://")):
            yield f"trace_endpoint must be a URL like http://collector:4318, found {endpoint!r}"
        if not 0 <= self.trace.trace_fraction <= 1:
            yield f"trace_fraction must be from 0 to 1, found {self.trace.trace_fraction}"
        if not 0 <= self.listen.port <= 65_535:
            yield f"port must be from 0 to 65535, found {self.listen.port}"


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine alone. A name other than localhost is taken to be reached from others."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"
