"""The REST routes of the Open Inference Protocol, version 2, which KServe, Triton and MLServer speak too.

The specification is specification/protocol/inference_rest.md of kserve/open-inference-protocol. Tensors are JSON; the extension
for binary ones is not there.
"""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from math import prod
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

import ratecast
from ratecast.records import Review
from ratecast.serve.answered import Answered
from ratecast.serve.faults import Fault
from ratecast.serve.guards import needs, needs_json
from ratecast.serve.messages import Identity, Message, Text
from ratecast.serve.models import Served
from ratecast.serve.refusals import refusals
from ratecast.serve.service import Service

_INPUTS: Final = ("text", "title")
_MOST_MS: Final = 1e9
Parameters = Annotated[dict[str, Any], Field(default_factory=dict, description="Taken, and not read.")]


class ErrorMessage(BaseModel):
    """Why a request was refused."""

    error: str


class TensorAbout(BaseModel):
    """A tensor of a model; -1 is a dimension of any size."""

    name: str
    datatype: str
    shape: list[int]


class ServerAbout(BaseModel):
    """What serves."""

    name: str = "ratecast"
    version: str
    extensions: list[str] = []


class ModelAbout(BaseModel):
    """A model and what it takes and gives."""

    name: str
    versions: list[str] = Field(description="Versions that may be asked for.")
    platform: str = "ratecast"
    inputs: list[TensorAbout]
    outputs: list[TensorAbout]


class Live(BaseModel):
    """That the process works."""

    live: bool = True


class Ready(Live):
    """That requests may come."""

    ready: bool = True


class ModelReady(BaseModel):
    """That a model answers."""

    name: str
    ready: bool = True


class Loose(Message):
    """Base of what clients send by this protocol, whose extensions add members of their own."""

    model_config = ConfigDict(strict=True, extra="ignore")


def _flat(data: Any) -> Any:
    """Data without the lists that stand for a second dimension."""
    if not isinstance(data, list):
        return data
    return [value for part in data for value in (part if isinstance(part, list) else [part])]


class InputTensor(Loose):
    """Texts, one of each review."""

    name: str = Field(examples=["text"])
    shape: list[int] = Field(examples=[[2]])
    datatype: str = Field(examples=["BYTES"])
    parameters: Parameters
    data: Annotated[list[Text], BeforeValidator(_flat)] = Field(
        description="In row-major order; it may be nested as the shape is.", examples=[["Great phone, poor battery", "Awful."]]
    )


class OutputChoice(Loose):
    """An output that is asked for."""

    name: str = Field(examples=["rating"])
    parameters: Parameters


class InferRequest(Loose):
    """Reviews to be rated."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["Great phone, poor battery"]}]}
            ]
        }
    )
    id: Identity | None = None
    parameters: Annotated[
        dict[str, Any],
        Field(default_factory=dict, description="deadline_ms: how long the answer is of use. Others are not read."),
    ]
    inputs: list[InputTensor]
    outputs: list[OutputChoice] | None = Field(None, description="All by default.")


class OutputTensor(TensorAbout):
    """An output, its values in row-major order."""

    data: list[float] | list[str]


class InferAnswer(BaseModel):
    """What a version of a model says of reviews."""

    model_name: str
    model_version: str
    id: str = Field(description="The id of the request, one of ours if it had none.")
    outputs: list[OutputTensor]


_OUTPUTS: Final[Mapping[str, tuple[str, Callable[[Answered], Sequence[Any]]]]] = {
    "rating": ("FP64", lambda answered: [one.rating for one in answered.found]),
    "median": ("FP64", lambda answered: [one.median for one in answered.found]),
    "mode": ("FP64", lambda answered: [one.mode for one in answered.found]),
    "probabilities": ("FP64", lambda answered: [chance for one in answered.found for chance in one.probabilities.values()]),
    "interval": ("FP64", lambda answered: [end for one in answered.found for end in one.interval or ()]),
    "warnings": ("BYTES", lambda answered: ["; ".join(one.warnings) for one in answered.found]),
    "prediction_id": ("BYTES", lambda answered: answered.ids),
}
"""The outputs by name: their type and their values."""


class _Route(APIRoute):
    """Takes a body that is declared as nothing for JSON, as Triton's client sends it, if it comes from no page in a browser."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def declared(request: Request) -> Response:
            if "content-type" not in request.headers and "origin" not in request.headers:  # which browsers always send
                headers = [*request.scope["headers"], (b"content-type", b"application/json")]
                request = Request({**request.scope, "headers": headers}, request.receive)
            return await handle(request)

        return declared


def create_open_inference(service: Service) -> APIRouter:
    """The routes, for ``app.include_router``."""
    router = APIRouter(prefix="/v2", tags=["Open Inference Protocol"], route_class=_Route)
    _add_health(router, service)
    _add_models(router, service)
    return router


def _add_health(router: APIRouter, service: Service) -> None:
    @router.get("", summary="What serves", responses=_refusals(), dependencies=needs("predict"))
    async def server() -> ServerAbout:
        return ServerAbout(version=ratecast.__version__)

    @router.get("/health/live", summary="Whether the process works", responses=_refusals())
    async def live() -> Live:
        return Live()

    @router.get("/health/ready", summary="Whether requests should be sent here", responses=_refusals(503))
    async def ready() -> Ready:
        service.check_ready()
        return Ready()


