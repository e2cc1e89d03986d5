"""``ratecast list-keys``."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from ratecast.serve.keys import Key


def list_keys(file: Annotated[Path, Parameter(name="FILE")], /) -> None:
    """Show whom the API keys of ratecast serve are for, and what they allow.

    The keys themselves are kept nowhere, so that they cannot be shown. Keys of
    the same name stand in the order in which they were made. A limit that is
    not shown is that of the service.

    For example:

        ratecast list-keys keys.toml

    Args:
        file: TOML file of keys.
    """
    from ratecast.cli.show import Output, show_table
    from ratecast.serve import SCOPES, read_keys

    header = ("name", "scopes", "expires", "requests a minute", "reviews a minute")
    show_table(Output(), header, [_row(key, SCOPES) for key in read_keys(file).values()])


def _row(key: "Key", scopes: Sequence[str]) -> list[str]:
    expires = "never" if key.expires is None else f"{key.expires}{' (over)' if key.is_expired else ''}"
    rates = ["" if rate is None else f"{rate:,.12g}" for rate in (key.requests_per_minute, key.reviews_per_minute)]
    return [key.name, " ".join(scope for scope in scopes if scope in key.scopes), expires, *rates]
