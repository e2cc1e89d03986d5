"""Routes of the page. What it shows it asks from ``/page/...``, so that these can be guarded while the page itself is open."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Body, Depends, Header, Query, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, StreamingResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field

from ratecast.errors import DataError, RatecastError, StoreUnavailableError, UnknownPredictionError
from ratecast.serve.faults import Fault
from ratecast.serve.page.rating import MOST_ROWS, Upload, line, rate, read_pasted, read_upload
from ratecast.serve.page.served import Served
from ratecast.store import Decision, Store

_KINDS: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_SECURITY: Final = {
    # The report is a document of its own, shown in a frame without rights; its styles stand in it.
    "Content-Security-Policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_MOST_PRODUCTS: Final = 2**31
Count = Callable[[Request, int], None]
_STATUS: Final[Mapping[type[RatecastError], int]] = {StoreUnavailableError: 503, UnknownPredictionError: 404}


class Pasted(BaseModel):
    """Texts that somebody pasted."""

    texts: list[str] = Field(max_length=MOST_ROWS)


class Decided(BaseModel):
    """What a person decided about a review that waited."""

    prediction_id: str = Field(max_length=200)
    reviewer: str = Field(max_length=200)
    verdict: Literal["accept", "correct"]
    rating: float | None = None
    note: str = Field(default="", max_length=2000)


class Flagged(BaseModel):
    """A review that a person shall read."""

    prediction_id: str = Field(max_length=200)
    why: str = Field(max_length=200)


class _Route(APIRoute):
    """Tells what a user can mend as ``{"error": ...}``."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def told(request: Request) -> Response:
            try:
                return await handle(request)
            except RatecastError as error:
                return JSONResponse({"error": str(error)}, status_code=_STATUS.get(type(error), 422))
            except OSError as error:  # such as a full disk, on which an uploaded table is put to be read
                return JSONResponse({"error": _no_file(error)}, status_code=503)

        return told


def _no_file(error: OSError) -> str:
    return f"the service cannot write a temporary file ({error.strerror or error}); try again later"


def create_page(
    models: Callable[[], Sequence[Served]],
    *,
    store: Store | None = None,
    guards: Sequence[Any] = (),
    count: Count = lambda _, __: None,
    most_bytes: int = 30_000_000,
    most_text_bytes: int = 200_000,
) -> APIRouter:
    """Routes of the page, for ``app.include_router``.

    Args:
        models: gives the models that are served now, the default one first.
        store: where predictions, and what people decide, are kept; without one there are no products and no queue.
        guards: FastAPI dependencies of everything but the page itself, such as a check of the API key. The page sends the key
            that a person gave as ``Authorization: Bearer``.
        count: is told of each request that rates reviews, and how many; it may refuse it.
        most_bytes: the largest table that is taken.
        most_text_bytes: the longest text of a review, with its title, that is taken.
    """
    router = APIRouter(include_in_schema=False)
    router.include_router(_files())
    asked = APIRouter(prefix="/page", route_class=_Route, dependencies=list(guards), include_in_schema=False)
    _add_models(asked, models, store, most_bytes)
    _add_rating(asked, models, store, count, most_text_bytes)
    if store is not None:
        _add_products(asked, store)
        _add_queue(asked, models, store)
    router.include_router(asked)
    return router


async def _own_page(x_ratecast_page: Annotated[str | None, Header()] = None) -> None:
    """Other sites cannot send this header, so none can make a visitor's browser write here."""
    if x_ratecast_page is None:
        raise DataError("expected the header X-Ratecast-Page, which the page itself sends")


_WRITING: Final = [Depends(_own_page)]


def _files() -> APIRouter:
    router = APIRouter()
    folder = resources.files("ratecast.serve.page") / "static"
    files = {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}

    @router.get("/")
    def index() -> HTMLResponse:
        return HTMLResponse(files["index.html"], headers=_SECURITY | {"Cache-Control": "no-cache"})

    @router.get("/page/static/{name}")
    def static(name: str) -> Response:
        kind = _KINDS.get(Path(name).suffix)
        if kind is None or name not in files:
            return JSONResponse({"error": f"there is no file {name!r}"}, status_code=404)
        return Response(files[name], media_type=kind, headers=_SECURITY | {"Cache-Control": "no-cache"})

    return router


