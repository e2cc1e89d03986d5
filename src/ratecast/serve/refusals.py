"""How routes refuse: the documentation of it, and errors of all kinds as answers."""

from collections.abc import Mapping
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from ratecast.serve.faults import Fault, speaks_open_inference
from ratecast.serve.gate import unexpected
from ratecast.serve.messages import ErrorAnswer

_REASONS: Final = {
    400: "The body is no JSON.",
    401: "No valid key was given.",
    403: "The key does not allow this.",
    404: "There is no such model, version or prediction.",
    408: "The body came too slowly.",
    409: "What is wanted cannot be served; nothing changed.",
    413: "The body is too large, has too many reviews or too long a text.",
    415: "The body is not declared as application/json.",
    421: "The request is addressed to another host.",
    422: "The body is JSON, but not what is expected.",
    429: "The key has sent too much; Retry-After says when to try again.",
    500: "An error of the service.",
    501: "The service keeps nothing.",
    503: "Too much is waiting; Retry-After says when to try again.",
    504: "The deadline passed.",
}
_BINARY: Final = "inference-header-content-length"
"""A header of the Open Inference Protocol's extension for tensors that are no JSON, which Triton's client uses by default."""
_ALWAYS: Final = (400, 401, 403, 408, 413, 421, 429, 500)
_AGAIN: Final = (429, 503)
_WAIT: Final = {
    "headers": {"Retry-After": {"description": "Seconds to wait before another try.", "schema": {"type": "integer"}}}
}


def refusals(
    *statuses: int, model: type[BaseModel] = ErrorAnswer, reasons: Mapping[int, str] | None = None
) -> dict[int | str, dict[str, Any]]:
    """Documentation of a route's refusals, each with a body of the given form; a route may have reasons of its own."""
    told = _REASONS | dict(reasons or {})
    return {
        status: {"model": model, "description": told[status]} | (_WAIT if status in _AGAIN else {})
        for status in sorted({*_ALWAYS, *statuses})
    }


def add_refusals(app: FastAPI) -> None:
    """Answer every error that a route of an application raises."""
    app.add_exception_handler(Fault, _show_fault)
    app.add_exception_handler(RequestValidationError, _show_invalid)
    app.add_exception_handler(HTTPException, _show_http)


def _fault_response(request: Request, fault: Fault) -> Response:
    return JSONResponse(fault.body(request.url.path, request.state.request_id), fault.status, fault.headers)


async def _show_fault(request: Request, error: Exception) -> Response:
    return _fault_response(request, error if isinstance(error, Fault) else unexpected(error))


async def _show_invalid(request: Request, error: Exception) -> Response:
    found = error.errors() if isinstance(error, RequestValidationError) else []
    if _BINARY in request.headers and speaks_open_inference(request.url.path):
        return _fault_response(request, Fault(400, "binary_tensors", "tensors are taken as JSON alone: set binary_data=False"))
    if any(one["type"] == "json_invalid" for one in found):
        return _fault_response(request, Fault(400, "not_json", f"the body is no JSON: {found[0]['ctx']['error']}"))
    # What was found is not repeated: it may be private, large, or no text that JSON can hold.
    told = [f"{'.'.join(str(part) for part in one['loc'][1:]) or 'body'}: {one['msg']}" for one in found[:5]]
    told += [f"and {len(found) - 5} more"] if len(found) > 5 else []
    message = "; ".join(told).encode(errors="replace").decode()
    status = 400 if speaks_open_inference(request.url.path) else 422
    return _fault_response(request, Fault(status, "invalid_request", message))


async def _show_http(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    codes = {400: "not_json", 404: "unknown_path", 405: "wrong_method"}
    detail = error.detail if isinstance(error, HTTPException) else ""
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    return _fault_response(request, Fault(status, codes.get(status, "refused"), str(detail), headers))
