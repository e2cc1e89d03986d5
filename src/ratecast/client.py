"""Asking a service that ``ratecast serve`` runs, from Python."""

import asyncio
import json
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

from ratecast.errors import ConfigError, DataError, RatecastError, require
from ratecast.records import Prediction, Review

httpx = require("httpx", "client", "the client")

_PASSING: Final = (408, 429, 502, 503, 504)
"""Answers after which it is worth trying again."""
_FIRST_PAUSE_SECONDS: Final = 0.2
_LONGEST_PAUSE_SECONDS: Final = 10.0


class ServiceError(RatecastError):
    """An answer that is no success, or none at all.

    Attributes:
        status: HTTP status; None if no answer came.
        code: the service's word for what is wrong ("unknown_model"); empty if it gave none.
        request_id: names the request in the service's log.
    """

    def __init__(self, message: str, *, status: int | None = None, code: str = "", request_id: str = "") -> None:
        super().__init__(message)
        self.status, self.code, self.request_id = status, code, request_id


@dataclass(frozen=True, kw_only=True)
class Answer(Sequence[Prediction]):
    """Predictions in the order of the reviews; their ids are what feedback refers to.

    Attributes:
        model, version: what predicted.
    """

    model: str
    version: str
    predictions: tuple[Prediction, ...]

    def __len__(self) -> int:
        return len(self.predictions)

    def __getitem__(self, index: Any) -> Any:
        return self.predictions[index]


class _Requests:
    """What both clients share: what is sent, how answers are read, and when to try again."""

    def __init__(self, url: str, *, key: str | None = None, timeout_seconds: float = 30.0, retries: int = 3) -> None:
        if not url.startswith(("http://", "https://")):
            raise ConfigError(f"expected an address such as http://127.0.0.1:8000, found {url!r}")
        self._retries = retries
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        self._settings: dict[str, Any] = {"base_url": url, "headers": headers, "timeout": timeout_seconds}

    def _pauses(self) -> Iterator[float]:
        """Seconds before each further try: twice as long each time, and of random length, so that clients spread out."""
        for number in range(self._retries):
            yield random.uniform(0.5, 1.0) * min(_FIRST_PAUSE_SECONDS * 2**number, _LONGEST_PAUSE_SECONDS)  # noqa: S311 - no secret


