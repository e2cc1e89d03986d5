"""Effects of other columns, on reviews whose writers have a known leniency."""

import json
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize

from ratecast.combine import effects as module
from ratecast.combine.effects import RIDGE, Effects, fit_effects
from ratecast.combine.encoding import find_encoding
from ratecast.combine.tilt import tilted
from ratecast.errors import DataError, ModelFolderError
from ratecast.records import Reviews, strings
from ratecast.scale import FloatArray, RatingScale

SCALE = RatingScale.parse("1..5")
LEVELS = np.array(SCALE.levels)
USERS = 40


@dataclass(frozen=True)
class Simulated:
    """Reviews, what the text says of them, and the true shift by each user's leniency, shape ``(user,)``."""

    reviews: Reviews
    base: FloatArray
    leniency: FloatArray


def simulate(count: int, seed: int, scale: RatingScale = SCALE) -> Simulated:
    """Ratings drawn from a base that is tilted by who wrote the review and by how often it was found helpful."""
    leniency = np.random.default_rng(99).normal(0, 0.8, USERS)
    random = np.random.default_rng(seed)
    users = (USERS * random.random(count) ** 2).astype(int)  # the first users write most
    base = random.dirichlet(np.full(len(scale), 0.7), count) * 0.99 + 0.01 / len(scale)
    helpful = np.where(random.random(count) < 0.2, np.nan, random.exponential(10, count))
    shifts = 0.3 + leniency[users] - 0.08 * np.minimum(np.nan_to_num(helpful, nan=5.0), 20)
    values = (np.array(scale.levels) - 3) / np.std(scale.levels)
    chances = tilted(base, values, shifts)
    drawn = (chances.cumsum(axis=1) < random.random((count, 1))).sum(axis=1).clip(max=len(scale) - 1)
    reviews = Reviews(
        text=strings(f"text {row}" for row in range(count)),
        rating=np.array(scale.levels)[drawn],
        user=strings(f"u{user}" for user in users),
        labels={
            "noise": strings(f"n{value}" for value in random.integers(0, 30, count)),
            "empty": strings([None] * count),
        },
        numbers={"helpful": helpful, "random": random.normal(size=count)},
    )
    return Simulated(reviews, base, leniency)


def fitted(used: list[str], train: Simulated, validation: Simulated) -> Effects | None:
    return fit_effects(train.reviews, train.base, validation.reviews, validation.base, SCALE, used=used)


@pytest.fixture(scope="module")
def train() -> Simulated:
    return simulate(3000, 0)


@pytest.fixture(scope="module")
def validation() -> Simulated:
    return simulate(800, 1)


@pytest.fixture(scope="module")
def both(train: Simulated, validation: Simulated) -> Effects:
    found = fitted(["user", "helpful"], train, validation)
    assert found is not None
    return found


def dense_coefficients(effects: Effects, simulated: Simulated) -> FloatArray:
    """The coefficients by SciPy's general minimiser, on dense matrices written down anew."""
    levels = SCALE.level_index(simulated.reviews.rated())
    values = (LEVELS - LEVELS[levels].mean()) / LEVELS[levels].std()
    columns, penalties = [np.ones(len(levels))], [[0.0]]
    for encoding, penalty in zip(effects.encodings, effects.penalties, strict=True):
        positions = encoding.positions(simulated.reviews)
        columns += [(positions == position).astype(float) for position in range(len(encoding))]
        penalties.append([penalty] * len(encoding))
    design, ridge = np.stack(columns, axis=1), np.concatenate(penalties)
    ranges = slice(len(ridge) - len(effects.encodings[-1]), len(ridge) - 1)  # "helpful" comes last, missing after its ranges
    smooth = ridge[-1]
    ridge[ranges] *= RIDGE

    def loss(coefficients: FloatArray) -> tuple[float, FloatArray]:
        weights = simulated.base * np.exp(np.outer(design @ coefficients, values))
        chances = weights / weights.sum(axis=1, keepdims=True)
        steps = np.diff(coefficients[ranges])
        slope = design.T @ (chances @ values - values[levels]) + ridge * coefficients
        slope[ranges] += smooth * (np.append(0, steps) - np.append(steps, 0))
        given = np.log(chances[np.arange(len(levels)), levels]).sum()
        return -given + 0.5 * (ridge @ coefficients**2 + smooth * steps @ steps), slope

    return np.asarray(minimize(loss, np.zeros(len(ridge)), jac=True, method="BFGS", options={"gtol": 1e-6, "maxiter": 2000}).x)


