"""Which versions are wanted, and which of them a request goes to."""

from pathlib import Path

import numpy as np
import pytest

from ratecast.errors import ConfigError
from ratecast.serve.routing import pick
from ratecast.serve.versions import Wanted, wanted_versions


def weights(*texts: str) -> list[tuple[str, str, float, bool]]:
    return [(one.name, str(one.folder), one.weight, one.is_shadow) for one in wanted_versions(texts)]


def test_versions_are_read_as_they_are_written(tmp_path: Path) -> None:
    assert weights("models/shop/") == [("shop", "models/shop", 1.0, False)]
    assert weights("shop=a", "films=b", "shop=c@5%", "shop=d@0", "shop=e@shadow") == [
        ("shop", "a", 0.95, False),
        ("shop", "c", 0.05, False),
        ("shop", "d", 0.0, False),
        ("shop", "e", 0.0, True),
        ("films", "b", 1.0, False),
    ]
    assert weights("shop=a", "shop=b", "shop=c@0.5") == [
        ("shop", "a", 0.25, False),
        ("shop", "b", 0.25, False),
        ("shop", "c", 0.5, False),
    ]
    assert [one[2] for one in weights("shop=a", "shop=b@0.9")] == [0.1, 0.9]
    assert [one[2] for one in weights("shop=a@0.7", "shop=b@0.1", "shop=c@0.2")] == [0.7, 0.1, 0.2]
    assert weights("shop=team@home/model") == [("shop", "team@home/model", 1.0, False)]
    (tmp_path / "model@2").mkdir()
    assert weights(f"shop={tmp_path}/model@2") == [("shop", f"{tmp_path}/model@2", 1.0, False)]


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ([], "nothing to serve"),
        (["=model"], "'=model' has no name; write NAME=FOLDER"),
        (["a/model", "b/model"], "two models are called 'model'; name them: first=a/model second=b/model, or, as two versions"),
        (["model=a", "b/model"], "two models are called 'model'"),
        (["shop=a", "shop=b@lots"], "after the @ of 'shop=b@lots'"),
        (["shop=a", "shop=b@"], "after the @ of 'shop=b@'"),
        (["shop=a", "shop=b@-0.1"], "expected a weight from 0 to 1"),
        (["shop=a", "shop=b@200%"], "expected a weight from 0 to 1"),
        (["shop=a", "shop=b@nan"], "expected a weight from 0 to 1"),
        (["shop=a", "shop=b@0.6", "shop=c@0.6"], "the weights of 'shop' add up to 1.2; expected 1"),
        (["shop=a@0.5", "shop=b@0.4"], "the weights of 'shop' add up to 0.9; expected 1"),
        (["shop=a@0"], "the weights of 'shop' add up to 0; expected 1"),
        (["shop=a@shadow"], "all versions of 'shop' are shadows; one must answer: shop=a"),
    ],
)
def test_what_cannot_be_served_is_told(texts: list[str], words: str) -> None:
    with pytest.raises(ConfigError) as found:
        wanted_versions(texts)
    assert words in str(found.value)


def picked(versions: tuple[Wanted, ...], count: int) -> np.ndarray:
    return np.asarray([pick(versions, f"user {number}".encode()) for number in range(count)])


@pytest.mark.parametrize("name", ["a/b", "a@0.7", "a\n"])
def test_names_that_no_address_can_have_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=r"the name .* has"):
        wanted_versions([f"{name}=model"])


def test_each_version_gets_its_share_of_the_keys() -> None:
    found = picked(wanted_versions(["shop=a", "shop=b@0.25", "shop=c@0.05", "shop=d@0"]), 20_000)
    shares = np.bincount(found, minlength=4) / len(found)
    np.testing.assert_allclose(shares, [0.7, 0.25, 0.05, 0.0], atol=0.015)  # five standard errors
    assert shares[3] == 0


def test_a_key_stays_with_its_version_as_far_as_weights_allow() -> None:
    before = picked(wanted_versions(["shop=a", "shop=b@0.1", "shop=c@0.1"]), 5000)
    after = picked(wanted_versions(["shop=a", "shop=b@0.2", "shop=c@0.1"]), 5000)
    moves = set(zip(before[before != after], after[before != after], strict=True))
    assert moves == {(0, 1), (2, 1), (0, 2)}, "away from what has less, or to what has more"
    assert 0.08 < (before != after).mean() < 0.14
    again = picked(wanted_versions(["shop=c@0.1", "shop=a", "shop=b@0.1"]), 5000)  # the order does not matter
    assert ((before + 1) % 3 == again).all()


def test_models_choose_independently_of_each_other() -> None:
    shop, films = (picked(wanted_versions([f"{name}=a@0.5", f"{name}=b@0.5"]), 2000) for name in ("shop", "films"))
    assert (shop == films).mean() == pytest.approx(0.5, abs=0.06)