def _json(body: dict[str, Any] | None) -> dict[str, Any]:
    """The arguments of a request with a body; half of a surrogate pair is escaped, so that the service can refuse it."""
    if body is None:
        return {}
    try:
        content = json.dumps(body, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise DataError(f"this cannot be sent as JSON: {error}") from None
    return {"content": content.encode(), "headers": {"content-type": "application/json"}}


def _asked(pause: float, error: ServiceError, answer: Any) -> float:
    """How long to wait, as long as the service asks for at least; raises what is not worth another try."""
    if error.status is not None and error.status not in _PASSING:
        raise error
    wanted = "" if answer is None else answer.headers.get("retry-after", "")
    return max(pause, min(float(wanted), _LONGEST_PAUSE_SECONDS)) if wanted.isdecimal() else pause


def _error_of(answer: Any) -> ServiceError:
    try:
        found = answer.json()["error"]
        message, code, request_id = str(found["message"]), str(found["code"]), str(found["request_id"])
    except (ValueError, KeyError, TypeError):  # something between here and the service answered
        message, code, request_id = f"found the answer {answer.text[:200]!r}", "", ""
    return ServiceError(f"{message} (HTTP {answer.status_code})", status=answer.status_code, code=code, request_id=request_id)


def _predict_body(reviews: Sequence[str | Review], **given: str | float | None) -> dict[str, Any]:
    if isinstance(reviews, str):
        raise DataError("expected a list of texts, found one string: put it into a list")
    for row, one in enumerate(reviews):
        if not isinstance(one, str | Review):
            raise DataError(f"expected texts or reviews, found {type(one).__name__} at {row}")
    messages = [{"text": one} if isinstance(one, str) else _message(one) for one in reviews]
    return {"reviews": messages, **{name: value for name, value in given.items() if value is not None}}


def _message(review: Review) -> dict[str, Any]:
    names = ("text", "id", "title", "item", "user", "category", "rating")
    found = {name: value for name in names if (value := getattr(review, name)) is not None}
    found |= {} if review.time is None else {"time": review.time.isoformat()}
    return found | ({"columns": dict(review.columns)} if review.columns else {})


def _read_answer(content: dict[str, Any]) -> Answer:
    predictions = tuple(
        Prediction(
            id=one["id"],
            rating=one["rating"],
            median=one["median"],
            mode=one["mode"],
            probabilities={float(level): chance for level, chance in one["probabilities"].items()},
            interval=None if one["interval"] is None else (one["interval"][0], one["interval"][1]),
            warnings=tuple(one["warnings"]),
        )
        for one in content["predictions"]
    )
    return Answer(model=content["model"], version=content["version"], predictions=predictions)


class Client(_Requests):
    """Asks a service, and tries again where that may help: if it is busy, being restarted, or cannot be reached.

    Args:
        url: where the service is ("http://127.0.0.1:8000").
        key: an API key, where the service needs one.
        timeout_seconds: how long an answer may take.
        retries: how often a request is tried again.

    Raises:
        ConfigError: if the address is none.

    Example:
        ``with Client("http://127.0.0.1:8000") as client: client.predict(["Great phone"])[0].rating``
    """

    def __init__(self, url: str, *, key: str | None = None, timeout_seconds: float = 30.0, retries: int = 3) -> None:
        super().__init__(url, key=key, timeout_seconds=timeout_seconds, retries=retries)
        self._client = httpx.Client(**self._settings)

    def predict(
        self,
        reviews: Sequence[str | Review],
        *,
        model: str | None = None,
        version: str | None = None,
        route_by: str | None = None,
        deadline_ms: float | None = None,
    ) -> Answer:
        """Predict the rating of each review.

        Args:
            reviews: their texts, or with a title and what else the model reads.
            model: the model's name; the service's first one by default.
            version: the version of it that shall answer; by default the service chooses.
            route_by: a text, such as the id of a user, for which it chooses the same version every time.
            deadline_ms: how long the answer is of use; by default as long as the service allows.

        Raises:
            DataError: if this is none that can be sent.
            ServiceError: if the service refuses, or cannot be reached.
        """
        body = _predict_body(reviews, model=model, version=version, route_by=route_by, deadline_ms=deadline_ms)
        return _read_answer(self._request("POST", "/v1/predict", body))

    def feedback(self, prediction_id: str, rating: float) -> None:
        """Tell the right rating of a prediction; it is kept when this returns.

        Raises:
            DataError: if this is none that can be sent.
            ServiceError: if the service refuses, or cannot be reached.
        """
        self._request("POST", "/v1/feedback", {"prediction_id": prediction_id, "rating": rating})

    def models(self) -> list[dict[str, Any]]:
        """What is served: each version of each model, with its weight and scale."""
        return list(self._request("GET", "/v1/models")["models"])

    def close(self) -> None:
        """End the connections."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _request(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        pauses, sent = self._pauses(), _json(body)
        while True:
            answer = None
            try:
                answer = self._client.request(method, path, **sent)
                if answer.is_success:
                    return answer.json()
                error = _error_of(answer)
            except httpx.TransportError as cause:
                error = ServiceError(f"cannot reach {self._settings['base_url']}: {type(cause).__name__} {cause}")
            pause = next(pauses, None)
            if pause is None:
                raise error
            time.sleep(_asked(pause, error, answer))


class AsyncClient(_Requests):
    """`Client` for asyncio."""

    def __init__(self, url: str, *, key: str | None = None, timeout_seconds: float = 30.0, retries: int = 3) -> None:
        super().__init__(url, key=key, timeout_seconds=timeout_seconds, retries=retries)
        self._client = httpx.AsyncClient(**self._settings)

    async def predict(
        self,
        reviews: Sequence[str | Review],
        *,
        model: str | None = None,
        version: str | None = None,
        route_by: str | None = None,
        deadline_ms: float | None = None,
    ) -> Answer:
        """As `Client.predict`."""
        body = _predict_body(reviews, model=model, version=version, route_by=route_by, deadline_ms=deadline_ms)
        return _read_answer(await self._request("POST", "/v1/predict", body))

    async def feedback(self, prediction_id: str, rating: float) -> None:
        """As `Client.feedback`."""
        await self._request("POST", "/v1/feedback", {"prediction_id": prediction_id, "rating": rating})

    async def models(self) -> list[dict[str, Any]]:
        """As `Client.models`."""
        return list((await self._request("GET", "/v1/models"))["models"])

    async def close(self) -> None:
        """End the connections."""
        await self._client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _request(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        pauses, sent = self._pauses(), _json(body)
        while True:
            answer = None
            try:
                answer = await self._client.request(method, path, **sent)
                if answer.is_success:
                    return answer.json()
                error = _error_of(answer)
            except httpx.TransportError as cause:
                error = ServiceError(f"cannot reach {self._settings['base_url']}: {type(cause).__name__} {cause}")
            pause = next(pauses, None)
            if pause is None:
                raise error
            await asyncio.sleep(_asked(pause, error, answer))
