"""API keys: what is stored of them, and who sent a request."""

import hashlib
import json
import logging
import re
import secrets
import threading
import time
import tomllib
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

from ratecast.errors import ConfigError, OutputError

_LOG: Final = logging.getLogger(__name__)
SCOPES: Final = ("predict", "feedback", "metrics", "admin")
"""What a key may allow: predictions, feedback on them, the metrics, and everything that changes the service."""
DEFAULT_SCOPES: Final = ("predict", "feedback")
PREFIX: Final = "rck_"
"""What keys begin with, so that tools that look for leaked secrets find them."""
_SECRET_BYTES: Final = 32
_CHECK_SECONDS: Final = 1.0
_NAME: Final = re.compile(r"[\w.@-]{1,64}")


@dataclass(frozen=True, kw_only=True)
class Key:
    """Whom a key belongs to, and what it allows.

    Attributes:
        sha256: hash of the secret. The secret is drawn from 256 bits, so that a slow hash would add nothing.
        expires: the first day, in UTC, on which the key is refused.
    """

    name: str
    sha256: str
    scopes: frozenset[str]
    expires: date | None = None

    @property
    def is_expired(self) -> bool:
        """Whether its last day is over."""
        return self.expires is not None and datetime.now(UTC).date() >= self.expires


class KeyFile:
    """The keys in a file, which is read again when it changes: keys are added and taken away while the service runs.

    A changed file that cannot be read changes nothing, and the log says so.

    Raises:
        ConfigError: if the file cannot be read, or holds something that is no key.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._checked = time.monotonic()
        self._stamp = _stamp(path)
        self._keys = read_keys(path)

    def find(self, secret: str) -> Key | None:
        """The valid key with this secret, or None."""
        self._refresh()
        # What an attacker could learn of a hash by timing says nothing of the secret.
        key = self._keys.get(hashlib.sha256(secret.encode()).hexdigest())
        return None if key is None or key.is_expired else key

    def _refresh(self) -> None:
        with self._lock:
            if time.monotonic() - self._checked < _CHECK_SECONDS:
                return
            self._checked = time.monotonic()
            stamp = _stamp(self._path)
            if stamp == self._stamp:
                return
            self._stamp = stamp
            try:
                self._keys = read_keys(self._path)
            except ConfigError as error:  # perhaps it is half written
                _LOG.error("%s; the keys that were read before stay valid", error)


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def read_keys(path: Path) -> dict[str, Key]:
    """The keys in a file by their hash.

    Raises:
        ConfigError: if it cannot be read, or holds something that is no key.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"cannot read the keys in {path}: {error}; ratecast new-key writes such a file") from None
    tables = content.pop("keys", [])
    if content or not isinstance(tables, list):
        raise ConfigError(
            f"{path} holds {', '.join(content) or 'keys'}; expected [[keys]] tables, as ratecast new-key writes them"
        )
    keys = [_read_key(path, table) for table in tables]
    return {key.sha256: key for key in keys}


def _read_key(path: Path, table: Any) -> Key:
    known = {"name", "sha256", "scopes", "expires"}
    if not isinstance(table, dict) or not {"name", "sha256", "scopes"} <= set(table) <= known:
        raise ConfigError(f"a key in {path} needs name, sha256 and scopes, and may have expires; found {table!r:.200}")
    name, digest, scopes, expires = (table.get(part) for part in ("name", "sha256", "scopes", "expires"))
    if not isinstance(name, str) or not isinstance(digest, str) or not re.fullmatch("[0-9a-f]{64}", digest):
        raise ConfigError(f"the key {name!r} in {path} needs a text as its name and 64 hexadecimal digits as its sha256")
    if not isinstance(scopes, list) or not set(scopes) <= set(SCOPES):
        raise ConfigError(f"the key {name!r} in {path} has the scopes {scopes!r}; known are {', '.join(SCOPES)}")
    if expires is not None and type(expires) is not date:
        raise ConfigError(f"the key {name!r} in {path} expires {expires!r}; expected a day like 2030-12-31, without quotes")
    return Key(name=name, sha256=digest, scopes=frozenset(scopes), expires=expires)


def add_key(path: Path, name: str, scopes: tuple[str, ...] = DEFAULT_SCOPES, expires: date | None = None) -> str:
    """Add a new key to a file, which is made if it is not there. A name may have several keys, for changing them.

    Returns:
        The secret. It is kept nowhere.

    Raises:
        ConfigError: if the name or a scope is none, or the file holds something else.
        OutputError: if the file cannot be written.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(f"a key's name has up to 64 letters, digits and the signs . _ @ -; found {name!r}")
    if unknown := [scope for scope in scopes if scope not in SCOPES]:
        raise ConfigError(f"there is no scope {unknown[0]!r}; known are {', '.join(SCOPES)}")
    if path.exists():
        read_keys(path)
    secret = PREFIX + secrets.token_urlsafe(_SECRET_BYTES)
    lines = ["[[keys]]", f'name = "{name}"', f'sha256 = "{hashlib.sha256(secret.encode()).hexdigest()}"']
    lines += [f"scopes = {json.dumps(list(dict.fromkeys(scopes)))}"]
    lines += [] if expires is None else [f"expires = {expires.isoformat()}"]
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n\n")
    except OSError as error:
        raise OutputError(f"cannot write the key to {path}: {error}") from None
    return secret
