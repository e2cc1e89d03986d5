"""The routes of the service."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException

import ratecast
from ratecast.config import ServeConfig
from ratecast.errors import RatecastError
from ratecast.records import Prediction, Review
from ratecast.serve.batching import Batcher, Job
from ratecast.serve.faults import Fault
from ratecast.serve.gate import Gate, unexpected
from ratecast.serve.keys import KeyFile
from ratecast.serve.messages import (
    ErrorAnswer,
    FeedbackAnswer,
    FeedbackRequest,
    ModelMessage,
    ModelsAnswer,
    PredictAnswer,
    PredictRequest,
    StatusAnswer,
)
from ratecast.serve.metrics import Metrics
from ratecast.serve.models import Models, Served
from ratecast.serve.page import Served as Shown
from ratecast.serve.page import create_page
from ratecast.serve.recording import Recorder
from ratecast.store import Store

_REASONS: Final = {
    400: "The body is no JSON.",
    401: "No valid key was given.",
    403: "The key does not allow this.",
    404: "There is no such model or prediction.",
    408: "The body came too slowly.",
    413: "The body is too large, has too many reviews or too long a text.",
    415: "The body is not declared as application/json.",
    421: "The request is addressed to another host.",
    422: "The body is JSON, but not what is expected.",
    500: "An error of the service.",
    501: "The service keeps nothing.",
    503: "Too much is waiting; Retry-After says when to try again.",
    504: "The deadline passed.",
}
_ALWAYS: Final = (400, 401, 403, 408, 413, 421, 500)
_BEARER: Final = HTTPBearer(auto_error=False, description="A key that ratecast new-key made.")


@dataclass(kw_only=True)
class Service:
    """What the routes work with.

    Attributes:
        is_leaving: whether the service is being stopped.
    """

    config: ServeConfig
    models: Models
    batcher: Batcher
    metrics: Metrics = field(default_factory=Metrics)
    store: Store | None = None
    recorder: Recorder | None = None
    is_leaving: bool = False

    async def predict(
        self, request: Request, served: Served, reviews: Sequence[Review], deadline_ms: float | None
    ) -> list[Prediction]:
        """Predict reviews with others that wait, until the deadline, and as long as the client does not go away.

        Raises:
            Fault: 413 for too many reviews or a text too long, 503 for too many that wait, 504 when the deadline passes.
        """
        check_size(reviews, self.config)
        job = self.batcher.submit(served, reviews, deadline_ms)
        try:
            found = await _answer(request, job)
        except BaseException:
            self.batcher.cancel(job)
            raise
        self.metrics.reviews.labels(served.name, served.version).inc(len(reviews))
        request.state.log["reviews"] = len(reviews)
        return found


async def _answer(request: Request, job: Job) -> list[Prediction]:
    """The predictions of a job.

    Raises:
        Fault: 504 when its deadline passes first; 499, which nobody receives, when the client goes away first.
    """
    loop = asyncio.get_running_loop()
    gone: asyncio.Future[Any] = asyncio.ensure_future(
        request.receive()
    )  # the body was read: what comes is the end of the connection
    try:
        left = job.deadline - loop.time()  # the loop's clock is time.monotonic
        done, _ = await asyncio.wait({job.answer, gone}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
    finally:
        gone.cancel()
    if job.answer in done:
        return job.answer.result()
    if gone in done:
        raise Fault(499, "went_away", "the client went away")
    raise Fault.too_late()


def check_size(reviews: Sequence[Review], config: ServeConfig) -> None:
    """Refuse too many reviews, and texts that are too long.

    Raises:
        Fault: 413.
    """
    limits = config.limits
    if len(reviews) > limits.max_reviews:
        raise Fault(
            413, "too_many_reviews", f"found {len(reviews)} reviews; expected at most {limits.max_reviews} in a request"
        )
    for row, review in enumerate(reviews):
        size = len(review.text.encode()) + len((review.title or "").encode())
        if size > limits.max_text_bytes:
            raise Fault(413, "text_too_long", f"review {row} has {size} bytes; expected at most {limits.max_text_bytes}")


def needs(scope: str) -> Any:
    """What a route depends on that only keys with a scope may use."""

    async def check(request: Request) -> None:
        key = request.state.key
        if key is not None and scope not in key.scopes:
            raise Fault(403, "scope_missing", f"the key {key.name!r} does not have the scope {scope!r}")

    return [Depends(check), Depends(_BEARER)]


def needs_json(request: Request) -> None:
    """Refuse bodies that are not declared as JSON, which pages elsewhere could send through a browser without asking.

    Raises:
        Fault: 415.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Fault(415, "not_json", f"the content type is {kind or 'missing'}; expected application/json")


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Documentation of a route's refusals."""
    return {status: {"model": ErrorAnswer, "description": _REASONS[status]} for status in sorted({*_ALWAYS, *statuses})}