def test_coefficients_equal_those_of_an_independent_minimiser(both: Effects, train: Simulated) -> None:
    found = np.concatenate([[both.intercept], *both.effects])
    np.testing.assert_allclose(found, dense_coefficients(both, train), atol=1e-5)


def test_a_review_of_weight_two_counts_as_two(train: Simulated, validation: Simulated) -> None:
    """Weights of 0, 1 and 2, as many of the first as of the last, are the table with these reviews left out and doubled."""
    counts = np.tile([0, 1, 2], 1000)
    users = train.reviews.user
    assert users is not None
    assert set(users[counts > 0]) == set(users)
    rows = np.repeat(np.arange(3000), counts)
    weighted = fitted(["user"], replace(train, reviews=replace(train.reviews, weight=counts * 7.0)), validation)
    copied = fitted(["user"], replace(train, reviews=train.reviews.take(rows), base=train.base[rows]), validation)
    plain = fitted(["user"], train, validation)
    assert weighted is not None
    assert copied is not None
    assert plain is not None
    assert weighted.penalties == copied.penalties
    np.testing.assert_allclose(weighted.values, copied.values, rtol=1e-12)
    labels = dict(zip(copied.encodings[0].labels, copied.effects[0], strict=True))
    np.testing.assert_allclose(weighted.effects[0], [labels[name] for name in weighted.encodings[0].labels], atol=1e-6)
    assert weighted.intercept == pytest.approx(copied.intercept, abs=1e-6)
    assert np.abs(weighted.effects[0] - plain.effects[0]).max() > 0.05


def test_leniency_is_recovered_and_shrunken(both: Effects, train: Simulated) -> None:
    names = both.encodings[0].labels
    per_level = both.values[1] - both.values[0]  # the simulation's values are standardised by the levels, not by the ratings
    truth = np.array([train.leniency[int(name[1:])] for name in names]) / LEVELS.std() / per_level
    counts = np.bincount(both.encodings[0].positions(train.reviews))
    often = counts >= np.median(counts)
    found = both.effects[0]
    assert np.corrcoef(found[often], truth[often])[0, 1] > 0.95
    np.testing.assert_allclose(np.polyfit(truth[often], found[often], 1)[0], 1, atol=0.1)
    weak = module.PENALTIES[-1] / 1000
    free = module._Search(
        {"user": both.encodings[0], "helpful": both.encodings[1]},
        (train.reviews, train.base),
        (train.reviews, train.base),
        SCALE,
    ).fitted({"user": weak, "helpful": both.penalties[1]})
    shrinkage = np.abs(found) / np.abs(free.effects[0])
    assert shrinkage[~often].mean() < shrinkage[often].mean() < 1, "the fewer reviews, the more is taken back"
    one = both.effects[1]
    assert one[0] > one[-2], "helpful reviews were made to be harsher"


def test_predictions_on_new_reviews_become_better(both: Effects) -> None:
    test = simulate(2000, 2)
    levels = SCALE.level_index(test.reviews.rated())
    after = both.apply(test.base, test.reviews)
    np.testing.assert_allclose(after.sum(axis=1), 1)
    rows = np.arange(len(levels))
    assert np.log(after[rows, levels]).mean() > np.log(test.base[rows, levels]).mean() + 0.1


def test_a_user_with_one_review_moves_little(train: Simulated, validation: Simulated) -> None:
    users = train.reviews.user
    assert users is not None
    changed = users.copy()
    changed[0] = "once"
    found = fitted(["user"], replace(train, reviews=replace(train.reviews, user=changed)), validation)
    assert found is not None
    effects = dict(zip(found.encodings[0].labels, found.effects[0], strict=True))
    assert 0 < abs(effects["once"]) < 0.5 * np.abs(found.effects[0]).max()


