"""Ratings that people state in their text: finding them, reading their value, and masking them out.

The two aims need different care. `find_statements` reads a value only where hardly anything else can be meant, since a wrong label
is worse than none. `mask_ratings` takes out everything that looks like a rating, since whatever is left would tell a model the
answer.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

Reading = Literal["stated", "unclear", "ignored"]
"""How a rating-like expression is to be taken: as the rating, as one that cannot be read surely, or as something else."""


@dataclass(frozen=True)
class Statement:
    """A rating-like expression such as "7/10" in a text.

    Attributes:
        start, end: where it lies in the text.
        share: the part divided by the whole, 0.7 for 7/10; may lie outside 0..1.
        reading: whether it is the writer's rating.
    """

    start: int
    end: int
    share: float
    reading: Reading


_SPELLED: Final = {
    word: float(value) for value, word in enumerate("zero one two three four five six seven eight nine ten".split())
}
_PIECES: Final = {"half": 0.5, "1/2": 0.5, "½": 0.5, "1/4": 0.25, "¼": 0.25, "3/4": 0.75, "¾": 0.75}
_WHOLES: Final = _SPELLED | {"twenty": 20.0, "hundred": 100.0, "a hundred": 100.0, "one hundred": 100.0}

_PART = r"(?:1/2|½|1/4|¼|3/4|¾)"
_WORD = rf"(?:{'|'.join(_SPELLED)})"
_NUMBER = rf"(?:\d{{1,20}}(?:[.,]\d{{1,20}}){{0,3}}(?:[\s-]?{_PART})?|\.\d+|{_PART}|\b{_WORD}(?:\s+and\s+(?:a|one)[\s-]half)?\b|\b(?:a\s+)?half(?:\s+an?)?\b)"
_ASTERISKS = rf"(?:\*+(?:\s?(?:{_PART}|\.5))?|(?:1/2|½)\s?\*)"
_WHOLE = r"(?:\d+(?:\.0\b)?|(?:(?:a|one)\s+)?hundred\b|(?:four|five|six|ten|twenty)\b|\*{4,10})"
_UNIT = r"(?:stars?|points?|pts?|marks?)\b"
_LEAD = (
    r"\b(?:g[ai]v(?:e|es|en|in|ing)|rat(?:e|ed|es|ing|ings)|scor(?:e|es|ed|ing)|grad(?:e|es|ed|ing)|vot(?:e|ed|es|ing)"
    r"|deserv(?:e|es|ed|ing)|award(?:s|ed|ing)?|earn(?:s|ed)?|worth|verdict|overall|gets?|got)\b"
)

_RATIO = re.compile(
    rf"""(?<![\w*/\\$])(?<!\d[.,:])
    (?P<sign>(?<![\w)])[-−](?=[\d.½*]))?
    (?P<range>(?:\b\d{{1,2}}(?:\.\d)?|\b{_WORD}\b)[ ]?(?:-|–|/|\bor\b|\bto\b|\band\b|&)[ ]?)?   # 7 or 8 out of 10
    (?P<value>{_ASTERISKS}|{_NUMBER})
    (?:\s?\([^()\n]{{1,20}}\))?                                        # 4 (four) out of 10
    (?:[+-]{{1,2}}(?=\s?[/\\]))?                                       # 8+/10
    [\s-]{{0,3}}(?P<unit>{_UNIT})?\s{{0,3}}[(\[]?\s?
    (?:(?P<slash>[/\\])
      |(?P<of>\bout\s?of\b|\boutta\b|\bof\b|\bfrom\b)\s{{0,3}}
       (?:(?:a|the)\s{{1,3}})?(?:(?:possible|perfect|total|maximum)\s{{1,3}}(?:of\s{{1,3}})?)?[(\[]?
      |(?P<scale>\bon\s(?:a|the|my)\s(?:\w{{1,9}}\s)?scale\s(?:of|from))\s(?:(?:[01]|zero|one)\s?(?:-|–|to|through)\s?)?
    )\s{{0,3}}
    (?P<whole>{_WHOLE})
    (?![\w*%°]|[.,:]\d|\s?[/\\]\s?\d|-\d)
    \s?[)\]]?(?P<unit_after>[\s-]{{0,3}}{_UNIT})?""",
    re.IGNORECASE | re.VERBOSE,
)
"""A part and a whole: 7/10, 8 out of ten, three and a half stars (out of 5), ***1/2 from ****, 7 on a scale of 1 to 10."""

_SEPARATORS: Final = ("/", "\\", "of", "Of", "OF", "outta", "Outta", "OUTTA", "from", "From", "FROM")
_ENDS: Final = tuple(
    re.compile(
        re.escape(separator)
        + r"[\s(\[]{0,4}(?:(?:a|the|possible|perfect|total|maximum|of|one)\s{1,3}){0,4}(?:[\d*]|(?i:four|five|six|ten|twenty|hundred|zero|one))"
    )
    for separator in _SEPARATORS
)
"""How every ratio ends: quick patterns, each beginning with a fixed string, that tell where the slow one is to look."""

_REACH: Final = 80

_SYMBOLS = re.compile(r"(?P<full>[★⭐🌟]+)(?P<half>½)?(?P<empty>[☆✩]*)")

_QUANTITY = re.compile(
    r"\s+(?:of|people|times|men|women|viewers?|users?|voters?|critics?|reviewers?|kids|films?|movies|times|them|us|th)\b|['’]s\b|ths?\b",
    re.I,
)
_GOES_ON = re.compile(
    r"\W*(?:$|\n)|\s*[^\w\s]|\s+[A-Z]|\s+(?:for|from|because|cause|since|but|and|or|if|just|only|on|in|at|as|with|due|based|although|though"
    r"|overall|simply|purely|mainly|mostly|rating|score|to|when|strictly|seems?|is|it|i|my|this|the|so|very|great|good|bad)\b"
)
_OTHERS = re.compile(
    r"\b(?:average|mean|users?|voters?|critics|currently|ebert|maltin|everyone|people|others)\b[^.!?\n]*$", re.I
)
_DENIED = re.compile(
    r"\b(?:not|n't|no|never|instead of|rather than|(?:would|could|should|might)(?:\s+|')(?:have|ve)|than|used to)\b[^.!?\n]{0,25}$",
    re.I,
)

_ALONE = r"(?:\d{1,20}(?:[.,]\d{1,20}){0,3}(?:[\s-]?(?:1/2|½))?|zero|two|three|four|five|six|seven|eight|nine|ten)"
_PRAISE = (
    r"(?:(?:perfect|solid|strong|weak|full|straight|big|fat|high|low|generous|mere|rare|good|lowly|measly|resounding)\s+)*"
)
_END = (
    r"(?=\s*(?:$|[.,;:!?)\]\"'…*(]|--|-\s|–)|\s+(?:for|from|because|cause|since|but|and|or|if|on|in|at|as|due|just|only|based|although"
    r"|though|instead|when|overall|simply|purely|mainly|mostly|to|with|out|rating|score|maybe)\b)"
)
_HINT: Final = re.compile(
    r"\d|[*½¼¾★⭐🌟☆✩]|star|\bout|scale|[A-F][+-]|grade|rating|score|\b(?:zero|two|three|four|five|six|seven|eight|nine|ten)\b",
    re.I,
)
_LOOSE: Final = (
    re.compile(rf"(?<![\w.,])(?:{_NUMBER}\s*(?:-|–|/|or|to)\s*)?{_NUMBER}[\s-]*(?:an?\s+)?stars?\b(?!\s+(?:trek|wars))", re.I),
    re.compile(rf"(?<![\w*])(?:\*+\s?(?:{_PART}|\.5)|(?:1/2|½)\s?\*+|\*{{2,}}|\d[\d.,]*\s?\*+)(?![\w*])"),
    re.compile(rf"({_LEAD}[^.!?\n\d*]{{0,40}}?)\b(?:an?\s+)?{_PRAISE}-?{_ALONE}\s?%?{_END}", re.I),
    re.compile(rf"()\ban?\s+{_PRAISE}(?:10|\d(?:[.,]\d+)?|ten|nine|eight|seven|zero){_END}", re.I),
    re.compile(r"(\b(?:grade|rating|score|mark)s?\b\W{0,3}(?:(?:is|of|an?)\s+)*)(?-i:[A-F])[+-]?(?![\w'])", re.I),
    re.compile(r"(?<![\w+-])[A-F][+-](?![\w+-])"),
    re.compile(r"[★⭐🌟☆✩][★⭐🌟☆✩½\ufe0f]*"),
)
"""What looks like a rating whose scale is not told: four stars, ***1/2, rated it a 7, an 8 from me, Grade: B+."""


def find_statements(text: str) -> list[Statement]:
    """Every expression that tells a part of a whole as ratings do, in the order of the text."""
    found = [statement for statement in map(_read_ratio, _ratios(text)) if statement is not None]
    if not text.isascii():
        found += _symbol_statements(text)
    return sorted(found, key=lambda statement: statement.start)


def mask_ratings(text: str) -> str:
    """The text without anything that looks like a rating.

    What falls away takes its unit with it ("8 out of 10 stars"); the words around it stay. The result holds nothing more to mask:
    `states_rating` is false for it.

    Example:
        >>> mask_ratings("Great fun, I give it 8/10 (four stars).")
        'Great fun, I give it.'
    """
    masked = text
    while (shorter := _mask_once(masked)) != masked:
        masked = _tidy(shorter)
    return masked


def states_rating(text: str) -> bool:
    """Whether anything that looks like a rating is in the text."""
    return _mask_once(text) != text


def _ratios(text: str) -> Iterator[re.Match[str]]:
    """Matches of `_RATIO`, none overlapping another."""
    end = 0
    for place in sorted(match.start() for pattern in _ENDS for match in pattern.finditer(text)):
        match = _RATIO.search(text, max(end, place - _REACH), place + _REACH) if place >= end else None
        while match is not None and match.end() <= place:
            match = _RATIO.search(text, match.end(), place + _REACH)
        if match is not None:
            yield match
            end = match.end()


def _symbol_statements(text: str) -> Iterator[Statement]:
    for match in _SYMBOLS.finditer(text):
        full = len(match["full"]) + (0.5 if match["half"] else 0)
        total = len(match["full"]) + len(match["half"] or "") + len(match["empty"])
        if total in (5, 10):
            yield Statement(match.start(), match.end(), full / total, "stated")


def _read_ratio(match: re.Match[str]) -> Statement | None:
    """The statement that a match of `_RATIO` makes; None where it does not look like a rating (24/7, one of five friends)."""
    value, whole = match["value"], _whole(match["whole"])
    before = match.string[max(0, match.start() - 80) : match.start()]
    starred = "*" in value + match["whole"] or bool(match["unit"] or match["unit_after"])
    led = re.search(rf"{_LEAD}[^.!?\n]{{0,50}}$", before, re.I) is not None
    if not (starred or _looks_like_rating(match, whole, led)):
        return None
    after = match.string[match.end() : match.end() + 30]
    reading: Reading = "stated"
    if whole not in (4, 5, 6, 10, 20, 100) or _QUANTITY.match(after) or _OTHERS.search(before) or _DENIED.search(before):
        reading = "ignored"
    elif not (match["slash"] or starred or led) and not _GOES_ON.match(after):
        reading = "ignored"
    elif match["sign"] or match["range"]:
        reading = "unclear"
    return Statement(match.start(), match.end(), _part(value) / whole, reading)


def _looks_like_rating(match: re.Match[str], whole: float, led: bool) -> bool:
    """Whether a ratio without stars can be a rating at all: wholes that fractions and dates have too need words that tell."""
    if match["scale"]:
        return True
    if match["of"] and match["of"].lower() in ("of", "from"):
        clear = match["value"][0].isdigit() and whole == 10 and _GOES_ON.match(match.string, match.end()) is not None
        return match["of"].lower() == "of" and (clear or led)
    if whole in (10, 100):
        return True
    return led or (whole == 5 and match["value"][0].isdigit())


def _part(text: str) -> float:
    """Value of the part: "7", "8,5", "7 1/2", "three and a half", "***½", "½ *"."""
    found = text.lower()
    piece = re.search(rf"{_PART}|half", found)
    extra = _PIECES[piece[0]] if piece else 0.0
    rest = found.replace(piece[0], " ", 1) if piece else found
    if "*" in rest:
        if piece and piece.start() < found.index("*"):
            return extra  # half a star
        return rest.count("*") + (0.5 if rest.endswith(".5") else extra)
    word, digits = re.search(_WORD, rest), re.search(r"\d*[.,]?\d+", re.sub(r"(?<=\d),(?=\d{3})", "", rest))
    if word:
        return _SPELLED[word[0]] + extra
    return (float(digits[0].replace(",", ".")) if digits else 0.0) + extra


def _whole(text: str) -> float:
    """Value of the whole: "10", "ten", "a hundred", "*****"."""
    found = " ".join(text.lower().split())
    if found[0] == "*":
        return float(len(found))
    return _WHOLES[found] if found in _WHOLES else float(found)


def _mask_once(text: str) -> str:
    """The text with what the patterns find now replaced by a space; what is left may form a new one."""
    if not _HINT.search(text):
        return text
    spans = [(statement.start, statement.end) for statement in find_statements(text)]
    for start, end in reversed(spans):
        text = f"{text[:start]} {text[end:]}"
    for pattern in _LOOSE:
        text = pattern.sub(lambda match: f"{match[1] if match.lastindex else ''} ", text)
    return text


def _tidy(text: str) -> str:
    """Take away what masking leaves: empty brackets, an article without its noun, doubled spaces."""
    text = re.sub(r"[(\[{]\W{0,9}[)\]}]", " ", text)
    text = re.sub(r"\b[Aa]n?(?=\s*(?:[.,;:!?)\n]|$))", " ", text)
    text = re.sub(r"[^\S\n]+", " ", text)
    text = re.sub(r" +(?=[.,;:!?)\n]|$)", "", text)
    return re.sub(r"(?m)^ +", "", text).strip()
