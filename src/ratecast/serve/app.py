"""The routes of the service."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import asdict
from functools import partial
from typing import Any, Final

from fastapi import Depends, FastAPI, Request
from fastapi.responses import Response

import ratecast
from ratecast.errors import RatecastError
from ratecast.serve.faults import Fault
from ratecast.serve.gate import Gate
from ratecast.serve.guards import needs, needs_json
from ratecast.serve.keys import KeyFile
from ratecast.serve.memory import give_back_memory
from ratecast.serve.messages import (
    FeedbackAnswer,
    FeedbackRequest,
    ModelMessage,
    ModelsAnswer,
    PredictAnswer,
    PredictRequest,
    ReloadAnswer,
    ReloadRequest,
    StatusAnswer,
)
from ratecast.serve.metrics import Metrics
from ratecast.serve.openinference import create_open_inference
from ratecast.serve.page import Served as Shown
from ratecast.serve.page import create_page
from ratecast.serve.recording import Recorder
from ratecast.serve.refusals import add_refusals, refusals
from ratecast.serve.reload import Reloader
from ratecast.serve.service import Service

_TIDY_SECONDS: Final = 60.0
"""How often free memory is given back."""
_FRESH_SECONDS: Final = 0.25
"""How old the state of a worker's queue may be when another worker shows it."""
_ELSEWHERE_SECONDS: Final = 2.0
"""How long feedback waits for another worker to write its prediction, which that does twice a second."""
_UNKNOWN_PREDICTION: Final = "No prediction of this id is kept: it was never made, left out (keep_fraction), or deleted."
_OUTSIDE_ITS: Final = "The rating of a review lies outside the model's scale."
_OUTSIDE: Final = "The rating lies on the scale of no model that is served."
_FEEDBACK_LINK: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "links": {
            "feedback": {
                "operationId": "feedback",
                "description": "The id of a prediction names it in feedback.",
                "requestBody": {"prediction_id": "$response.body#/predictions/0/id", "rating": 4},
            }
        }
    }
}


def create_app(service: Service, reloader: Reloader, keys: KeyFile | None = None) -> FastAPI:
    """The application that answers requests."""
    service.metrics.watch(service.batcher)
    if service.store is not None:
        service.metrics.watch_store(service.store)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(work) for work in (reloader.run(), _keep_fresh(service.metrics), _keep_tidy())]
        yield
        for task in tasks:
            task.cancel()
        await asyncio.to_thread(service.close)

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
    _add_models(app, service, reloader)
    _add_feedback(app, service)
    app.include_router(create_open_inference(service))
    if service.config.page:
        guards = [*needs("predict"), *(needs("feedback") if service.store is not None else [])]
        app.include_router(
            create_page(
                lambda: _shown(service),
                store=service.store,
                guards=guards,
                count=service.count_reviews,
                most_bytes=service.config.limits.max_upload_bytes,
                most_text_bytes=service.config.limits.max_text_bytes,
            )
        )
    add_refusals(app)
    app.add_middleware(
        Gate,
        limits=service.config.limits,
        keys=keys,
        metrics=service.metrics,
        rates=service.rates,
        tracing=service.tracing,
        is_leaving=lambda: service.is_leaving,
        check_room=service.batcher.check_room,
        log_bodies=service.config.log_bodies,
    )
    return app


async def _keep_fresh(metrics: Metrics) -> None:
    """Write down what other workers read, as long as there are others."""
    while metrics.are_shared:
        metrics.refresh()
        await asyncio.sleep(_FRESH_SECONDS)


async def _keep_tidy() -> None:
    """Give back what large requests took and what lies free between what is in use, now and again."""
    while True:
        await asyncio.sleep(_TIDY_SECONDS)
        await asyncio.to_thread(give_back_memory)


def _add_predicting(app: FastAPI, service: Service) -> None:
    @app.post(
        "/v1/predict",
        summary="Predict the ratings of reviews",
        responses=refusals(404, 409, 415, 422, 503, 504, reasons={409: _OUTSIDE_ITS}) | _FEEDBACK_LINK,
        dependencies=[*needs("predict"), Depends(needs_json)],
    )
    async def predict(content: PredictRequest, request: Request) -> PredictAnswer:
        answered = await service.answer(
            request,
            [message.review() for message in content.reviews],
            model=content.model,
            version=content.version,
            route_by=content.route_by,
            deadline_ms=content.deadline_ms,
        )
        return PredictAnswer.of(answered)


def _add_models(app: FastAPI, service: Service, reloader: Reloader) -> None:
    @app.get("/v1/models", summary="What is served", responses=refusals(), dependencies=needs("predict"))
    async def models() -> ModelsAnswer:
        return ModelsAnswer(models=[ModelMessage.of(version) for version in service.models])

    @app.post(
        "/v1/models/reload",
        summary="Take over new content of model folders and new weights, as on SIGHUP",
        responses=refusals(409, 415, 422),
        dependencies=[*needs("admin"), Depends(needs_json)],
    )
    async def reload(_: ReloadRequest) -> ReloadAnswer:
        try:
            changes = await reloader.reload()
        except RatecastError as error:
            raise Fault(409, "not_loaded", f"nothing changed: {error}") from None
        if service.config.workers > 1:  # the supervisor has all of them follow
            os.kill(os.getppid(), signal.SIGHUP)
        return ReloadAnswer(**asdict(changes))


def _add_feedback(app: FastAPI, service: Service) -> None:
    @app.post(
        "/v1/feedback",
        summary="Tell the right rating of a prediction",
        operation_id="feedback",
        responses=refusals(404, 409, 415, 422, 501, 503, reasons={404: _UNKNOWN_PREDICTION, 409: _OUTSIDE}),
        dependencies=[*needs("feedback"), Depends(needs_json)],
    )
    async def feedback(content: FeedbackRequest, request: Request) -> FeedbackAnswer:
        if service.recorder is None:
            raise Fault(501, "no_store", "this service keeps nothing; start it with --store")
        service.check_rating(content.rating)
        key = request.state.key
        try:
            with request.state.trace.step("store", feedback=1):
                kept = await asyncio.to_thread(
                    service.recorder.feedback, content.prediction_id, content.rating, "" if key is None else key.name
                )
                if not kept and service.config.workers > 1:
                    kept = await _comes(service.recorder, content.prediction_id)
        except RatecastError as error:
            raise Fault.overloaded(f"the feedback could not be kept ({error})", 5.0) from None
        if not kept:
            raise Fault(
                404,
                "unknown_prediction",
                f"there is no prediction {content.prediction_id!r}; expected an id from an answer of /v1/predict that was kept",
            )
        return FeedbackAnswer(prediction_id=content.prediction_id, status="kept")


async def _comes(recorder: Recorder, prediction_id: str) -> bool:
    """Whether another worker writes a prediction soon."""
    end = time.monotonic() + _ELSEWHERE_SECONDS
    while time.monotonic() < end:
        if await asyncio.to_thread(recorder.has, prediction_id):
            return True
        await asyncio.sleep(0.1)
    return False


def _add_status(app: FastAPI, service: Service) -> None:
    @app.get("/healthz", summary="Whether the process works", responses=refusals())
    async def healthz() -> StatusAnswer:
        return StatusAnswer(status="ok")

    @app.get("/readyz", summary="Whether requests should be sent here", responses=refusals(503))
    async def readyz() -> StatusAnswer:
        service.check_ready()
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
    """The models as the page sees them, each in the version that answers the most."""
    return [
        Shown(
            name=served.name,
            version=served.version,
            predictor=served.predictor,
            predict=partial(service.answer_in_turn, served),
        )
        for served in service.models.principal()
    ]
