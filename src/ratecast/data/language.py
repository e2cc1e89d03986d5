"""A rough look at the languages of texts, for the data report: nothing is decided by it."""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Final

SAMPLE_TEXTS: Final = 2000
_READ_CHARACTERS: Final = 600

_STOP_WORDS: Final = {
    "English": "the and is was of to it this for with my not but have very are you in that on they be so we good great",
    "German": "der die das und ist nicht ich es zu ein eine mit für auf den war sehr sich auch aber wir gut man bei wie",
    "French": "le la les et est pas je un une des pour dans que avec très mais sur du ce nous qui bien plus au il",
    "Spanish": "el la los y es no que de un una en por con para muy pero lo se más me todo bien está las su",
    "Italian": "il la di e è non un una che per con molto ma sono si in anche ho del i le questo bene come ottimo",
    "Portuguese": "o a os e é não que de um uma em por com para muito mas do da no na bom eu foi você ótimo",
    "Dutch": "de het een en is niet ik van met voor op te dat erg maar was zijn heel ook aan wel goed je we bij",
    "Polish": "i w nie się na jest to z do że bardzo jak ale za po dla tak od polecam był mnie co już tylko",
    "Turkish": "ve bir bu çok için de da ile ama gibi daha ne ben güzel var en iyi olarak kadar değil her",
}
_SCRIPTS: Final = {
    "CJK": "Chinese",
    "HIRAGANA": "Japanese",
    "KATAKANA": "Japanese",
    "HANGUL": "Korean",
    "HEBREW": "Hebrew",
    "GREEK": "Greek",
    "THAI": "Thai",
}
# A single letter is a word in too many languages, and a grade or a size in all of them.
_VOTES: Final = {
    language: frozenset(word for word in words.split() if len(word) > 1) for language, words in _STOP_WORDS.items()
}
_WORD: Final = re.compile(r"[^\W\d_]+")
_UNDECIDED: Final = "Latin script"


def language_shares(texts: Sequence[str]) -> dict[str, float]:
    """Share of the texts in each language, the largest first, judged on at most about 2,000 of them.

    Latin letters are told apart by the commonest words of nine languages, and short texts without any of them are left out
    where others could be told. Other scripts stand for a language where only one is written in them, else for themselves.
    """
    sample = texts[:: max(1, len(texts) // SAMPLE_TEXTS)]
    counts = Counter(filter(None, map(detect_language, sample)))
    if any(language in counts for language in _VOTES):
        del counts[_UNDECIDED]
    return {language: count / counts.total() for language, count in counts.most_common()}


def detect_language(text: str) -> str | None:
    """Language or script of a text, None if it has no letters."""
    text = text[:_READ_CHARACTERS]
    scripts = Counter(_script(character) for character in text if character.isalpha())
    if not scripts:
        return None
    script = scripts.most_common(1)[0][0]
    if script == "CJK" and scripts["HIRAGANA"] + scripts["KATAKANA"] > 0.1 * scripts.total():
        return "Japanese"
    if script != "LATIN":
        return _SCRIPTS.get(script, f"{script.capitalize()} script")
    words = _WORD.findall(text.casefold())
    votes = {language: sum(word in known for word in words) for language, known in _VOTES.items()}
    best = max(votes, key=votes.__getitem__)
    is_clear = votes[best] > 0 and list(votes.values()).count(votes[best]) == 1
    return best if is_clear else _UNDECIDED


@cache
def _script(character: str) -> str:
    return unicodedata.name(character, "UNKNOWN").partition(" ")[0]
