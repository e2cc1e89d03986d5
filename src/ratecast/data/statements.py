"""Ratings that people state in their text: finding them, reading their value, and masking them out.

The two aims need different care. `find_statements` reads a value only where hardly anything else can be meant, since a wrong
label is worse than none. `mask_ratings` takes out everything that looks like a rating, since whatever is left would tell a
model the answer. All gaps in the patterns are bounded, so that no text, however odd, takes long.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

Reading = Literal["stated", "unclear", "ignored"]
"""How a rating-like expression is to be taken: as the rating, as one that cannot be read surely, or as something else."""


@dataclass(frozen=True)
class Statement:
    """A rating-like expression such as "7/10" in a text.

    Attributes:
        start, end: where it lies in the text.
        share: the part divided by the whole, 0.7 for 7/10; above 1 for 11/10.
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
_RATING_WHOLES: Final = (4, 5, 6, 10, 20, 100)
_WHOLES: Final = _SPELLED | {"twenty": 20.0, "hundred": 100.0, "a hundred": 100.0, "one hundred": 100.0}

# All patterns without a comment of their own are for lower-case text.
_WORD = rf"(?:{'|'.join(_SPELLED)})"
_PIECE = r"(?:1/2|½|1/4|¼|3/4|¾)"
_AND_HALF = r"(?:\sand\s(?:(?:a|one)[\s-])?half)"
_DIGITS = r"\d{1,20}(?:[.,]\d{1,20}){0,3}"
_NUMBER = (
    rf"(?:{_PIECE}(?!\d)|{_DIGITS}(?:[\s-]?{_PIECE}|{_AND_HALF})?|(?<![^\s(:])\.\d{{1,20}}"
    rf"|\b{_WORD}{_AND_HALF}?\b|\b(?:a\s)?half(?:\san?)?\b)"
)
_ASTERISKS = rf"(?:\*+(?:\s?(?:{_PIECE}|\.5))?|(?:1/2|½)\s?\*)"
_UNIT = r"(?:stars?|points?|pts?|marks?)\b"
_WHOLE = r"(?:\d{1,20}(?:\.0\b)?|(?:(?:a|one)\s)?hundred\b|(?:four|five|six|ten|twenty)\b|\*{4,10})"
_LEAD = (
    r"\b(?:g[ai]v(?:e|es|en|in|ing)|rat(?:e|ed|es|ing|ings)|scor(?:e|es|ed|ing)|grad(?:e|es|ed|ing)|vot(?:e|ed|es|ing)"
    r"|deserv(?:e|es|ed|ing)|award(?:s|ed|ing)?|earn(?:s|ed)?|worth|verdict|overall|gets?|got)\b"
)

_RATIO = re.compile(
    rf"""(?<![\w*/\\$])(?<!\d[.,:])
    (?P<sign>(?<![\w)-])[-−](?=[\d.½*]))?
    (?P<range>(?!{_PIECE})(?:\b\d{{1,2}}(?:\.\d)?|\b{_WORD}\b)[ ]?
       (?:-|–|/(?=[\w.½ ]{{1,9}}\bout)|\bor\b|\bto\b|\band\b(?!\s(?:(?:a|one)[\s-])?half)|&)[ ]?)?
    (?P<value>{_ASTERISKS}|{_NUMBER})
    (?:\s?\([^()\n]{{1,20}}\))?                                                                # 4 (four) out of 10
    (?:[+-]{{1,2}}(?=\s?[/\\]))?                                                               # 8+/10
    [\s-]{{0,3}}(?P<unit>{_UNIT}|\*)?\s{{0,3}}(?P<outer>[(\[])?\s?
    (?:(?P<slash>[/\\])
      |(?P<of>\bout\s?of\b|\boutta\b|\bof\b|\bfrom\b)\s{{0,3}}
       (?:(?:a|the)\s{{1,3}})?(?:(?:possible|perfect|total|maximum)\s{{1,3}}(?:of\s{{1,3}})?)?(?P<inner>[(\[])?
      |(?P<scale>\bon\s(?:a|the|my)\s(?:\w{{1,9}}\s)?scale\s(?:of|from))\s(?:(?:[01]|zero|one)\s?(?:-|–|to|through)\s?)?
    )\s{{0,3}}
    (?P<whole>{_WHOLE})
    (?![\w*%°]|[.,:]\d|\s?[/\\]\s?\d|-\d)                                                      # no date, no percentage
    (?(outer)(?:\s?[)\]])?)(?(inner)(?:\s?[)\]])?)
    (?P<unit_after>[\s-]{{0,3}}{_UNIT})?""",
    re.VERBOSE,
)
"""A part and a whole: 7/10, 8 out of ten, three and a half stars (out of 5), ***1/2 from ****, 7 on a scale of 1 to 10."""

