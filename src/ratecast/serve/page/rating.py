"""Rating what somebody pasted or uploaded, piece by piece, so that the page can show how far it is."""

import base64
import re
import tempfile
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC
from pathlib import Path
from typing import Any, Final

import numpy as np
from arro3.core import Table

from ratecast.data import load_reviews
from ratecast.data.table import build_table
from ratecast.data.write import write_table
from ratecast.errors import DataError
from ratecast.predict import Predictor, with_predictions
from ratecast.records import Prediction, Predictions, Review, Reviews
from ratecast.serve.page.served import Predict, Served
from ratecast.store import Store, StoredPrediction

MOST_ROWS: Final = 20_000
"""Reviews that the page rates at once; more are for ``ratecast predict``."""
SHOWN_ROWS: Final = 500
"""Reviews that the page shows; the download has all."""
_PIECE_ROWS: Final = 64
_SHOWN_CHARACTERS: Final = 4_000
_SUFFIXES: Final = (".csv", ".tsv", ".jsonl", ".parquet", ".arrow")


@dataclass(frozen=True, kw_only=True)
class Upload:
    """Reviews to be rated, and the table that they come from, row by row.

    Attributes:
        result_name: name of the file that is offered for download.
        notes: what to know of how the table was read.
    """

    reviews: Reviews
    table: Table
    result_name: str
    notes: tuple[str, ...] = ()


def read_pasted(texts: Sequence[str]) -> Upload:
    """Reviews of pasted texts.

    Raises:
        DataError: if there is no text, or too many.
    """
    if not texts:
        raise DataError("there is no review; paste some text")
    _check_rows(len(texts))
    reviews = Reviews.from_texts(texts)
    return Upload(reviews=reviews, table=build_table({"text": list(reviews.text)}), result_name="ratings.csv")


def read_upload(content: bytes, name: str, predictor: Predictor) -> Upload:
    """Reviews of an uploaded file.

    Args:
        content: the file.
        name: its name, whose extension tells the format.
        predictor: the model, which may use columns besides the text.

    Raises:
        DataError: if the file is of another format, damaged, without a column of texts, or has too many rows.
    """
    path = Path(re.split(r"[\\/]", name)[-1])
    suffix = path.suffix.lower()
    if suffix not in _SUFFIXES:
        raise DataError(f"expected a file of reviews ({', '.join(_SUFFIXES)}), found {path.name or 'no name'!r}")
    if not content:
        raise DataError(f"{path.name} is empty")
    with tempfile.TemporaryDirectory(prefix="ratecast-upload-") as folder:
        file = Path(folder) / f"upload{suffix}"
        file.write_bytes(content)
        try:
            loaded = load_reviews(
                file, need_rating=False, drop_duplicates=False, used=predictor.used, known=predictor.manifest.columns
            )
        except DataError as error:
            raise DataError(str(error).replace(str(file), path.name)) from None
    _check_rows(len(loaded.reviews))
    found = loaded.report.columns
    notes = [f"The text is read from the column {found.text!r}."]
    notes += [f"The title is read from the column {found.title!r}."] if found.title else []
    notes += [loaded.lacking] if loaded.lacking else []
    return Upload(reviews=loaded.reviews, table=loaded.table, result_name=f"{path.stem}-rated{suffix}", notes=tuple(notes))


def _check_rows(count: int) -> None:
    if count > MOST_ROWS:
        raise DataError(f"found {count:,} reviews; the page rates up to {MOST_ROWS:,} at once: use `ratecast predict` for more")


async def rate(served: Served, upload: Upload, predict: Predict, store: Store | None) -> AsyncIterator[dict[str, Any]]:
    """Rate reviews; gives ``{"done", "total"}`` after each piece, and in the end ``{"result"}``.

    Args:
        served: the model.
        upload: the reviews.
        predict: makes the predictions.
        store: where predictions are kept; None to keep none.
    """
    total = len(upload.reviews)
    parts = []
    for start in range(0, total, _PIECE_ROWS):
        rows = np.arange(start, min(start + _PIECE_ROWS, total))
        parts.append(await predict(served, upload.reviews.take(rows)))
        yield {"done": int(rows[-1]) + 1, "total": total}
    predictions = _joined(parts)
    ids = [uuid.uuid4().hex for _ in range(total)]
    if store is not None:
        store.add_predictions([_entry(served, upload.reviews, predictions[row], row, ids[row]) for row in range(total)])
    yield {"result": _result(upload, predictions, ids, is_kept=store is not None)}


def _joined(parts: Sequence[Predictions]) -> Predictions:
    first = parts[0]
    arrays: dict[str, Any] = {
        name: None if getattr(first, name) is None else np.concatenate([getattr(part, name) for part in parts])
        for name in ("id", "interval", "decided", "passed_on")
    }
    warnings = tuple(warning for part in parts for warning in part.warnings or ((),) * len(part))
    probabilities = np.concatenate([part.probabilities for part in parts])
    return replace(first, probabilities=probabilities, warnings=warnings, **arrays)


def _entry(served: Served, reviews: Reviews, prediction: Prediction, row: int, name: str) -> StoredPrediction:
    given = {part: column[row] for part in ("title", "item", "user") if (column := getattr(reviews, part)) is not None}
    entry = StoredPrediction.of(
        prediction,
        Review(text=reviews.text[row], **given),
        id=name,
        model=served.name,
        version=served.version,
        stars=_stars(reviews, row),
    )
    if reviews.time is None or np.isnat(reviews.time[row]):
        return entry
    return replace(entry, time=reviews.time[row].astype("datetime64[us]").item().replace(tzinfo=UTC))


def _stars(reviews: Reviews, row: int) -> float | None:
    return None if reviews.rating is None or np.isnan(reviews.rating[row]) else float(reviews.rating[row])


def _result(upload: Upload, predictions: Predictions, ids: Sequence[str], *, is_kept: bool) -> dict[str, Any]:
    reviews = upload.reviews
    shown = []
    for row in range(min(len(reviews), SHOWN_ROWS)):
        found: Prediction = predictions[row]
        shown.append(
            {
                "id": ids[row] if is_kept else None,
                "text": reviews.text[row][:_SHOWN_CHARACTERS],
                "title": None if reviews.title is None else reviews.title[row],
                "item": None if reviews.item is None else reviews.item[row],
                "stars": _stars(reviews, row),
                "rating": found.rating,
                "interval": found.interval,
                "probabilities": list(found.probabilities.values()),
                "warnings": found.warnings,
            }
        )
    return {
        "reviews": shown,
        "total": len(reviews),
        "mean": float(predictions.rating.mean()),
        "distribution": predictions.probabilities.mean(axis=0).tolist(),
        "notes": upload.notes,
        "kept": is_kept,
        "file": {"name": upload.result_name, "base64": _file(upload, predictions)},
    }


def _file(upload: Upload, predictions: Predictions) -> str:
    with tempfile.TemporaryDirectory(prefix="ratecast-result-") as folder:
        path = Path(folder) / upload.result_name
        write_table(with_predictions(upload.table, predictions)[0], path)
        return base64.b64encode(path.read_bytes()).decode("ascii")
