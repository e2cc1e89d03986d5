"""API keys: what is stored of them, and who sent a request."""

import hashlib
import json
import logging
import re
import secrets
import threading
import time
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

from ratecast.errors import ConfigError, OutputError
from ratecast.files import explained_write, replace_file

_LOG: Final = logging.getLogger(__name__)
SCOPES: Final = ("predict", "feedback", "metrics", "admin")
"""What a key may allow: predictions, feedback on them, the metrics, and everything that changes the service."""
DEFAULT_SCOPES: Final = ("predict", "feedback")
PREFIX: Final = "rck_"
"""What keys begin with, so that tools that look for leaked secrets find them."""
_SECRET_BYTES: Final = 32
_CHECK_SECONDS: Final = 1.0
_RATES: Final = ("requests_per_minute", "reviews_per_minute")
_NAME: Final = re.compile(r"[\w.@-]{1,64}")


@dataclass(frozen=True, kw_only=True)
class Key:
    """Whom a key belongs to, and what it allows.

    Attributes:
        sha256: hash of the secret. The secret is drawn from 256 bits, so that a slow hash would add nothing.
        expires: the first day, in UTC, on which the key is refused.
        requests_per_minute, reviews_per_minute: what it may send, infinity for any number; None leaves it to the service.
    """

    name: str
    sha256: str
    scopes: frozenset[str]
    expires: date | None = None
    requests_per_minute: float | None = None
    reviews_per_minute: float | None = None

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
    known = {"name", "sha256", "scopes", "expires", *_RATES}
    if not isinstance(table, dict) or not {"name", "sha256", "scopes"} <= set(table) <= known:
        others = ", ".join(("expires", *_RATES))
        raise ConfigError(f"a key in {path} needs name, sha256 and scopes, and may have {others}; found {table!r:.200}")
    name, digest, scopes, expires = (table.get(part) for part in ("name", "sha256", "scopes", "expires"))
    if not isinstance(name, str) or not isinstance(digest, str) or not re.fullmatch("[0-9a-f]{64}", digest):
        raise ConfigError(f"the key {name!r} in {path} needs a text as its name and 64 hexadecimal digits as its sha256")
    if not isinstance(scopes, list) or not set(scopes) <= set(SCOPES):
        raise ConfigError(f"the key {name!r} in {path} has the scopes {scopes!r}; known are {', '.join(SCOPES)}")
    if expires is not None and type(expires) is not date:
        raise ConfigError(f"the key {name!r} in {path} expires {expires!r}; expected a day like 2030-12-31, without quotes")
    rates = {rate: table.get(rate) for rate in _RATES}
    for rate, value in rates.items():
        if value is not None and (type(value) not in {int, float} or not value > 0):
            raise ConfigError(f"the key {name!r} in {path} has {rate} {value!r}; expected a number above 0, or inf")
    return Key(name=name, sha256=digest, scopes=frozenset(scopes), expires=expires, **rates)


def add_key(
    path: Path,
    name: str,
    scopes: Sequence[str] = DEFAULT_SCOPES,
    expires: date | None = None,
    *,
    requests_per_minute: float | None = None,
    reviews_per_minute: float | None = None,
) -> str:
    """Add a new key to a file, which is made if it is not there. A name may have several keys, for changing them.

    Returns:
        The secret. It is kept nowhere.

    Raises:
        ConfigError: if the name, a scope or a limit is none, or the file holds something else.
        OutputError: if the file cannot be written.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(f"a key's name has up to 64 letters, digits and the signs . _ @ -; found {name!r}")
    if unknown := [scope for scope in scopes if scope not in SCOPES]:
        raise ConfigError(f"there is no scope {unknown[0]!r}; known are {', '.join(SCOPES)}")
    rates = {"requests_per_minute": requests_per_minute, "reviews_per_minute": reviews_per_minute}
    if wrong := [rate for rate, value in rates.items() if value is not None and not value > 0]:
        raise ConfigError(f"{wrong[0]} must be above 0, found {rates[wrong[0]]:g}")
    if path.exists():
        read_keys(path)
    secret = PREFIX + secrets.token_urlsafe(_SECRET_BYTES)
    digest = hashlib.sha256(secret.encode()).hexdigest()
    key = Key(name=name, sha256=digest, scopes=frozenset(scopes), expires=expires, **rates)
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(f"{_as_toml(key)}\n")
    except OSError as error:
        raise OutputError(f"cannot write the key to {path}: {error}") from None
    return secret


def revoke_key(path: Path, name: str, *, older: bool = False) -> int:
    """Take the keys of a name out of a file, which is written anew, without comments.

    Args:
        path: the file.
        name: whose keys.
        older: leave the one that was made last.

    Returns:
        How many were taken out.

    Raises:
        ConfigError: if there is no such key, or the file holds something else.
        OutputError: if the file cannot be written.
    """
    keys = list(read_keys(path).values())
    found = [key for key in keys if key.name == name]
    if not found:
        known = ", ".join(dict.fromkeys(key.name for key in keys)) or "none"
        raise ConfigError(f"there is no key for {name!r} in {path}; there are {known}")
    gone = found[:-1] if older else found
    content = "".join(f"{_as_toml(key)}\n" for key in keys if key not in gone)
    partial = path.with_name(f"{path.name}.partial")
    with explained_write(path):  # a service that runs reads the file before or after, and never in between
        partial.write_text(content, encoding="utf-8")
        partial.chmod(path.stat().st_mode & 0o777)
        replace_file(partial, path)
    return len(gone)


def _as_toml(key: Key) -> str:
    lines = ["[[keys]]", f"name = {json.dumps(key.name, ensure_ascii=False)}", f'sha256 = "{key.sha256}"']
    lines.append(f"scopes = {json.dumps([scope for scope in SCOPES if scope in key.scopes])}")
    lines += [] if key.expires is None else [f"expires = {key.expires.isoformat()}"]
    lines += [f"{rate} = {float(value)!r}" for rate in _RATES if (value := getattr(key, rate)) is not None]
    return "\n".join(lines) + "\n"