def test_unseen_and_missing_values_leave_all_but_the_intercept(both: Effects, train: Simulated, validation: Simulated) -> None:
    user_only = fitted(["user"], train, validation)
    assert user_only is not None
    strangers = Reviews(text=strings("abc"), user=strings(["new", None, ""]))
    expected = tilted(train.base[:3], user_only.values, np.full(3, user_only.intercept))
    np.testing.assert_array_equal(user_only.apply(train.base[:3], strangers), expected)
    np.testing.assert_array_equal(user_only.apply(train.base[:3], Reviews.from_texts(list("abc"))), expected)
    missing = tilted(train.base[:3], both.values, np.full(3, both.intercept + both.effects[1][-1]))
    np.testing.assert_array_equal(both.apply(train.base[:3], Reviews.from_texts(list("abc"))), missing)


def test_values_that_only_validation_or_test_reviews_have_never_enter(train: Simulated, validation: Simulated) -> None:
    users = validation.reviews.user
    assert users is not None
    marked = strings("only here" if row % 2 else user for row, user in enumerate(users))
    numbers = {"helpful": np.full(len(users), 1e9)}
    changed = replace(validation, reviews=replace(validation.reviews, user=marked, numbers=numbers))
    found = fitted(["user"], train, changed)
    assert found is not None
    assert "only here" not in found.encodings[0].labels
    known = set(train.reviews.user.tolist()) if train.reviews.user is not None else set()
    assert set(found.encodings[0].labels) == known
    assert find_encoding("helpful", train.reviews).cuts[-1] < 100


def test_columns_that_say_nothing_are_dropped(train: Simulated, validation: Simulated) -> None:
    found = fitted(["noise", "user", "random", "empty", "helpful"], train, validation)
    assert found is not None
    assert found.kinds == {"user": "label", "helpful": "number"}
    assert fitted(["noise", "random", "empty"], train, validation) is None
    assert fitted([], train, validation) is None


def test_a_column_of_one_value_is_dropped_and_hides_no_other(train: Simulated, validation: Simulated) -> None:
    with_constant = [
        replace(
            part, reviews=replace(part.reviews, labels=dict(part.reviews.labels) | {"one": strings(["x"] * len(part.base))})
        )
        for part in (train, validation)
    ]
    for used in (["one"], ["one", "noise"], ["noise", "one", "random"]):
        assert fitted(used, *with_constant) is None
    found = fitted(["one", "user", "noise"], *with_constant)
    assert found is not None
    assert found.kinds == {"user": "label"}


def test_what_rounding_leaves_is_no_gain() -> None:
    others = np.ones(50)
    assert not module._is_clearly_lower(others - 2**-53, others)
    assert module._is_clearly_lower(others - 0.01, others)


def test_noise_rarely_seems_to_help() -> None:
    kept = 0
    for seed in range(20):
        train, validation = simulate(400, 100 + seed), simulate(100, 200 + seed)
        kept += fitted(["noise"], train, validation) is not None
    assert kept <= 4  # 5 in 100 are expected, a little more for the choice of the penalty


def test_the_chosen_penalty_is_the_best_of_all(both: Effects, train: Simulated, validation: Simulated) -> None:
    search = module._Search(
        {one.name: one for one in both.encodings}, (train.reviews, train.base), (validation.reviews, validation.base), SCALE
    )
    chosen = dict(zip(both.kinds, both.penalties, strict=True))
    least = search.losses(chosen).mean()
    for name in chosen:
        assert all(least <= search.losses(chosen | {name: penalty}).mean() for penalty in module.PENALTIES)
    expected = (SCALE.mean(validation.base) - validation.reviews.rated()) ** 2 / train.reviews.rated().std() ** 2
    levels = SCALE.level_index(validation.reviews.rated())
    expected -= np.log(validation.base[np.arange(len(levels)), levels])
    np.testing.assert_allclose(search.losses_of(validation.base), expected)


