"""``ratecast revoke-key``."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def revoke_key(
    file: Annotated[Path, Parameter(name="FILE")],
    name: Annotated[str, Parameter(name="NAME")],
    /,
    *,
    older: Annotated[bool, Parameter(negative="", show_default=False)] = False,
) -> None:
    """Take API keys away from ratecast serve.

    A service that runs refuses them within a second. The file is written anew,
    without comments that somebody added to it.

    For example:

        ratecast revoke-key keys.toml shop
        ratecast revoke-key keys.toml shop --older

    Args:
        file: TOML file of keys.
        name: Whose keys are taken away.
        older: Leave the key of this name that was made last, to change a key: make the new one first, and give it out.
    """
    from ratecast.serve import revoke_key as revoke

    count = revoke(file, name, older=older)
    print(f"{count} {'key' if count == 1 else 'keys'} of {name} taken out of {file}")