_RATIO_ENDS: Final = tuple(
    re.compile(
        re.escape(separator)
        + r"[\s(\[]{0,4}(?:(?:a|the|possible|perfect|total|maximum|of)\s{1,3}){0,4}"
        + r"(?:[\d*]|four|five|six|ten|twenty|hundred|zero|one)"
    )
    for separator in ("/", "\\", "of", "outta", "from")
)
"""How every ratio ends. Beginning with a fixed string, these are quick; they tell where the slow pattern is to look."""

_SYMBOLS = re.compile(r"(?P<full>[★⭐🌟]{1,10})(?P<half>½)?(?P<empty>[☆✩]{0,10})")

_QUANTITY = re.compile(
    r"\s(?:of|people|times?|men|women|viewers?|users?|voters?|critics?|reviewers?|films|movies|them|us|were|are|have|agree)\b|['’]s\b|ths?\b"
)
_GOES_ON = re.compile(  # for text in its own case
    r"\W*$|\s*[^\w\s]|\s*\n|\s+[A-Z]|\s+(?:for|from|because|cause|since|but|and|or|if|just|only|on|in|at|as|with|due|based|although"
    r"|though|overall|simply|purely|mainly|mostly|rating|score|to|when|strictly|seems?|is|it|i|my|this|the|so|very|great|good|bad)\b"
)
_NOT_MINE = r"(?:(?!\b(?:i|my)\b)[^.!?\n])"
_OTHERS = re.compile(
    rf"\b(?:(?<!my )(?:average|users?|voters?|viewers|critics|imdb) (?:of|rat|scor|vot)|currently|ebert|maltin"
    rf"|(?:who|whoever|people|others?|(?:every|any|some)(?:one|body)|you guys|reviewers?|commenters?|comment)\b"
    rf"{_NOT_MINE}{{0,30}}{_LEAD})"
    rf"{_NOT_MINE}*$"
)
_DENIED = re.compile(
    r"(?:(?:\b(?:not|never)|n't)\b[^.!?\n]{0,16}|\b(?:is|it's|that's) no "
    r"|\b(?:instead of|rather than|more than|less than|better than) (?:an? )?"
    r"|\b(?:would|could|should|might)(?: have|'ve)\b(?! to)[^.!?\n]{0,25})$"
)

_STARS = re.compile(
    rf"(?<![\w.,])(?:{_NUMBER}\s?(?:-|–|/|or|to)\s?)?-?{_NUMBER}[\s-]{{0,3}}(?:an?\s)?stars?\b(?!\s(?:trek|wars))"
)
_STAR = re.compile("star")

_ALONE = rf"(?:{_PIECE}(?!\d)|{_DIGITS}(?:[\s-]?(?:1/2|½))?|zero|two|three|four|five|six|seven|eight|nine|ten)"
_PRAISE = (
    r"(?:(?:perfect|solid|strong|weak|full|straight|big|fat|high|low|generous|mere|rare|good|lowly|measly|resounding)\s){0,3}"
)
_END = (
    r"(?=\s{0,3}(?:$|[.,;:!?)\]\"'…*(]|--|-\s|–)|\s(?:for|from|because|cause|since|but|and|or|if|on|in|at|as|due|just|only|based"
    r"|although|though|instead|when|overall|simply|purely|mainly|mostly|to|with|out|rating|score|maybe|here|is|i|this)\b)"
)
_LOOSE: Final = (
    re.compile(rf"(?<![\w*])(?:\*+\s?(?:{_PIECE}|\.5)|(?:1/2|½)\s?\*+|\*{{2,}}|{_DIGITS}\s?\*+)(?![\w*])"),
    re.compile(rf"{_LEAD}[^.!?\n\d*]{{0,40}}?(?P<rating>\b(?:an?\s)?{_PRAISE}-?{_ALONE}\s?%?){_END}"),
    re.compile(rf"\ban?\s{_PRAISE}(?:10|\d(?:[.,]\d+)?|ten|nine|eight|seven|zero){_END}"),
    re.compile(r"[★⭐🌟☆✩][★⭐🌟☆✩½\ufe0f]*"),
)
"""What looks like a rating whose scale is not told: ***1/2, rated it a 7, an 8 from me, ★★★."""

