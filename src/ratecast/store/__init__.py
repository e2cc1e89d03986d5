"""What the service remembers, in SQLite or PostgreSQL: predictions, feedback, decisions of people, and what follows from it."""

from ratecast.errors import require

require("sqlalchemy", "store", "keeping predictions")

from ratecast.store.deletion import Deleted  # noqa: E402 - they need what was just looked for
from ratecast.store.entries import Decision, Feedback, StoredPrediction  # noqa: E402 - as above
from ratecast.store.history import Decided, History  # noqa: E402 - as above
from ratecast.store.products import Product, ProductPage, TrendPoint  # noqa: E402 - as above
from ratecast.store.queue import QueuePage, Waiting  # noqa: E402 - as above
from ratecast.store.store import Store  # noqa: E402 - as above
from ratecast.store.writer import WriteCounts  # noqa: E402 - as above

__all__ = [
    "Store",
    "StoredPrediction",
    "Feedback",
    "Decision",
    "Decided",
    "Deleted",
    "History",
    "Product",
    "ProductPage",
    "QueuePage",
    "TrendPoint",
    "Waiting",
    "WriteCounts",
]
