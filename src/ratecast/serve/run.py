"""The process that serves: from settings to the last answer."""

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Final

import uvicorn

from ratecast.config import ServeConfig
from ratecast.errors import ConfigError
from ratecast.processors import available_processors
from ratecast.serve.app import create_app
from ratecast.serve.batching import Batcher
from ratecast.serve.keys import KeyFile, read_keys
from ratecast.serve.logs import FIELDS
from ratecast.serve.models import load_models
from ratecast.serve.recording import StoreRecorder
from ratecast.serve.reload import Reloader
from ratecast.serve.service import Service
from ratecast.serve.tracing import create_tracing
from ratecast.serve.versions import wanted_versions
from ratecast.serve.workers import Supervisor
from ratecast.store import Store

_LOG: Final = logging.getLogger("ratecast.serve")
_WAITING_CONNECTIONS: Final = 2048
_RELOAD: Final = getattr(signal, "SIGHUP", None)
"""The signal to load models anew; Windows has none."""


def serve(read: Callable[[], ServeConfig]) -> None:
    """Serve models until the process is told to stop.

    Args:
        read: gives the settings; it is called again whenever models are loaded anew. It has to be picklable where there are
            several workers.

    Raises:
        ConfigError: if a setting is wrong, the address cannot be listened on, the keys cannot be read, or a worker cannot
            start.
        ModelFolderError: if a folder is no model folder, or damaged.
        StoreError: if the store cannot be opened.
    """
    config = read()
    wanted_versions(config.routing.models)
    if config.listen.keys is not None:
        read_keys(Path(config.listen.keys))
    with contextlib.closing(listen(config.listen.host, config.listen.port)) as bound:
        host, port = bound.getsockname()[:2]
        url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

        def tell(models: list[str]) -> None:
            _LOG.info("serving", extra={FIELDS: {"url": url, "models": models}})

        if config.workers == 1:
            _serve_here(read, bound, tell)
            return
        if config.store is not None:
            Store.open(config.store).close()  # what is wrong with it is told at once, and by one process
        # What the supervisor holds of the port is given up first: nobody shall be kept waiting there.
        Supervisor(partial(_work, read, bound), config.workers, ready=tell, leave=bound.close).run()


def _work(read: Callable[[], ServeConfig], bound: socket.socket, number: int, tell: Callable[[list[str]], None]) -> None:
    """Serve as one of several workers."""
    _serve_here(lambda: worker_config(read(), number), bound, tell)


def worker_config(config: ServeConfig, number: int) -> ServeConfig:
    """Settings of a worker: its part of the processors; and the first alone looks after the age of what is kept."""
    threads = config.threads or max(1, available_processors() // config.workers)
    return config.with_values(threads=threads, retention_days=config.keeping.retention_days if number == 0 else None)


def _serve_here(read: Callable[[], ServeConfig], bound: socket.socket, tell: Callable[[list[str]], None]) -> None:
    """Serve in this process; it tells the names of the models once it answers."""
    config = read()
    keys = None if config.listen.keys is None else KeyFile(Path(config.listen.keys))
    with _without_reloads():
        models = load_models(wanted_versions(config.routing.models), config.threads)
        store = None if config.store is None else Store.open(config.store, config.keeping)
        service = Service(
            config=config,
            tracing=create_tracing(config.trace),
            models=models,
            batcher=Batcher(config.batching, config.limits),
            store=store,
            recorder=None if store is None else StoreRecorder(store),
        )
        reloader = Reloader(service, read)
        settings = uvicorn.Config(
            create_app(service, reloader, keys),
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="on",
            timeout_graceful_shutdown=max(1, round(config.listen.drain_seconds)),
        )
        bound.listen(_WAITING_CONNECTIONS)
        names = [str(version.served) for version in models]
        _Server(settings, service, reloader, lambda: tell(names)).run(sockets=[bound])


@contextlib.contextmanager
def _without_reloads() -> Iterator[None]:
    """Ignores the signal to load anew where nothing is loaded yet, instead of ending by it."""
    if _RELOAD is None:
        yield
        return
    before = signal.signal(_RELOAD, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(_RELOAD, before)


def listen(host: str, port: int) -> socket.socket:
    """A socket that is bound to an address, before models are loaded, so that a wrong one shows at once.

    Raises:
        ConfigError: if that is not possible.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)[0]
        with contextlib.ExitStack() as stack:
            bound = stack.enter_context(socket.socket(family, kind, protocol))
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
            stack.pop_all()
    except OSError as error:
        raise ConfigError(f"cannot listen on {host} port {port}: {error}; choose another with --host and --port") from None
    return bound


class _Server(uvicorn.Server):
    """Stops in steps: readiness is taken back, then no connection is taken any more, then what was taken is answered."""

    def __init__(self, config: uvicorn.Config, service: Service, reloader: Reloader, tell: Callable[[], None]) -> None:
        super().__init__(config)
        self._service, self._reloader, self._tell = service, reloader, tell

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Tell that requests are answered, once they are."""
        await super().startup(sockets)
        self._tell()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave in order on SIGTERM and SIGINT, with the status of a process that did what it was told; reload on SIGHUP."""
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGTERM, signal.SIGINT)}
        if _RELOAD is not None:
            before[_RELOAD] = signal.signal(_RELOAD, self._reload)
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