_LETTERS: Final = (  # for text in its own case
    re.compile(
        r"\b(?:[Gg]rade|GRADE|[Rr]ating|RATING|[Ss]core|SCORE)s?\b\W{0,3}(?:(?:is|of|an?)\s){0,2}(?P<rating>[A-F][+-]?)(?![\w'])"
    ),
    re.compile(r"(?<![\w+-])(?P<rating>[A-F][+-])(?![\w+-])"),
)
"""Grade: B+."""


_ARTICLE = re.compile(r"(?:^|\s)[Aa]n?$")
_EMPTY_BRACKETS = re.compile(r"[ \t]?[(\[{][\s,;:/&-]{0,9}[)\]}]")


def find_statements(text: str) -> list[Statement]:
    """Every expression that tells a part of a whole as ratings do, in the order of the text."""
    lowered = _lowered(text)
    places = sorted(end.start() for pattern in _RATIO_ENDS for end in pattern.finditer(lowered))
    read = (_read_ratio(match, text) for match in _near(_RATIO, lowered, places))
    found = [statement for statement in read if statement is not None]
    return sorted([*found, *_symbol_statements(text)], key=lambda statement: statement.start)


def mask_ratings(text: str) -> str:
    """The text without anything that looks like a rating.

    What falls away takes its unit with it ("8 out of 10 stars"); the words around it stay. The result holds nothing more to
    mask: `states_rating` is false for it.

    Example:
        >>> mask_ratings("Great fun, I give it 8/10 (four stars).")
        'Great fun, I give it.'
    """
    masked = text
    gap = " "
    while spans := _rating_spans(masked):  # what is left may form a new one: "10 out 8/10 of 10"
        masked = _without(masked, spans, gap)
        gap = " … "  # across which nothing forms, so that a third pass finds hardly anything
    return masked


def states_rating(text: str) -> bool:
    """Whether anything that looks like a rating is in the text."""
    return bool(_rating_spans(text))


def _lowered(text: str) -> str:
    """The text in lower case with every character in its place."""
    lowered = text.lower()
    if len(lowered) == len(text):
        return lowered
    return "".join(small if len(small := character.lower()) == 1 else character for character in text)


def _near(pattern: re.Pattern[str], text: str, places: Iterable[int]) -> Iterator[re.Match[str]]:
    """Matches of the pattern around the given places, which ascend; none overlaps another."""
    reach = 80
    end = 0
    for place in places:
        match = pattern.search(text, max(end, place - reach), place + reach) if place >= end else None
        while match is not None and match.end() <= place:
            match = pattern.search(text, match.end(), place + reach)
        if match is not None:
            yield match
            end = match.end()


def _symbol_statements(text: str) -> Iterator[Statement]:
    for match in _SYMBOLS.finditer(text) if not text.isascii() else ():
        full = len(match["full"]) + (0.5 if match["half"] else 0)
        total = len(match["full"]) + len(match["half"] or "") + len(match["empty"])
        if total in (5, 10):
            yield Statement(match.start(), match.end(), full / total, "stated")


