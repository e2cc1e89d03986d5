"""``ratecast new-key``."""

import sys
from datetime import date
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ratecast.errors import ConfigError


def new_key(
    file: Annotated[Path, Parameter(name="FILE")],
    name: Annotated[str, Parameter(name="NAME")],
    /,
    *,
    scope: Annotated[list[str] | None, Parameter(negative="")] = None,
    expires: str | None = None,
    requests_per_minute: float | None = None,
    reviews_per_minute: float | None = None,
) -> None:
    """Make an API key for ratecast serve.

    The key is printed, once; the file keeps its hash alone. A service that runs
    takes the file's changes within a second: make a second key of the same
    name, give it out, and take away the first one with ratecast revoke-key.

    For example:

        ratecast new-key keys.toml shop
        ratecast new-key keys.toml shop --reviews-per-minute 6000
        ratecast new-key keys.toml prometheus --scope metrics

    Args:
        file: TOML file of keys; it is made if it is not there.
        name: Whom the key is for. The log, and feedback that is kept, name it.
        scope: What it allows: predict, feedback, metrics or admin; may be given several times. predict and feedback by default.
        expires: First day on which it is refused, such as 2030-12-31; never by default.
        requests_per_minute: Requests that it may send in a minute, or inf for any number; by default what the service says.
        reviews_per_minute: Reviews that it may send in a minute, or inf for any number; by default what the service says.
    """
    from ratecast.serve import DEFAULT_SCOPES, add_key

    try:
        day = None if expires is None else date.fromisoformat(expires)
    except ValueError:
        raise ConfigError(f"cannot read the day {expires!r}; write it like 2030-12-31") from None
    secret = add_key(
        file,
        name,
        tuple(scope or DEFAULT_SCOPES),
        day,
        requests_per_minute=requests_per_minute,
        reviews_per_minute=reviews_per_minute,
    )
    print(secret)
    print(f"the hash of this key for {name} is kept in {file}; the key itself is shown only now", file=sys.stderr)
