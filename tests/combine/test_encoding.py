import numpy as np

from ratecast.combine.encoding import NO_EFFECT, Encoding, find_encoding
from ratecast.records import Reviews, strings


def numbered(*values: float) -> Reviews:
    return Reviews(text=strings(["t"] * len(values)), numbers={"n": np.array(values)})


def test_categories_are_those_of_training() -> None:
    reviews = Reviews(text=strings("abcd"), category=strings(["toys", "books", None, " toys "]))
    encoding = find_encoding("category", reviews)
    assert encoding.labels == ("books", "toys")
    assert len(encoding) == 2
    assert encoding.positions(reviews).tolist() == [1, 0, NO_EFFECT, 1]
    assert encoding.positions(Reviews.from_texts(["a"])).tolist() == [NO_EFFECT]


def test_ranges_hold_equally_many_and_outliers_count_as_their_rank() -> None:
    encoding = find_encoding("n", numbered(*range(15), 1e12))
    assert list(encoding.cuts) == [1, 3, 5, 7, 9, 11, 13]
    counts = np.bincount(encoding.positions(numbered(*range(15), 1e12)), minlength=9)
    assert counts.tolist() == [2] * 8 + [0]
    found = encoding.positions(numbered(-1e9, 1, 1.5, 14, np.inf, -np.inf, np.nan))
    assert found.tolist() == [0, 0, 1, 7, 7, 0, 8]


def test_repeated_values_give_fewer_ranges() -> None:
    encoding = find_encoding("n", numbered(*[0.0] * 12, 1.0, 2.0, 3.0, 4.0, np.nan, np.inf))
    assert encoding.cuts == (0.0, 2.0)
    assert find_encoding("n", numbered(np.nan, np.nan)).cuts == ()
    assert find_encoding("n", numbered(7.0, 7.0)).positions(numbered(7.0, 8.0, np.nan)).tolist() == [0, 0, 1]


def test_effects_are_named() -> None:
    numbers = Encoding(name="n", kind="number", cuts=(0.0, 2.5))
    assert [numbers.describe(position) for position in range(4)] == ["up to 0", "up to 2.5", "above 2.5", "missing"]
    assert Encoding(name="n", kind="number").describe(0) == "any number"
    assert Encoding(name="n", kind="label", labels=("x" * 50,)).describe(0) == "x" * 40 + "…"
