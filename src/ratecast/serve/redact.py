"""Bodies of requests for the log, without what tells who somebody is."""

import json
import math
import re
import unicodedata
from typing import Any, Final

_MOST_BYTES: Final = 64_000
_MOST_MEMBERS: Final = 20
_MOST_CHARACTERS: Final = 2_000
_OVERLAP: Final = 200
Pattern = tuple[re.Pattern[str], str]
_PRIVATE: Final = frozenset({"user", "route_by", "reviewer"})
"""Members that name somebody, whatever stands in them."""
_OURS: Final = frozenset({"prediction_id", "model", "version", "time"})
"""Members that name what the service made, or a moment: their long numbers are kept."""
_LEAST_PRIVATE_NUMBER: Final = 10**6
_NUMBER: Final = (re.compile(r"\+?\d(?:[\W_]{0,3}\d){6,40}"), "[number]")
"""Of telephones, cards, passports, orders; and dates."""
_PATTERNS: Final = (
    (re.compile(r"(?:https?://|www\.)\S+", re.IGNORECASE), "[address]"),
    (re.compile(r"\b[\w-]{1,64}(?:\.[\w-]{1,64}){0,3}\.[a-z]{2,12}(?::\d{1,5})?/\S*", re.IGNORECASE), "[address]"),
    (re.compile(r"[\w.+'-]{1,64}@[\w-]{1,64}(?:\.[\w-]{1,64})*"), "[mail]"),
    (re.compile(r"(?<!\w)@[\w.]{2,64}"), "[account]"),
    (re.compile(r"\b[a-z]{2}\d{2}(?: ?[a-z0-9]{4}){2,7}(?: ?[a-z0-9]{1,3})?\b", re.IGNORECASE), "[account]"),  # IBAN, ISO 13616
)


def redacted(body: bytes) -> Any:
    """What a body of JSON says, with what looks like personal data replaced, and shortened; for others only their size.

    Mail and web addresses, names of accounts, and numbers of seven digits or more are replaced, and all of the members "user",
    "reviewer" and "route_by". Names and places in a text are not recognised.

    Example:
        >>> redacted(b'{"reviews": [{"text": "Call me: +44 20 7946 0958 or jo@example.org", "user": "jo"}]}')
        {'reviews': [{'text': 'Call me: [number] or [mail]', 'user': '[user]'}]}
    """
    if len(body) > _MOST_BYTES:
        return f"[{len(body)} bytes]"
    try:
        return _without(json.loads(body, parse_constant=str))
    except (ValueError, RecursionError):
        return f"[{len(body)} bytes, no JSON]"


def _without(value: Any) -> Any:
    if isinstance(value, dict):
        found = {_text(name): _member(name, member) for name, member in list(value.items())[:_MOST_MEMBERS]}
        return found | ({"[more]": len(value) - _MOST_MEMBERS} if len(value) > _MOST_MEMBERS else {})
    if isinstance(value, list):
        more = [f"[{len(value) - _MOST_MEMBERS} more]"] if len(value) > _MOST_MEMBERS else []
        return [_without(member) for member in value[:_MOST_MEMBERS]] + more
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int | float) and not abs(value) < _LEAST_PRIVATE_NUMBER:
        return "[number]" if isinstance(value, int) or math.isfinite(value) else str(value)  # JSON has no infinity
    return value


def _member(name: str, value: Any) -> Any:
    if name.casefold() in _PRIVATE:
        return f"[{name.casefold()}]"
    return _text(value, *_PATTERNS) if name in _OURS and isinstance(value, str) else _without(value)


def _text(text: str, *patterns: Pattern) -> str:
    """The beginning of the text. A little more is looked through and then cut, so that nothing private is cut in half."""
    shown = unicodedata.normalize("NFKC", text[: _MOST_CHARACTERS + _OVERLAP])
    for pattern, name in patterns or (*_PATTERNS, _NUMBER):
        shown = pattern.sub(name, shown)
    if len(text) <= _MOST_CHARACTERS + _OVERLAP:
        return shown
    return f"{shown[:-_OVERLAP]}[{len(text) - _MOST_CHARACTERS} more]"