def test_a_continuous_scale(train: Simulated) -> None:
    random = np.random.default_rng(0)
    scale = RatingScale.continuous(random.normal(3, 1, 500))
    made = [simulate(1500, 3, scale), simulate(500, 4, scale)]
    found = fit_effects(made[0].reviews, made[0].base, made[1].reviews, made[1].base, scale, used=["user"])
    assert found is not None
    assert found.apply(made[1].base, made[1].reviews).shape == (500, len(scale))
    centres = np.array(scale.levels)[scale.level_index(made[0].reviews.rated())]
    np.testing.assert_allclose(found.values, (np.array(scale.levels) - centres.mean()) / centres.std())


def test_ratings_of_one_level_have_no_effects() -> None:
    reviews = Reviews(text=strings("ab"), rating=np.array([3.0, 3.0]), user=strings("uv"))
    base = np.full((2, 5), 0.2)
    assert fit_effects(reviews, base, reviews, base, SCALE, used=["user"]) is None


def test_an_absent_column_is_told(train: Simulated, validation: Simulated) -> None:
    with pytest.raises(DataError, match="no column 'price'; they have 'user', 'noise', 'empty', 'helpful', 'random'"):
        fitted(["price"], train, validation)


def test_saved_effects_come_back_exactly(both: Effects, validation: Simulated, tmp_path: Path) -> None:
    assert both.save(tmp_path, "effects") == ["effects.json"]
    loaded = Effects.load(tmp_path, ["effects.json"], SCALE)
    expected = both.apply(validation.base, validation.reviews)
    np.testing.assert_array_equal(loaded.apply(validation.base, validation.reviews), expected)
    assert (loaded.encodings, loaded.penalties) == (both.encodings, both.penalties)
    assert loaded.describe() == both.describe()
    code = (
        "import sys, pathlib\n"
        "from ratecast.combine.effects import Effects\n"
        "from ratecast.scale import RatingScale\n"
        "from ratecast.records import Reviews\n"
        "loaded = Effects.load(pathlib.Path(sys.argv[1]), ['effects.json'], RatingScale.parse('1..5'))\n"
        "import numpy\n"
        "loaded.apply(numpy.full((1, 5), 0.2), Reviews.from_texts(['a']))\n"
        "print({'scipy', 'sklearn', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content.pop("intercept"), "cannot read"),
        (lambda content: content["columns"][0].update(kind="image"), "cannot read"),
        (lambda content: content["columns"][0]["effects"].pop(), "do not fit"),
        (lambda content: content["values"].pop(), "do not fit"),
        (lambda content: content["columns"][1].update(effects=[float("nan")] * 9), "not all are finite"),
    ],
)
def test_damaged_effects_are_told(both: Effects, change: Any, message: str, tmp_path: Path) -> None:
    (file,) = both.save(tmp_path, "effects")
    content = json.loads((tmp_path / file).read_text(encoding="utf-8"))
    change(content)
    (tmp_path / file).write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ModelFolderError, match=message):
        Effects.load(tmp_path, [file], SCALE)


@pytest.mark.parametrize("content", ["", "[]", None])
def test_unreadable_effects_are_told(content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "effects.json").write_text(content, encoding="utf-8")
    with pytest.raises(ModelFolderError, match="cannot read the effects of columns"):
        Effects.load(tmp_path, ["effects.json"], SCALE)


def test_the_description_says_how_far_the_rating_moves(both: Effects, train: Simulated) -> None:
    user, helpful = both.describe()
    assert user.startswith(f"user: {USERS} values, penalty {both.penalties[0]:g}, moves the rating by -")
    assert helpful.startswith("helpful: number in 8 ranges, penalty ")
    labels, effects = both.encodings[0].labels, both.effects[0]
    assert f"({labels[int(effects.argmin())]}) to +" in user
    assert user.endswith(f"({labels[int(effects.argmax())]})")
    moved = replace(both, intercept=both.intercept + 0.01).apply(train.base, train.reviews)
    difference = SCALE.mean(moved).mean() - SCALE.mean(both.apply(train.base, train.reviews)).mean()
    assert difference == pytest.approx(0.01 * both.rating_per_shift, rel=0.01)
