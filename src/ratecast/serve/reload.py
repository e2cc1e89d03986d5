"""Taking over what is new: models are loaded anew while the old ones answer, then change places with them."""

import asyncio
import contextlib
import logging
import weakref
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from ratecast.config import ServeConfig
from ratecast.errors import RatecastError
from ratecast.serve.logs import FIELDS
from ratecast.serve.memory import give_back_memory
from ratecast.serve.models import Models, Served, load_models
from ratecast.serve.service import Service
from ratecast.serve.versions import wanted_versions

_LOG: Final = logging.getLogger("ratecast.serve")
_GONE_SECONDS: Final = 0.1
"""How often to see whether the versions that are served no more have answered their last request."""


@dataclass(frozen=True, kw_only=True)
class Changes:
    """What is served otherwise than before, each as NAME@VERSION.

    Attributes:
        added: versions that were not served.
        removed: versions that are served no more.
        changed: versions with another weight, or that became shadows or ceased to be ones.
    """

    added: list[str]
    removed: list[str]
    changed: list[str]

    @classmethod
    def between(cls, old: Models, new: Models) -> "Changes":
        """What differs between two sets of models."""
        before, after = ({str(version.served): version.wanted for version in models} for models in (old, new))
        return cls(
            added=[name for name in after if name not in before],
            removed=[name for name in before if name not in after],
            changed=[name for name, wanted in after.items() if before.get(name, wanted) != wanted],
        )


class Reloader:
    """Loads models anew, when asked and when what they are made of has changed.

    Args:
        service: what serves them.
        read: gives the settings, as they are now.
    """

    def __init__(self, service: Service, read: Callable[[], ServeConfig]) -> None:
        self._service, self._read = service, read
        self._working = asyncio.Lock()
        self._asked = asyncio.Event()
        self._cleaning: asyncio.Task[None] | None = None  # a task that nobody holds may vanish

    def ask(self) -> None:
        """Have models loaded anew soon; to be called on the event loop."""
        self._asked.set()

    async def reload(self) -> Changes:
        """Load what is wanted now and let it take the place of what is served; if that fails nothing changes.

        Requests under way finish with the version that they began with, which goes when the last of them is answered.

        Raises:
            RatecastError: if what is wanted cannot be read, or a version cannot be loaded.
        """
        async with self._working:
            try:
                models = await asyncio.to_thread(self._load)
            except Exception as error:
                self._service.metrics.reloads.labels("failed").inc()
                if isinstance(error, RatecastError):
                    _LOG.warning("the models stay as they are: %s", error)
                raise
            changes = Changes.between(self._service.models, models)
            kept = {version.served for version in models}
            gone = [weakref.ref(version.served) for version in self._service.models if version.served not in kept]
            self._service.models = models
        if gone:
            self._cleaning = asyncio.create_task(_clean_up(gone))
        self._service.metrics.reloads.labels("done").inc()
        _LOG.info("models loaded anew", extra={FIELDS: asdict(changes)})
        return changes

    async def run(self) -> None:
        """Load anew whenever asked, and, where the settings say so, when something has changed; until cancelled."""
        seconds = self._service.config.routing.watch_seconds
        loaded = last = await asyncio.to_thread(self._look)
        while True:
            is_asked = await self._wait(seconds)
            look = await asyncio.to_thread(self._look)
            # What changed is left alone until it has stayed the same for a while: it may still be being written.
            if is_asked or (look != loaded and look == last):
                loaded = look
                await self._try()
            last = look

    async def _wait(self, seconds: float | None) -> bool:
        """Wait until asked, or for so long; whether it was asked."""
        try:
            await asyncio.wait_for(self._asked.wait(), seconds)
        except TimeoutError:
            return False
        self._asked.clear()
        return True

    async def _try(self) -> None:
        try:
            await self.reload()
        except RatecastError:
            return  # it was logged
        except Exception:  # noqa: BLE001 - whatever it is, the service goes on
            _LOG.exception("the models stay as they are")

    def _load(self) -> Models:
        config = self._read()
        if replace(config, routing=self._service.config.routing) != self._service.config:
            _LOG.warning("settings other than the models have changed; they are taken over at the next start")
        return load_models(wanted_versions(config.routing.models), self._service.config.threads, self._service.models)

    def _look(self) -> Any:
        """Something that differs whenever what should be served does."""
        try:
            wanted = wanted_versions(self._read().routing.models)
        except RatecastError as error:
            return str(error)
        return [(version, _state(version.folder)) for version in wanted]


async def _clean_up(gone: Sequence["weakref.ref[Served]"]) -> None:
    """Give back what versions took that are served no more, once the last request of theirs is answered."""
    while any(served() is not None for served in gone):  # noqa: ASYNC110 - they tell nobody
        await asyncio.sleep(_GONE_SECONDS)
    await asyncio.to_thread(give_back_memory)


def _state(folder: Path) -> list[tuple[str, int, int, int]]:
    """Name, inode, size and time of each file in a folder; nothing if it cannot be read."""
    found = []
    with contextlib.suppress(OSError):
        for path in sorted(folder.iterdir()):
            about = path.stat()
            found.append((path.name, about.st_ino, about.st_size, about.st_mtime_ns))
    return found
