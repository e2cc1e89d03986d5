"""Scores of products, and how they change over time.

The score is the mean of a normal posterior under a normal prior that is estimated from all products (empirical Bayes; Efron and
Morris 1975, section 2): a product with few reviews is drawn towards the mean of all, one with many keeps its own mean. Its
interval counts that the prior is an estimate too (Morris 1983, "Parametric empirical Bayes inference", JASA 78).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final, Literal, get_args

from sqlalchemy import BigInteger, ColumnElement, Connection, func, select, type_coerce

from ratecast.errors import DataError
from ratecast.store.entries import storable
from ratecast.store.schema import predictions

Order = Literal["best", "worst", "reviews"]
Period = Literal["day", "week"]

_columns: Final = predictions.c
_Z: Final = 1.959964  # 97.5 % quantile of the standard normal distribution
_EPOCH: Final = date(1970, 1, 1)
_DAY_MICROSECONDS: Final = 86_400_000_000
_DAYS: Final[dict[Period, int]] = {"day": 1, "week": 7}
_DAYS_AFTER_MONDAY: Final = 3  # 1970 began on a Thursday


@dataclass(frozen=True, kw_only=True)
class Product:
    """What the predicted ratings of its reviews say of a product.

    Attributes:
        reviews: number of its reviews.
        mean: mean of their predicted ratings.
        score: the mean, drawn towards that of all products if there are few reviews.
        interval: where the mean of all its ratings to come lies, with a probability of 95 %.
    """

    item: str
    reviews: int
    mean: float
    score: float
    interval: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class ProductPage:
    """Some of the products, and how many there are in all."""

    products: tuple[Product, ...]
    total: int


@dataclass(frozen=True, kw_only=True)
class TrendPoint:
    """A day, or a week from Monday on, with reviews.

    Attributes:
        mean: mean of the predicted ratings.
        interval: where the mean rating of reviews of such a time lies, with a probability of 95 %.
    """

    start: date
    reviews: int
    mean: float
    interval: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Prior:
    """What is expected of a product before its reviews are read.

    Attributes:
        mean: over all products, of their means.
        between: variance of products' true means.
        within: variance of the ratings of one product.
        mean_variance: variance of ``mean`` around the true one.
        products: number of products.
    """

    mean: float
    between: float
    within: float
    mean_variance: float
    products: float

    def interval(self, reviews: int, mean: float, score: float) -> tuple[float, float]:
        """Where the true mean of a product lies, with a probability of 95 %.

        The variance is that of the posterior. What is drawn towards ``mean`` has in it the variance of that too, and, as
        ``between`` is an estimate, the more the farther it is drawn: 2 / (k - 3) · (1 - w)² · (m - mean)² of k products, where
        w is the weight of its own mean m.
        """
        drawn = self.within / (reviews * self.between + self.within)
        posterior = drawn * self.between
        drawing = 2 / max(self.products - 3, 1) * (mean - self.mean) ** 2
        error = math.sqrt(posterior + drawn**2 * (self.mean_variance + drawing))
        return score - _Z * error, score + _Z * error


def read_products(
    connection: Connection, *, model: str | None, since: datetime | None, order: Order, offset: int, limit: int
) -> ProductPage:
    """Products with their scores, in the given order.

    Raises:
        DataError: if there is no such order.
    """
    if order not in get_args(Order):
        raise DataError(f"unknown order {order!r}; known are {', '.join(get_args(Order))}")
    count, mean = func.count(), func.avg(_columns.rating)
    # The law of total variance: ratings differ because reviews do, and because a review does not tell its rating exactly.
    spread = func.sum(_columns.rating * _columns.rating + _columns.variance)
    filters = [_columns.item.is_not(None), *_filters(model, since, None)]
    products = (
        select(_columns.item, count.label("reviews"), mean.label("mean"), spread.label("squares"))
        .where(*filters)
        .group_by(_columns.item)
        .cte("products")
    )
    found = products.c
    sums = select(
        func.count().label("products"),
        func.sum(found.reviews).label("reviews"),
        func.sum(found.reviews * found.mean).label("total"),
        func.sum(found.reviews * found.mean * found.mean).label("squared_means"),
        func.sum(found.squares).label("squares"),
        func.sum(found.reviews * found.reviews).label("squared_counts"),
    )
    totals = connection.execute(sums).mappings().one()
    if not totals["products"]:
        return ProductPage(products=(), total=0)
    prior = estimate_prior(**{str(name): float(value) for name, value in totals.items()})
    weight = found.reviews * prior.between / (found.reviews * prior.between + prior.within)
    score = (prior.mean + weight * (found.mean - prior.mean)).label("score")
    orders: dict[Order, ColumnElement[Any]] = {
        "best": score.desc(),
        "worst": score.asc(),
        "reviews": found.reviews.desc(),
    }
    query = select(found.item, found.reviews, found.mean, score).order_by(orders[order], found.item)
    rows = connection.execute(query.offset(offset).limit(limit)).all()
    return ProductPage(products=tuple(_product(row, prior) for row in rows), total=int(totals["products"]))


def estimate_prior(
    *, products: float, reviews: float, total: float, squared_means: float, squares: float, squared_counts: float
) -> Prior:
    """Variance within and between products by the method of moments, as in a one-way analysis of variance.

    Args:
        products: number of products.
        reviews: number of reviews.
        total: sum of the ratings.
        squared_means: sum over reviews of the square of their product's mean.
        squares: sum of squared ratings.
        squared_counts: sum over products of the square of their number of reviews.
    """
    mean = total / reviews
    within = max(squares - squared_means, 0.0) / max(reviews - products, 1.0)
    smallest = 1e-9 * max(1.0, mean * mean)  # so that nothing is divided by zero where all ratings are the same
    between = 0.0
    if products > 1:
        spread = squared_means - reviews * mean * mean
        between = max((spread - (products - 1.0) * within) / (reviews - squared_counts / reviews), 0.0)
    return Prior(
        mean=mean,
        between=between + smallest,
        within=within + smallest,
        mean_variance=within / reviews + between * squared_counts / reviews**2,
        products=products,
    )


def read_trend(
    connection: Connection,
    *,
    item: str | None,
    model: str | None,
    by: Period,
    since: datetime | None,
    until: datetime | None,
) -> tuple[TrendPoint, ...]:
    """Mean predicted rating for each day or week that has reviews, the oldest first.

    Raises:
        DataError: if there is no such period.
    """
    if by not in _DAYS:
        raise DataError(f"unknown period {by!r}; known are {', '.join(_DAYS)}")
    days = type_coerce(_columns.time, BigInteger) // _DAY_MICROSECONDS
    period = (days if by == "day" else (days + _DAYS_AFTER_MONDAY) // 7).label("period")
    filters = _filters(model, since, until)
    if item is not None:
        filters += [_columns.item.is_not(None), _columns.item == storable(item)]
    spread = func.avg(_columns.rating * _columns.rating + _columns.variance)
    query = select(period, func.count(), func.avg(_columns.rating), spread).where(*filters).group_by(period).order_by(period)
    return tuple(_point(by, *row) for row in connection.execute(query))


def _filters(model: str | None, since: datetime | None, until: datetime | None) -> list[ColumnElement[bool]]:
    filters: list[ColumnElement[bool]] = [~_columns.shadow]
    filters += [] if model is None else [_columns.model == storable(model)]
    filters += [] if since is None else [_columns.time >= since]
    return filters if until is None else [*filters, _columns.time < until]


def _product(row: Sequence[Any], prior: Prior) -> Product:
    item, reviews, mean, score = row
    return Product(item=item, reviews=reviews, mean=mean, score=score, interval=prior.interval(reviews, mean, score))


def _point(by: Period, period: int, reviews: int, mean: float, squares: float) -> TrendPoint:
    variance = max(squares - mean * mean, 0.0)
    error = math.sqrt(variance / reviews)
    start = _EPOCH + timedelta(days=period * _DAYS[by] - (_DAYS_AFTER_MONDAY if by == "week" else 0))
    return TrendPoint(start=start, reviews=reviews, mean=mean, interval=(mean - _Z * error, mean + _Z * error))
