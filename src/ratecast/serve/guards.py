"""What routes ask of a request before they do anything for it."""

from typing import Any, Final

from fastapi import Depends, Request
from fastapi.security import HTTPBearer

from ratecast.serve.faults import Fault

_BEARER: Final = HTTPBearer(auto_error=False, description="A key that ratecast new-key made.")


def needs(scope: str) -> Any:
    """What a route depends on that only keys with a scope may use."""

    async def check(request: Request) -> None:
        key = request.state.key
        if key is not None and scope not in key.scopes:
            raise Fault(403, "scope_missing", f"the key {key.name!r} does not have the scope {scope!r}")

    return [Depends(check), Depends(_BEARER)]


async def needs_json(request: Request) -> None:
    """Refuse bodies that are not declared as JSON, which pages elsewhere could send through a browser without asking.

    It waits for nothing, but a plain function would be called in a thread, which takes longer than what it does.

    Raises:
        Fault: 415.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Fault(415, "not_json", f"the content type is {kind or 'missing'}; expected application/json")
