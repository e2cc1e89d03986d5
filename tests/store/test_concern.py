import math

import pytest

from ratecast.config import StoreConfig
from ratecast.store.concern import agreement, concern, variance_of
from stored import SURE, TORN, predicted

FIFTHS = dict.fromkeys((1.0, 2.0, 3.0, 4.0, 5.0), 0.2)
TWENTY = {level / 20: 0.05 for level in range(20)}  # as of a continuous scale: no bin is probable


def test_variance_by_hand() -> None:
    assert variance_of(FIFTHS) == pytest.approx(2.0)
    assert variance_of({3.0: 1.0}) == 0.0


@pytest.mark.parametrize(
    ("values", "uncertain", "surprising", "urgency"),
    [
        ({"probabilities": SURE}, False, False, None),
        ({"probabilities": FIFTHS}, True, False, 2 * math.sqrt(2) / 4),
        ({"probabilities": FIFTHS, "stars": 1.0}, True, False, 2 * math.sqrt(2) / 4),
        ({"probabilities": SURE, "stars": 4.0}, False, False, None),
        ({"probabilities": SURE, "stars": 1.0}, False, True, 1.0),
        ({"probabilities": SURE, "stars": 2.6}, False, False, None),  # the nearest level is 3
        ({"probabilities": TWENTY, "stars": 0.5}, True, False, 2 * math.sqrt(33.25) / 19),
        ({"probabilities": SURE, "flag": "harmful"}, False, False, 1.0),
        ({"probabilities": SURE, "flag": "harmful", "stars": 1.0}, False, True, 2.0),
        ({"probabilities": TORN, "stars": 3.0, "shadow": True}, True, False, None),
        ({"probabilities": {3.0: 1.0}}, False, False, None),
    ],
)
def test_who_should_be_read(values: dict[str, object], uncertain: bool, surprising: bool, urgency: float | None) -> None:
    found = concern(predicted("a", **values), StoreConfig())
    assert (found.uncertain, found.surprising) == (uncertain, surprising)
    assert found.urgency == (None if urgency is None else pytest.approx(urgency))


def test_the_limits_are_settings() -> None:
    strict = StoreConfig(uncertain_from=0.1, surprising_below=0.2)
    found = concern(predicted("a", stars=3.0), strict)
    assert (found.uncertain, found.surprising) == (True, True)
    assert agreement(SURE, 3.0) == pytest.approx(0.125)