def _add_models(router: APIRouter, models: Callable[[], Sequence[Served]], store: Store | None, most_bytes: int) -> None:
    @router.get("/models")
    def described() -> dict[str, Any]:
        return {
            "models": [served.describe() for served in models()],
            "store": store is not None,
            "most_rows": MOST_ROWS,
            "most_bytes": most_bytes,
        }

    @router.get("/card")
    def card(model: str) -> HTMLResponse:
        return HTMLResponse(_find(models(), model).card(), headers=_SECURITY)

    @router.get("/report")
    def report(model: str) -> HTMLResponse:
        return HTMLResponse(_find(models(), model).report(), headers=_SECURITY)


def _add_rating(
    router: APIRouter, models: Callable[[], Sequence[Served]], store: Store | None, count: Count, most_text_bytes: int
) -> None:
    def streamed(request: Request, served: Served, upload: Upload, *, keep: bool) -> StreamingResponse:
        count(request, len(upload.reviews))
        pieces = rate(served, upload, store if keep else None)
        return StreamingResponse(_lines(pieces), media_type="application/x-ndjson")

    @router.post("/texts", dependencies=_WRITING)
    def texts(request: Request, model: str, pasted: Annotated[Pasted, Body()], *, keep: bool = False) -> StreamingResponse:
        return streamed(request, _find(models(), model), read_pasted(pasted.texts, most_text_bytes), keep=keep)

    @router.post("/table", dependencies=_WRITING)
    async def table(request: Request, model: str, name: str, *, keep: bool = False) -> StreamingResponse:
        served = _find(models(), model)
        content = await request.body()  # as long as the service lets it be, which refuses what is longer while it comes
        upload = await asyncio.to_thread(read_upload, content, name, served.predictor, most_text_bytes)
        return streamed(request, served, upload, keep=keep)


def _add_products(router: APIRouter, store: Store) -> None:
    @router.get("/products")
    def products(
        model: str,
        order: Literal["best", "worst", "reviews"] = "reviews",
        offset: Annotated[int, Query(ge=0, le=_MOST_PRODUCTS)] = 0,
        limit: Annotated[int, Query(ge=1, le=200)] = 25,
    ) -> dict[str, Any]:
        return asdict(store.products(model=model, order=order, offset=offset, limit=limit))

    @router.get("/trend")
    def trend(model: str, item: str | None = None, by: Literal["day", "week"] = "week") -> list[dict[str, Any]]:
        return [asdict(point) for point in store.trend(model=model, item=item, by=by)]


def _add_queue(router: APIRouter, models: Callable[[], Sequence[Served]], store: Store) -> None:
    @router.get("/queue")
    def queue(
        model: str, reason: Literal["uncertain", "surprising", "flagged"] | None = None, after: str | None = None
    ) -> dict[str, Any]:
        return asdict(store.queue(model=model, reason=reason, after=after, limit=20)) | {
            "sizes": store.queue_sizes(model=model)
        }

    @router.get("/decisions")
    def decisions() -> list[dict[str, Any]]:
        return [asdict(found) for found in store.decided(limit=50)]

    @router.post("/decisions", dependencies=_WRITING)
    def decide(request: Request, decided: Decided) -> dict[str, bool]:
        if decided.rating is not None:
            served = _find(models(), store.history(decided.prediction_id).prediction.model)
            scale = served.predictor.scale
            if not scale.low <= decided.rating <= scale.high:
                raise DataError(f"expected a rating from {scale.low:g} to {scale.high:g}, found {decided.rating:g}")
        store.add_decision(Decision(**decided.model_dump() | {"reviewer": _reviewer(request, decided.reviewer)}))
        return {"kept": True}

    @router.post("/flags", dependencies=_WRITING)
    def flag(flagged: Flagged) -> dict[str, bool]:
        store.flag(flagged.prediction_id, flagged.why)
        return {"kept": True}


def _reviewer(request: Request, name: str) -> str:
    """Who decided: the name that was given and, since anybody can type one, the key that it came with."""
    key = getattr(request.state, "key", None)
    return name if key is None or not name.strip() else f"{name} (key {key.name})"


def _find(models: Iterable[Served], name: str) -> Served:
    found = {served.name: served for served in models}
    if name not in found:
        raise DataError(f"there is no model {name!r}; there are {', '.join(found) or 'none'}")
    return found[name]


async def _lines(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The lines, and in place of the last one what went wrong."""
    try:
        async for piece in pieces:
            yield piece
    except (RatecastError, Fault) as error:
        yield line({"error": str(error)})
    except OSError as error:
        yield line({"error": _no_file(error)})