def create_app(service: Service, keys: KeyFile | None = None) -> FastAPI:
    """The application that answers requests."""
    service.metrics.watch(service.batcher)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(service.batcher.close)
        if service.recorder is not None:
            await asyncio.to_thread(service.recorder.close)

    app = FastAPI(
        title="ratecast",
        version=ratecast.__version__,
        description="Predicts ratings from the text of reviews, with a probability for every level.",
        docs_url=None,  # they load scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.service = service
    _add_status(app, service)
    _add_predicting(app, service)
    _add_feedback(app, service)
    if service.config.page:
        guards = [*needs("predict"), *(needs("feedback") if service.store is not None else [])]
        app.include_router(create_page(lambda: _shown(service), store=service.store, guards=guards))
    app.add_exception_handler(Fault, _show_fault)
    app.add_exception_handler(RequestValidationError, _show_invalid)
    app.add_exception_handler(HTTPException, _show_http)
    app.add_middleware(
        Gate,
        limits=service.config.limits,
        keys=keys,
        metrics=service.metrics,
        is_leaving=lambda: service.is_leaving,
    )
    return app


def _add_predicting(app: FastAPI, service: Service) -> None:
    @app.post(
        "/v1/predict",
        summary="Predict the ratings of reviews",
        responses=refusals(404, 415, 422, 503, 504),
        dependencies=[*needs("predict"), Depends(needs_json)],
    )
    async def predict(content: PredictRequest, request: Request) -> PredictAnswer:
        served = service.models.choose(content.model)
        reviews = [message.review() for message in content.reviews]
        found = await service.predict(request, served, reviews, content.deadline_ms)
        ids = [secrets.token_hex(12) for _ in reviews]
        if service.recorder is not None:
            service.recorder.record(ids, reviews, found, served.name, served.version)
        return PredictAnswer.of(served, ids, reviews, found)

    @app.get("/v1/models", summary="The models that are served", responses=refusals(), dependencies=needs("predict"))
    async def models() -> ModelsAnswer:
        return ModelsAnswer(models=[_described(served) for served in service.models])


def _add_feedback(app: FastAPI, service: Service) -> None:
    @app.post(
        "/v1/feedback",
        summary="Tell the right rating of a prediction",
        responses=refusals(404, 415, 422, 501, 503),
        dependencies=[*needs("feedback"), Depends(needs_json)],
    )
    async def feedback(content: FeedbackRequest, request: Request) -> FeedbackAnswer:
        if service.recorder is None:
            raise Fault(501, "no_store", "this service keeps nothing; start it with --store")
        key = request.state.key
        try:
            kept = await asyncio.to_thread(
                service.recorder.feedback, content.prediction_id, content.rating, "" if key is None else key.name
            )
        except RatecastError as error:
            raise Fault.overloaded(f"the feedback could not be kept ({error})", 5.0) from None
        if not kept:
            raise Fault(404, "unknown_prediction", f"there is no prediction {content.prediction_id!r}")
        return FeedbackAnswer(prediction_id=content.prediction_id, status="kept")


def _add_status(app: FastAPI, service: Service) -> None:
    @app.get("/healthz", summary="Whether the process works", responses=refusals())
    async def healthz() -> StatusAnswer:
        return StatusAnswer(status="ok")

    @app.get("/readyz", summary="Whether requests should be sent here", responses=refusals(503))
    async def readyz() -> StatusAnswer:
        if service.is_leaving:
            raise Fault.overloaded("the service is being stopped", 1.0)
        return StatusAnswer(status="ready")

    @app.get(
        "/metrics",
        summary="Numbers for Prometheus",
        response_class=Response,
        responses=refusals() | {200: {"content": {"text/plain": {}}, "description": "Numbers in Prometheus' text format."}},
        dependencies=needs("metrics"),
    )
    async def metrics() -> Response:
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _shown(service: Service) -> list[Shown]:
    """The models as the page sees them."""
    return [Shown(name=served.name, version=served.version, predictor=served.predictor) for served in service.models]


def _described(served: Served) -> ModelMessage:
    predictor = served.predictor
    about = {name: value for name, value in predictor.manifest.about.items() if not isinstance(value, dict | list)}
    return ModelMessage(
        name=served.name,
        version=served.version,
        levels=list(predictor.scale.levels),
        continuous=predictor.scale.is_continuous,
        coverage=None if predictor.intervals is None else predictor.intervals.coverage,
        columns=sorted(predictor.used),
        about=about,
    )


def _fault_response(request: Request, fault: Fault) -> Response:
    return JSONResponse(fault.body(request.state.request_id), fault.status, fault.headers)


async def _show_fault(request: Request, error: Exception) -> Response:
    return _fault_response(request, error if isinstance(error, Fault) else unexpected(error))


async def _show_invalid(request: Request, error: Exception) -> Response:
    found = error.errors() if isinstance(error, RequestValidationError) else []
    if any(one["type"] == "json_invalid" for one in found):
        return _fault_response(request, Fault(400, "not_json", f"the body is no JSON: {found[0]['ctx']['error']}"))
    # What was found is not repeated: it may be private, large, or no text that JSON can hold.
    told = [f"{'.'.join(str(part) for part in one['loc'][1:]) or 'body'}: {one['msg']}" for one in found[:5]]
    told += [f"and {len(found) - 5} more"] if len(found) > 5 else []
    message = "; ".join(told).encode(errors="replace").decode()
    return _fault_response(request, Fault(422, "invalid_request", message))


async def _show_http(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    codes = {400: "not_json", 404: "unknown_path", 405: "wrong_method"}
    detail = error.detail if isinstance(error, HTTPException) else ""
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    return _fault_response(request, Fault(status, codes.get(status, "refused"), str(detail), headers))
