"""Synonyms from a thesaurus in the text format of MyThes, which LibreOffice's language packages install."""

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Final

from ratecast.errors import ConfigError

_EXPECTED: Final = "expected a MyThes thesaurus, such as Debian's mythes-en-us installs as /usr/share/mythes/th_en_US_v2.dat"


@dataclass(frozen=True, kw_only=True)
class Thesaurus:
    """Words and what may stand in their place.

    Attributes:
        synonyms: of each word in small letters, those of all its meanings, each once.
    """

    synonyms: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def read(cls, path: str | Path) -> "Thesaurus":
        """Read a ``.dat`` file: the name of its encoding, then for each word ``word|meanings`` and a line for each meaning.

        Only single words are kept, and of their meanings only true synonyms: a qualifier in parentheses marks antonyms and
        broader or merely similar terms.

        Raises:
            ConfigError: if the file cannot be read, or is no such thesaurus.
        """
        try:
            content = Path(path).expanduser().read_bytes()
        except OSError as error:
            raise ConfigError(f"cannot read the synonyms_file {path}: {error.strerror or error}; {_EXPECTED}") from None
        return _parsed(str(path), content)


@lru_cache(maxsize=1)
def _parsed(path: str, content: bytes) -> Thesaurus:
    """The thesaurus that a file holds. A run asks for it several times, and reading it is quick where parsing is not."""
    entries = _lines(path, content)
    synonyms: dict[str, tuple[str, ...]] = {}
    position = 0
    while position < len(entries):
        word, _, count = entries[position].partition("|")
        if not count.strip().isdecimal():
            raise ConfigError(f"line {position + 2} of {path} is {entries[position][:40]!r}; {_EXPECTED}")
        meanings = entries[position + 1 : position + 1 + int(count)]
        position += 1 + len(meanings)
        terms = (term.strip() for meaning in meanings for term in meaning.split("|")[1:])
        found = tuple(dict.fromkeys(term for term in terms if term and "(" not in term and term.casefold() != word))
        if found and " " not in word:
            synonyms[word] = found
    if not synonyms:
        raise ConfigError(f"{path} holds no synonyms; {_EXPECTED}")
    return Thesaurus(synonyms=synonyms)


def _lines(path: str, content: bytes) -> list[str]:
    """The lines after the first, which names the encoding of all of them."""
    try:
        name, _, rest = content.partition(b"\n")
        return [line.rstrip("\r") for line in rest.decode(name.strip().decode("ascii")).split("\n") if line.strip()]
    except (UnicodeDecodeError, LookupError, ValueError):
        raise ConfigError(f"the synonyms_file {path} is not in the encoding named on its first line; {_EXPECTED}") from None
