"""Rating what somebody pasted or uploaded, piece by piece, so that the page can show how far it is."""

import asyncio
import base64
import json
import re
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
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
from ratecast.serve.batching import review_size
from ratecast.serve.page.served import Served
from ratecast.store import Store, StoredPrediction

MOST_ROWS: Final = 20_000
"""Reviews that the page rates at once; more are for ``ratecast predict``."""
SHOWN_ROWS: Final = 500
"""Reviews that the page shows; the download has all."""
_PIECE_ROWS: Final = 64
_PIECE_BYTES: Final = 16_000
"""What is rated at once: little enough that the bar moves."""
_SHOWN_CHARACTERS: Final = 4_000
_SUFFIXES: Final = (".csv", ".tsv", ".jsonl", ".parquet", ".arrow")


@dataclass(frozen=True, kw_only=True)
class Upload:
    """Reviews to be rated, and the table that they come from, row by row.

    Attributes:
        result_name: name of the file that is offered for download.
        notes: what to know of how the table was read.
    """

    reviews: Sequence[Review]
    table: Table
    result_name: str
    notes: tuple[str, ...] = ()


def read_pasted(texts: Sequence[str], most_text_bytes: int) -> Upload:
    """Reviews of pasted texts.

    Args:
        texts: the texts.
        most_text_bytes: the longest text, in bytes of UTF-8, that is taken.

    Raises:
        DataError: if there is no text, too many, or one that is too long.
    """
    if not texts:
        raise DataError("there is no review; paste some text")
    reviews = Reviews.from_texts(texts)
    _check_size(reviews, most_text_bytes)
    return Upload(reviews=reviews.single(), table=build_table({"text": list(reviews.text)}), result_name="ratings.csv")


def read_upload(content: bytes, name: str, predictor: Predictor, most_text_bytes: int) -> Upload:
    """Reviews of an uploaded file.

    Args:
        content: the file.
        name: its name, whose extension tells the format.
        predictor: the model, which may use columns besides the text.
        most_text_bytes: the longest text with its title, in bytes of UTF-8, that is taken.

    Raises:
        DataError: if the file is of another format, damaged, without a column of texts, or has too many rows or a text that is
            too long.
    """
    path = Path(re.sub(r"[\x00-\x1f\x7f]", "", re.split(r"[\\/]", name)[-1]))
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
    _check_size(loaded.reviews, most_text_bytes)
    _check_ratings(loaded.reviews, predictor)
    found = loaded.report.columns
    notes = [f"The text is read from the column {found.text!r}."]
    notes += [f"The title is read from the column {found.title!r}."] if found.title else []
    notes += [loaded.lacking] if loaded.lacking else []
    return Upload(
        reviews=loaded.reviews.single(), table=loaded.table, result_name=f"{path.stem}-rated{suffix}", notes=tuple(notes)
    )


def _check_size(reviews: Reviews, most_text_bytes: int) -> None:
    if len(reviews) > MOST_ROWS:
        raise DataError(
            f"found {len(reviews):,} reviews; the page rates up to {MOST_ROWS:,} at once: use `ratecast predict` for more"
        )
    for row, text in enumerate(reviews.joined()):
        if (size := len(text.encode())) > most_text_bytes:
            raise DataError(f"review {row + 1} has {size:,} bytes; expected at most {most_text_bytes:,}")


def _check_ratings(reviews: Reviews, predictor: Predictor) -> None:
    """See whether the ratings that reviews came with can be on the model's scale; a continuous one has no sure ends."""
    scale = predictor.scale
    if reviews.rating is None or scale.is_continuous:
        return
    outside = np.flatnonzero((reviews.rating < scale.low) | (reviews.rating > scale.high))
    if len(outside):
        found = f"review {outside[0] + 1} has the rating {reviews.rating[outside[0]]:g}"
        raise DataError(f"{found}; expected one from {scale.low:g} to {scale.high:g}")


async def rate(served: Served, upload: Upload, store: Store | None) -> AsyncIterator[bytes]:
    """Rate reviews; gives lines of JSON: ``{"done", "total"}`` after each piece, and in the end ``{"result"}``.

    Args:
        served: the model.
        upload: the reviews.
        store: where predictions are kept; None to keep none.
    """
    found: list[Prediction] = []
    for piece in _pieces(upload.reviews):
        found += await served.predict(piece)
        yield line({"done": len(found), "total": len(upload.reviews)})
    # In a thread: of 20,000 reviews this takes a second, in which others would get no answer.
    yield await asyncio.to_thread(_finish, served, upload, found, store)


def line(content: dict[str, Any]) -> bytes:
    """A line of JSON."""
    return json.dumps(content).encode() + b"\n"


def _pieces(reviews: Sequence[Review]) -> Iterator[Sequence[Review]]:
    """The reviews in pieces of at least one and otherwise up to a number of rows and bytes."""
    start = size = 0
    for row, review in enumerate(reviews):
        size += review_size(review)
        if row > start and (size > _PIECE_BYTES or row - start == _PIECE_ROWS):
            yield reviews[start:row]
            start, size = row, review_size(review)
    yield reviews[start:]


def _finish(served: Served, upload: Upload, found: Sequence[Prediction], store: Store | None) -> bytes:
    """Keep the predictions, and make the line with what the page shows and offers for download."""
    ids = [uuid.uuid4().hex for _ in found]
    rated = list(zip(upload.reviews, found, ids, strict=True))
    if store is not None:
        store.add_predictions(
            [
                StoredPrediction.of(prediction, review, id=name, model=served.name, version=served.version)
                for review, prediction, name in rated
            ]
        )
    predictions = Predictions.from_predictions(found, served.predictor.scale)
    result = {
        "reviews": [_shown(*one, is_kept=store is not None) for one in rated[:SHOWN_ROWS]],
        "total": len(found),
        "mean": float(predictions.rating.mean()),
        "distribution": predictions.probabilities.mean(axis=0).tolist(),
        "notes": upload.notes,
        "kept": store is not None,
        "file": {"name": upload.result_name, "base64": _file(upload, predictions)},
    }
    return line({"result": result})


def _shown(review: Review, prediction: Prediction, name: str, *, is_kept: bool) -> dict[str, Any]:
    return {
        "id": name if is_kept else None,
        "text": review.text[:_SHOWN_CHARACTERS],
        "title": review.title,
        "item": review.item,
        "stars": review.rating,
        "rating": prediction.rating,
        "interval": prediction.interval,
        "probabilities": list(prediction.probabilities.values()),
        "warnings": prediction.warnings,
    }


def _file(upload: Upload, predictions: Predictions) -> str:
    with tempfile.TemporaryDirectory(prefix="ratecast-result-") as folder:
        path = Path(folder) / upload.result_name
        write_table(with_predictions(upload.table, predictions)[0], path)
        return base64.b64encode(path.read_bytes()).decode("ascii")