def _read_ratio(match: re.Match[str], text: str) -> Statement | None:
    """The statement that a match of `_RATIO` makes; None where it does not look like a rating (24/7, one of five friends).

    Args:
        match: in the lower-case text.
        text: in its own case.
    """
    whole = _whole(match["whole"])
    before = match.string[max(0, match.start() - 80) : match.start()]
    after = text[match.end() : match.end() + 30]
    begins = re.search(r"(?:^|[.!?\n])[\s(-]*$", before) is not None
    starred = "*" in match["value"] + match["whole"] or bool(match["unit"] or match["unit_after"])
    led = re.search(rf"{_LEAD}[^.!?\n]{{0,50}}$", before) is not None
    goes_on = _GOES_ON.match(after) is not None
    if not (starred or _looks_like_rating(match, whole, led, goes_on)):
        return None
    reading: Reading = "stated"
    others = _QUANTITY.match(after) or _OTHERS.search(before) or _DENIED.search(before)
    if others or whole not in _RATING_WHOLES or not (match["slash"] or starred or led or goes_on or begins):
        reading = "ignored"
    elif match["sign"] or match["range"]:
        reading = "unclear"
    return Statement(match.start(), match.end(), _part(match["value"]) / (whole or 1), reading)


def _looks_like_rating(match: re.Match[str], whole: float, led: bool, goes_on: bool) -> bool:
    """Whether a ratio without stars can be a rating at all: what fractions and dates look like too needs words that tell."""
    digits = match["value"][0].isdigit()
    if match["scale"]:
        return True
    if match["of"] == "from" or whole not in _RATING_WHOLES:
        return False
    if match["of"] == "of":
        return digits and (led or (whole == 10 and goes_on))
    return whole in (10, 100) or led or (whole == 5 and digits)


def _part(found: str) -> float:
    """Value of the part: "7", "8,5", "7 1/2", "three and a half", "***½", "½ *"."""
    piece = re.search(rf"{_PIECE}|half", found)
    extra = _PIECES[piece[0]] if piece else 0.0
    rest = found.replace(piece[0], " ", 1) if piece else found
    if "*" in rest:
        if piece and piece.start() < found.index("*"):
            return extra  # half a star
        return rest.count("*") + (0.5 if rest.endswith(".5") else extra)
    if word := re.search(_WORD, rest):
        return _SPELLED[word[0]] + extra
    without_thousands = re.sub(r"(?<=\d),(?=\d{3})", "", rest)
    digits = re.search(r"\d*[.,]?\d+", without_thousands)
    return (float(digits[0].replace(",", ".")) if digits else 0.0) + extra


def _whole(found: str) -> float:
    """Value of the whole: "10", "ten", "a hundred", "*****"."""
    if found[0] == "*":
        return float(len(found))
    return _WHOLES[found] if found in _WHOLES else float(found)


def _rating_spans(text: str) -> list[tuple[int, int]]:
    """Where things that look like ratings begin and end, ascending, those that overlap or touch taken together."""
    lowered = _lowered(text)
    spans = [(statement.start, statement.end) for statement in find_statements(text)]
    spans += [match.span() for match in _near(_STARS, lowered, (star.start() for star in _STAR.finditer(lowered)))]
    for patterns, searched in ((_LOOSE, lowered), (_LETTERS, text)):
        for pattern in patterns:
            group = "rating" if "rating" in pattern.groupindex else 0
            spans += [match.span(group) for match in pattern.finditer(searched)]
    joined: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def _without(text: str, spans: list[tuple[int, int]], gap: str) -> str:
    """The text without the spans and what only they needed: an article, brackets, a comma or stop after another."""
    pieces: list[str] = []
    position = 0
    for start, end in spans:
        left = text[position:start].rstrip(" \t")
        after = text[end : end + 4].lstrip(" \t")
        position = end + min(4, len(text) - end) - len(after)
        ends_clause = not after or after[0] in "\n.,;:!?)"
        if ends_clause and (article := _ARTICLE.search(left[-4:])):
            left = left[: len(left) - len(article[0])].rstrip(" \t")
        begins = left[-1:] in ("", "\n", "(", "[") and (bool(left) or not pieces)
        if gap != " ":
            left += gap
        elif after[:1] in tuple(".,;:!") and (begins or left[-1:] in tuple(".,;:!?")):
            position += 1
        elif not ends_clause and not begins:
            left += gap
        pieces.append(left)
    return _EMPTY_BRACKETS.sub("", "".join([*pieces, text[position:]])).strip()
