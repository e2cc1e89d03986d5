"""A model as the page sees it."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ratecast.errors import ModelFolderError
from ratecast.model.store import CARD_FILE, REPORT_FILE
from ratecast.predict import Predictor
from ratecast.records import Prediction, Review

Predict = Callable[[Sequence[Review]], Awaitable[Sequence[Prediction]]]
"""How a model's predictions of a few reviews are made: by the service, with what else waits there."""


@dataclass(frozen=True, kw_only=True)
class Served:
    """A model with the name and the version that it is served by, and how it is asked."""

    name: str
    version: str
    predictor: Predictor
    predict: Predict

    def describe(self) -> dict[str, Any]:
        """What the page needs to draw predictions of it."""
        scale = self.predictor.scale
        return {
            "name": self.name,
            "version": self.version,
            "scale": {
                "levels": scale.levels,
                "labels": scale.labels,
                "low": scale.low,
                "high": scale.high,
                "continuous": scale.is_continuous,
            },
            "columns": sorted(self.predictor.used),
        }

    def card(self) -> str:
        """The model card as HTML, in which HTML of the card itself is shown as text.

        Raises:
            ModelFolderError: if the folder has none.
        """
        from markdown_it import MarkdownIt

        markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
        return str(markdown.render(self._read(CARD_FILE)))

    def report(self) -> str:
        """The evaluation report with its plots, a whole document of HTML.

        Raises:
            ModelFolderError: if the folder has none.
        """
        return self._read(REPORT_FILE)

    def _read(self, name: str) -> str:
        try:
            return (self.predictor.folder / name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            raise ModelFolderError(f"the folder of the model {self.name!r} has no readable {name}; fit it again") from None
