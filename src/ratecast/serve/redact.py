"""Bodies of requests for the log, without what tells who somebody is."""

import json
import re
from typing import Any, Final

_MOST_BYTES: Final = 64_000
_MOST_MEMBERS: Final = 20
_MOST_CHARACTERS: Final = 2_000
_PRIVATE: Final = frozenset({"user", "route_by"})
"""Members that name somebody, whatever stands in them."""
_PATTERNS: Final = (
    (re.compile(r"(?:https?://|www\.)\S+", re.IGNORECASE), "[address]"),
    (re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)*"), "[mail]"),
    (re.compile(r"(?<!\w)@\w{2,}"), "[account]"),
    (re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b"), "[account]"),  # IBAN, ISO 13616
    (re.compile(r"\+?\d(?:[ ().\-/:]{0,2}\d){6,}"), "[number]"),  # of telephones, cards, passports, orders; and dates
)


def redacted(body: bytes) -> Any:
    """What a body of JSON says, with what looks like personal data replaced, and shortened; for others only their size.

    Mail and web addresses, names of accounts, and numbers of seven digits or more are replaced, and all of the members "user"
    and "route_by". Names and places in a text are not recognised.

    Example:
        >>> redacted(b'{"reviews": [{"text": "Call me: +44 20 7946 0958 or jo@example.org", "user": "jo"}]}')
        {'reviews': [{'text': 'Call me: [number] or [mail]', 'user': '[user]'}]}
    """
    if len(body) > _MOST_BYTES:
        return f"[{len(body)} bytes]"
    try:
        return _without(json.loads(body))
    except (ValueError, RecursionError):
        return f"[{len(body)} bytes, no JSON]"


def _without(value: Any) -> Any:
    if isinstance(value, dict):
        members = list(value.items())[:_MOST_MEMBERS]
        return {_text(name): f"[{name}]" if name in _PRIVATE else _without(member) for name, member in members}
    if isinstance(value, list):
        more = [f"[{len(value) - _MOST_MEMBERS} more]"] if len(value) > _MOST_MEMBERS else []
        return [_without(member) for member in value[:_MOST_MEMBERS]] + more
    if isinstance(value, str):
        return _text(value)
    return "[number]" if isinstance(value, int) and abs(value) >= 10**6 else value


def _text(text: str) -> str:
    for pattern, name in _PATTERNS:
        text = pattern.sub(name, text)
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}[{len(text) - _MOST_CHARACTERS} more]"
