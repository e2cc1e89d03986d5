"""Templates and verbalisers, as people write them."""

import numpy as np
import pytest

from ratecast.config import FitConfig
from ratecast.errors import ConfigError
from ratecast.model.prompting.template import Template
from ratecast.model.prompting.verbaliser import Verbaliser
from ratecast.scale import RatingScale

STARS = RatingScale.parse("1..5")
TEN = RatingScale.parse("1..10")


def test_a_template_has_text_on_both_sides_the_ends_of_the_scale_and_new_lines() -> None:
    found = Template.parse(r"Review: {text}\nRating from {low} to {high}:", RatingScale.parse("0..5/0.5"), has_mask=False)
    assert (found.before, found.after) == ("Review: ", "\nRating from 0 to 5:")


@pytest.mark.parametrize(
    ("written", "has_mask", "message"),
    [
        ("It was [MASK].", True, r"must have \{text\} once"),
        ("{text} {text} [MASK]", True, r"must have \{text\} once"),
        ("{text} It was good.", True, r"must have \[MASK\] once, where an encoder shall tell the word"),
        ("{text} [MASK] [MASK]", True, r"must have \[MASK\] once"),
        ("{text} It was [MASK].", False, r"must have no \[MASK\] for a decoder"),
    ],
)
def test_a_template_that_cannot_be_used(written: str, has_mask: bool, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Template.parse(written, STARS, has_mask=has_mask)


def test_one_word_for_each_level() -> None:
    found = Verbaliser.parse("terrible, bad,okay,good,great", STARS)
    assert found.words == ("terrible", "bad", "okay", "good", "great")
    np.testing.assert_array_equal(found.mixture(STARS), np.eye(5))


def test_levels_between_words_are_mixed_and_those_beyond_have_the_nearest() -> None:
    found = Verbaliser.parse("8=great,2=terrible", TEN)
    assert found.words == ("terrible", "great")
    expected = np.array([0, 0, 1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 1, 1, 1])  # by hand
    np.testing.assert_allclose(found.mixture(TEN), np.stack([1 - expected, expected], axis=1), atol=1e-12)


def test_the_default_words_spread_over_any_scale() -> None:
    assert Verbaliser.default(RatingScale.parse("0,1")).words == ("terrible", "great")
    np.testing.assert_array_equal(Verbaliser.default(STARS).mixture(STARS), np.eye(5))
    wide = Verbaliser.default(RatingScale.parse("0..100/10"))
    assert list(wide.ratings) == [0.0, 25.0, 50.0, 75.0, 100.0]
    continuous = RatingScale.continuous(np.linspace(0, 1, 200))
    mixture = Verbaliser.default(continuous).mixture(continuous)
    assert mixture.shape == (len(continuous), 5)
    np.testing.assert_allclose(mixture.sum(axis=1), 1)


def test_numbers_are_words_where_levels_are_whole() -> None:
    numbers = Verbaliser.numbers(STARS)
    assert numbers is not None
    assert numbers.words == ("1", "2", "3", "4", "5")
    assert Verbaliser.numbers(RatingScale.parse("1..5/0.5")) is None


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("bad,good", r"has 2 words, and the scale 1\.\.5 5 levels.*such as 1=terrible,5=great"),
        ("a,b,c,d,d", "all different"),
        ("a,b,,c,d", "all different"),
        ("1=bad", "at least two words"),
        ("one=bad,5=good", "cannot read 'one=bad'"),
        ("bad,5=good", "cannot read 'bad'"),
        ("0=bad,5=good", r"names the rating 0, which is not on the scale 1\.\.5"),
        ("1=bad,1=good", "two words for one rating"),
    ],
)
def test_a_verbaliser_that_cannot_be_used(written: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Verbaliser.parse(written, STARS)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"verbaliser": "bad,good"}, "set prompt too"),
        ({"prompt": "It was [MASK]."}, r"prompt must have \{text\} once"),
        ({"prompt": "default", "pooled_layers": 2}, "leave pooling and pooled_layers unset"),
        ({"prompt": "default", "pooling": "first"}, "leave pooling and pooled_layers unset"),
        ({"prompt": "default", "pooling": "mean"}, "leave pooling and pooled_layers unset"),
        ({"prompt": "default", "pooling": "last"}, "leave pooling and pooled_layers unset"),
        ({"contrastive_passes": -1.0}, "contrastive_passes must be 0 or more"),
        ({"contrastive_passes": 1.0, "trained_layers": 0}, "trains the backbone, which trained_layers=0 leaves"),
    ],
)
def test_settings_that_contradict(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        FitConfig().with_values(**settings)
