"""Scores and trends against NumPy and pandas."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ratecast.errors import DataError
from ratecast.store import Product, Store
from ratecast.store.products import Order, estimate_prior
from stored import predicted

START = datetime(2026, 2, 26, 20, tzinfo=UTC)  # a Thursday; weeks and months end soon


@pytest.fixture
def table(store: Store) -> pd.DataFrame:
    """What is in the store: items of very different sizes over three weeks, and some rows that count nowhere."""
    draw = np.random.default_rng(0)
    rows: list[dict[str, Any]] = []
    for number in range(400):
        item = f"item {int(draw.exponential(5))}" if number % 10 else None
        mean = draw.uniform(1, 5)
        low = draw.uniform(0, 1)
        rows.append({"item": item, "rating": mean, "variance": low * (1 - low) * 16, "low": low, "model": f"m{number % 2}"})
        rows[-1]["time"] = START + timedelta(hours=float(draw.uniform(0, 21 * 24)))
    store.add_predictions(
        [
            predicted(
                f"{number}",
                probabilities={1.0: row["low"], 5.0: 1 - row["low"]},
                **{name: row[name] for name in ("item", "rating", "model", "time")},
            )
            for number, row in enumerate(rows)
        ]
    )
    store.add_predictions([predicted(f"shadow {number}", item="item 0", time=START, shadow=True) for number in range(50)])
    assert store.flush()
    return pd.DataFrame(rows)


def expected_scores(table: pd.DataFrame) -> pd.DataFrame:
    """The posterior of each item, from a one-way analysis of variance."""
    groups = table.groupby("item")
    count, mean = groups.size(), groups["rating"].mean()
    total = table["rating"].mean()
    inside = ((table["rating"] - table["item"].map(mean)) ** 2 + table["variance"]).sum() / (len(table) - len(count))
    between_squares = (count * (mean - total) ** 2).sum()
    size = (len(table) - (count**2).sum() / len(table)) / (len(count) - 1)
    between = max((between_squares / (len(count) - 1) - inside) / size, 0.0)
    precision = count / inside + 1 / max(between, 1e-12)
    score = (mean * count / inside + total / max(between, 1e-12)) / precision
    drawn = inside / (count * between + inside)
    of_mean = inside / len(table) + between * (count**2).sum() / len(table) ** 2
    drawing = 2 / (len(count) - 3) * (mean - total) ** 2
    error = (1 / precision + drawn**2 * (of_mean + drawing)) ** 0.5
    return pd.DataFrame({"reviews": count, "mean": mean, "score": score, "error": error})


@pytest.mark.parametrize("chosen", [{}, {"model": "m1"}, {"since": START + timedelta(days=10)}])
def test_scores(store: Store, table: pd.DataFrame, chosen: dict[str, Any]) -> None:
    kept = table[table["item"].notna()]
    kept = kept[kept["model"] == "m1"] if "model" in chosen else kept
    kept = kept[kept["time"] >= chosen["since"]] if "since" in chosen else kept
    expected = expected_scores(kept)
    page = store.products(limit=1000, **chosen)
    assert page.total == len(page.products) == len(expected) > 10
    for product in page.products:
        row = expected.loc[product.item]
        assert product.reviews == row["reviews"]
        assert product.mean == pytest.approx(row["mean"], abs=1e-9)
        assert product.score == pytest.approx(row["score"], abs=1e-5)
        low, high = product.interval
        assert (low + high) / 2 == pytest.approx(product.score)
        assert high - low == pytest.approx(2 * 1.959964 * row["error"], rel=1e-4)


@pytest.mark.parametrize("between", [0.0, 0.02, 0.3])
def test_intervals_hold_the_true_means(between: float) -> None:
    draw, held, products, reviews = np.random.default_rng(0), [], 6, 30
    for _ in range(400):
        true = draw.normal(3.7, between**0.5, products)
        ratings = draw.normal(true[:, None], 1.0, (products, reviews))
        means = ratings.mean(axis=1)
        prior = estimate_prior(
            products=products,
            reviews=ratings.size,
            total=ratings.sum(),
            squared_means=reviews * (means**2).sum(),
            squares=(ratings**2).sum(),
            squared_counts=products * reviews**2,
        )
        weight = reviews * prior.between / (reviews * prior.between + prior.within)
        for mean, right in zip(means, true, strict=True):
            low, high = prior.interval(reviews, mean, prior.mean + weight * (mean - prior.mean))
            held.append(low <= right <= high)
    assert np.mean(held) > 0.925


def test_means_that_differ_are_kept_apart_and_few_reviews_draw_to_the_middle(store: Store) -> None:
    for item, rating, count in (("good", 4.5, 60), ("bad", 1.5, 60), ("new", 4.5, 1)):
        store.add_predictions([predicted(f"{item} {number}", item=item, rating=rating) for number in range(count)])
    assert store.flush()
    found = {product.item: product for product in store.products().products}
    assert found["good"].score == pytest.approx(4.5, abs=0.05)
    assert found["bad"].score == pytest.approx(1.5, abs=0.05)
    assert 3 < found["new"].score < found["good"].score
    widths = {item: product.interval[1] - product.interval[0] for item, product in found.items()}
    assert widths["new"] > 3 * widths["good"]


def test_orders_and_pages(store: Store, table: pd.DataFrame) -> None:
    everything = store.products(limit=1000).products
    keys: dict[Order, Callable[[Product], tuple[float, str]]] = {
        "best": lambda product: (-product.score, product.item),
        "worst": lambda product: (product.score, product.item),
        "reviews": lambda product: (-product.reviews, product.item),
    }
    for order, key in keys.items():
        pages = [store.products(order=order, offset=offset, limit=5).products for offset in range(0, 60, 5)]
        assert [product for page in pages for product in page] == sorted(everything, key=key)
    with pytest.raises(DataError, match="unknown order 'age'; known are best, worst, reviews"):
        store.products(order="age")  # type: ignore[arg-type]


def test_no_products(store: Store) -> None:
    assert (store.products().total, store.products().products, store.trend()) == (0, (), ())


def test_one_product_and_equal_ratings() -> None:
    prior = estimate_prior(products=1, reviews=3, total=12, squared_means=48, squares=48, squared_counts=9)
    assert prior.mean == 4.0
    assert 0 < prior.between < 1e-6
    assert 0 < prior.within < 1e-6


@pytest.mark.parametrize("by", ["day", "week"])
@pytest.mark.parametrize("chosen", [{}, {"item": "item 0"}, {"model": "m0"}, {"item": "item 1", "model": "m1"}])
def test_trend(store: Store, table: pd.DataFrame, by: Any, chosen: dict[str, str]) -> None:
    since, until = START + timedelta(days=2), START + timedelta(days=19)
    kept = table[(table["time"] >= since) & (table["time"] < until)]
    for name, value in chosen.items():
        kept = kept[kept[name] == value]
    starts = kept["time"].dt.tz_localize(None).dt.to_period("W-SUN" if by == "week" else "D").dt.start_time.dt.date
    found = store.trend(by=by, since=since, until=until, **chosen)
    assert [point.start for point in found] == sorted(starts.unique())
    for point in found:
        rows = kept[starts == point.start]
        assert point.reviews == len(rows)
        assert point.mean == pytest.approx(rows["rating"].mean())
        error = np.sqrt((rows["rating"].var(ddof=0) + rows["variance"].mean()) / len(rows))
        assert point.interval == pytest.approx((point.mean - 1.959964 * error, point.mean + 1.959964 * error))


def test_an_unknown_period(store: Store) -> None:
    with pytest.raises(DataError, match="unknown period 'hour'; known are day, week"):
        store.trend(by="hour")  # type: ignore[arg-type]