def _add_models(router: APIRouter, service: Service) -> None:
    about: dict[str, Any] = {"responses": _refusals(404), "dependencies": needs("predict")}

    @router.get("/models/{name}", summary="A model, what it takes and gives", **about)
    @router.get("/models/{name}/versions/{version}", summary="The same of a version", **about)
    async def model(name: str, version: str | None = None) -> ModelAbout:
        served = service.models.choose(name, version, b"")
        return ModelAbout(
            name=name,
            versions=[one.version for one in service.models.versions(name)],
            inputs=[TensorAbout(name=one, datatype="BYTES", shape=[-1]) for one in _INPUTS],
            outputs=[
                TensorAbout(name=one, datatype=_OUTPUTS[one][0], shape=_shape(one, -1, served)) for one in _outputs(served)
            ],
        )

    @router.get("/models/{name}/ready", summary="Whether a model answers", **about)
    @router.get("/models/{name}/versions/{version}/ready", summary="Whether a version answers", **about)
    async def model_ready(name: str, version: str | None = None) -> ModelReady:
        service.models.choose(name, version, b"")
        service.check_ready()
        return ModelReady(name=name)

    about = {"responses": _refusals(404, 415, 503, 504), "dependencies": [*needs("predict"), Depends(needs_json)]}

    @router.post("/models/{name}/infer", summary="Predict the ratings of reviews", **about)
    @router.post("/models/{name}/versions/{version}/infer", summary="The same by a version", **about)
    async def infer(name: str, content: InferRequest, request: Request, version: str | None = None) -> InferAnswer:
        wanted = _wanted_outputs(content)
        deadline = _deadline_ms(content.parameters)
        answered = await service.answer(
            request,
            _reviews(content),
            model=name,
            version=version,
            deadline_ms=deadline,
            check=lambda served: _check_outputs(wanted, served),
        )
        served, size = answered.served, len(answered.reviews)
        chosen = wanted or _outputs(served)
        # Built without checks: these are our own numbers.
        outputs = [
            OutputTensor.model_construct(name=one, datatype=kind, shape=_shape(one, size, served), data=list(values(answered)))
            for one, (kind, values) in ((one, _OUTPUTS[one]) for one in chosen)
        ]
        return InferAnswer.model_construct(
            model_name=name, model_version=served.version, id=content.id or request.state.request_id, outputs=outputs
        )


def _refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return refusals(*statuses, model=ErrorMessage)


def _shape(output: str, reviews: int, served: Served) -> list[int]:
    wide = {"probabilities": [len(served.predictor.scale)], "interval": [2]}
    return [reviews, *wide.get(output, [])]


def _outputs(served: Served) -> list[str]:
    """The outputs of a model, which may have no intervals."""
    return [name for name in _OUTPUTS if name != "interval" or served.predictor.intervals is not None]


def _wanted_outputs(content: InferRequest) -> list[str]:
    """The outputs that are asked for; none stands for all.

    Raises:
        Fault: 400 if there is no output of a name.
    """
    names = [one.name for one in content.outputs or ()]
    for name in names:
        if name not in _OUTPUTS:
            raise _wrong(f"there is no output {name!r}; known are {', '.join(_OUTPUTS)}")
    return names


def _check_outputs(wanted: Sequence[str], served: Served) -> None:
    """See whether a model has the outputs that are asked for.

    Raises:
        Fault: 400 if it lacks one.
    """
    outputs = _outputs(served)
    for name in wanted:
        if name not in outputs:
            raise _wrong(f"the model {served.name!r} has no output {name!r}; it has {', '.join(outputs)}")


def _deadline_ms(parameters: Mapping[str, Any]) -> float | None:
    """How long the answer is of use, by a parameter of the request.

    Raises:
        Fault: 400 if it is no number above 0.
    """
    given = parameters.get("deadline_ms")
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 < given < _MOST_MS:
        raise _wrong(f"expected the parameter deadline_ms to be a number above 0 and below {_MOST_MS:g}")
    return float(given)


def _reviews(content: InferRequest) -> list[Review]:
    """The reviews of the inputs, one of each row.

    Raises:
        Fault: 400 if there is no text, an input is unknown or there twice, or shapes do not agree.
    """
    found: dict[str, list[str]] = {}
    for tensor in content.inputs:
        if tensor.name not in _INPUTS or tensor.name in found:
            what = "is there twice" if tensor.name in found else "is unknown"
            raise _wrong(f"the input {tensor.name!r} {what}; expected text, and title where there are titles")
        found[tensor.name] = _values(tensor)
    texts = found.get("text", [])
    if not texts:
        raise _wrong("there is no text; expected an input 'text' with one for each review")
    titles: Sequence[str | None] = found.get("title", [None] * len(texts))
    if len(titles) != len(texts):
        raise _wrong(f"found {len(titles)} titles of {len(texts)} texts; expected one for each")
    return [Review(text=text, title=title or None) for text, title in zip(texts, titles, strict=True)]


def _values(tensor: InputTensor) -> list[str]:
    """The texts of a tensor of the shape (review,) or (review, 1)."""
    if tensor.datatype != "BYTES":
        raise _wrong(f"the input {tensor.name!r} is of type {tensor.datatype!r}; expected BYTES")
    if len(tensor.shape) not in {1, 2} or tensor.shape[1:] not in ([], [1]):
        raise _wrong(f"the input {tensor.name!r} has the shape {tensor.shape}; expected [reviews] or [reviews, 1]")
    if len(tensor.data) != prod(tensor.shape):
        raise _wrong(f"the input {tensor.name!r} has {len(tensor.data)} texts; its shape is {tensor.shape}")
    return tensor.data


def _wrong(message: str) -> Fault:
    return Fault(400, "invalid_request", message)
