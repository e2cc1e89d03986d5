"""The process that serves: from settings to the last answer."""

import contextlib
import gc
import logging
import socket
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ratecast.config import ServeConfig
from ratecast.errors import ConfigError
from ratecast.processors import available_processors
from ratecast.serve.keys import read_keys
from ratecast.serve.logs import FIELDS
from ratecast.serve.models import load_models
from ratecast.serve.signals import early_reloads
from ratecast.serve.versions import wanted_versions

if TYPE_CHECKING:
    from ratecast.serve.server import Server

_LOG: Final = logging.getLogger("ratecast.serve")
_WAITING_CONNECTIONS: Final = 2048


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
        from ratecast.serve.workers import Supervisor

        if config.store is not None:
            from ratecast.store import Store

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
    with early_reloads() as early:
        server = _create_server(read, tell, early)
        bound.listen(_WAITING_CONNECTIONS)
        server.run(sockets=[bound])


def _create_server(read: Callable[[], ServeConfig], tell: Callable[[list[str]], None], early: Sequence[int]) -> "Server":
    """All that answers requests. Not a part of its caller, whose names would hold on to the first models for good."""
    config = read()
    wanted = wanted_versions(config.routing.models)
    with _nothing_collected(), ThreadPoolExecutor(1, "ratecast-load") as loader:
        loading = loader.submit(load_models, wanted, config.threads)
        from ratecast.serve.server import create_server  # which takes as long as loading a small network: side by side

        return create_server(config, read=read, models=loading.result, tell=tell, early=early)


@contextlib.contextmanager
def _nothing_collected() -> Iterator[None]:
    """No search for garbage in what is made here, now or later: it stays, and to look through it takes a tenth of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


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
