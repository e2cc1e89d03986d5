"""Thesauri in the MyThes format."""

from pathlib import Path

import pytest

from ratecast.errors import ConfigError
from ratecast.text.thesaurus import Thesaurus

CONTENT = """ISO8859-1
café|1
(noun)|coffeehouse|coffee bar|restaurant (generic term)
great|2
(adj)|large (similar term)
(adj)|outstanding|bang-up|Great
fine|3
(adj)|outstanding|all right
(adv)|well|all right
-|ok
not bad|1
(adj)|good
bad|1
(adj)|good (antonym)
"""


def written(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "th.dat"
    path.write_bytes(content)
    return path


def test_true_synonyms_of_single_words(tmp_path: Path) -> None:
    expected = {
        "café": ("coffeehouse", "coffee bar"),
        "great": ("outstanding", "bang-up"),
        "fine": ("outstanding", "all right", "well", "ok"),
    }
    assert Thesaurus.read(written(tmp_path, CONTENT.encode("latin-1"))).synonyms == expected
    windows = CONTENT.replace("ISO8859-1", "UTF-8").replace("\n", "\r\n")
    assert Thesaurus.read(written(tmp_path, windows.encode())).synonyms == expected


def test_missing_file_tells_where_one_is() -> None:
    with pytest.raises(ConfigError, match=r"cannot read the synonyms_file nowhere\.dat: No such file .* mythes-en-us"):
        Thesaurus.read("nowhere.dat")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no synonyms"),
        (b"good|1\n(adj)|fine\n", "is not in the encoding named on its first line"),
        (b"\xff\xfe\n", "is not in the encoding named on its first line"),
        (b"UTF-8\ngr\xe4te|1\n(noun)|bone\n", "is not in the encoding named on its first line"),
        (b"UTF-8\ngood|1\n(adj)|fine\n(adj)|well\n", r"line 4 of .* is '\(adj\)\|well'"),
        (b"UTF-8\nword,synonym\n", "line 2 of .* is 'word,synonym'; expected a MyThes thesaurus"),
        (b"UTF-8\ngood|1\n(adj)|full (similar term)\n", "holds no synonyms"),
    ],
)
def test_other_files_are_told(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Thesaurus.read(written(tmp_path, content))


def test_a_file_is_parsed_once_as_long_as_it_is_the_same(tmp_path: Path) -> None:
    first = Thesaurus.read(written(tmp_path, b"UTF-8\ngood|1\n(adj)|fine\n"))
    assert Thesaurus.read(tmp_path / "th.dat") is first
    assert Thesaurus.read(written(tmp_path, b"UTF-8\ngood|1\n(adj)|well\n")).synonyms == {"good": ("well",)}
