"""The server of one process: what answers requests, put together; and how it ends."""

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Final

import uvicorn

from ratecast.config import ServeConfig
from ratecast.serve.app import create_app
from ratecast.serve.batching import Batcher
from ratecast.serve.files import possible_connections
from ratecast.serve.keys import KeyFile
from ratecast.serve.logs import FIELDS
from ratecast.serve.models import Models
from ratecast.serve.protocol import limited_protocol
from ratecast.serve.recording import StoreRecorder
from ratecast.serve.reload import Reloader
from ratecast.serve.service import Service
from ratecast.serve.signals import RELOAD
from ratecast.serve.tracing import create_tracing
from ratecast.store import Store

_LOG: Final = logging.getLogger("ratecast.serve")


def create_server(
    config: ServeConfig,
    *,
    read: Callable[[], ServeConfig],
    models: Callable[[], Models],
    tell: Callable[[list[str]], None],
    early: Sequence[int],
) -> "Server":
    """All that answers requests.

    Args:
        config: the settings.
        read: gives them as they are later, when models are loaded anew.
        models: waits for what is served first.
        tell: is called with the names of the models once requests are answered.
        early: signals to load models anew that came while those were loaded; they are followed then.

    Raises:
        StoreError: if the store cannot be opened.
    """
    keys = None if config.listen.keys is None else KeyFile(Path(config.listen.keys))
    loaded = models()  # before a store is made: where a folder is none, nothing is left behind
    store = None if config.store is None else Store.open(config.store, config.keeping)
    service = Service(
        config=config,
        tracing=create_tracing(config.trace),
        models=loaded,
        batcher=Batcher(config.batching, config.limits),
        store=store,
        recorder=None if store is None else StoreRecorder(store),
    )
    reloader = Reloader(service, read)
    settings = uvicorn.Config(
        create_app(service, reloader, keys),
        http=limited_protocol(config.limits.max_head_seconds, possible_connections(config.limits.max_connections)),
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="on",
        timeout_graceful_shutdown=max(1, round(config.listen.drain_seconds)),
    )
    return Server(settings, service, reloader, tell, early)


class Server(uvicorn.Server):
    """Stops in steps: readiness is taken back, then no connection is taken any more, then what was taken is answered."""

    def __init__(
        self,
        config: uvicorn.Config,
        service: Service,
        reloader: Reloader,
        tell: Callable[[list[str]], None],
        early: Sequence[int],
    ) -> None:
        super().__init__(config)
        self._service, self._reloader, self._tell, self._early = service, reloader, tell, early

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Tell that requests are answered, once they are."""
        await super().startup(sockets)
        self._tell([str(version.served) for version in self._service.models])

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave in order on SIGTERM and SIGINT, with the status of a process that did what it was told; reload on SIGHUP."""
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGTERM, signal.SIGINT)}
        if RELOAD is not None:
            before[RELOAD] = signal.signal(RELOAD, self._reload)
        if self._early:
            self._reloader.ask()
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        _LOG.info("stopped")

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to leave; a second signal does so at once."""
        seconds = 0.0 if self._service.is_leaving else self._service.config.listen.leave_seconds
        self.force_exit = self._service.is_leaving and sig == signal.SIGINT
        self._service.is_leaving = True
        _LOG.info("stopping", extra={FIELDS: {"signal": signal.Signals(sig).name}})
        loop = asyncio.get_running_loop()
        loop.call_soon_threadsafe(loop.call_later, seconds, self._leave)

    def _reload(self, sig: int, frame: FrameType | None) -> None:
        asyncio.get_running_loop().call_soon_threadsafe(self._reloader.ask)

    def _leave(self) -> None:
        self.should_exit = True
