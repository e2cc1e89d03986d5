"""What every request passes before the routes: its id, its key, its size; and what every answer carries."""

import asyncio
import contextlib
import json
import logging
import re
import secrets
import time
from collections.abc import Callable
from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ratecast.config import LimitsConfig, is_loopback
from ratecast.serve.faults import Fault
from ratecast.serve.keys import KeyFile
from ratecast.serve.logs import FIELDS
from ratecast.serve.metrics import Metrics
from ratecast.serve.rates import Rates
from ratecast.serve.redact import redacted
from ratecast.serve.tracing import Trace, Tracing

_LOG: Final = logging.getLogger("ratecast.serve")
_REQUEST_ID: Final = re.compile(r"[\w.-]{1,64}")
OPEN_PATHS: Final = ("/healthz", "/readyz", "/v2/health/live", "/v2/health/ready", "/openapi.json", "/")
"""What is answered without a key; the page itself too, and its style and script, which ask for one."""
_OPEN_FILES: Final = "/page/static/"
_OPEN_BYTES: Final = 1024
"""Largest body of a request that needs no key, and no body."""
_TOO_LARGE: Final = 413
_DISCARD_BYTES: Final = 200_000_000
_DISCARD_SECONDS: Final = 2.0
"""How much of a refused body is read, and for how long, before the connection is closed."""
_PAGE: Final = "/page/"
_PREDICTING: Final = re.compile(r"/v1/predict|/v2/models/[^/]+(?:/(versions)/[^/]+)?/infer")
_HEADERS: Final = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}
"""What an answer carries unless its route says otherwise."""


class Gate:
    """Passes requests on to an application.

    A body is read here as a whole, up to the limit and for a limited time, before anything is done for it.

    Args:
        app: the application.
        limits: largest body, and the time to send it.
        keys: who may use the service; without them every request that is addressed to this machine.
        metrics: counts the answers.
        rates: how many requests each key may send.
        tracing: traces what is not only asked by probes.
        is_leaving: whether the service is being stopped, so that connections shall be closed.
        check_room: refuses a request to predict, by the bytes of its body, where too much waits.
        log_bodies: whether bodies are logged, redacted.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        limits: LimitsConfig,
        keys: KeyFile | None,
        metrics: Metrics,
        rates: Rates,
        tracing: Tracing,
        is_leaving: Callable[[], bool],
        check_room: Callable[[int], None],
        log_bodies: bool,
    ) -> None:
        self._app, self._limits, self._keys, self._metrics, self._rates = app, limits, keys, metrics, rates
        self._tracing, self._is_leaving, self._check_room, self._log_bodies = tracing, is_leaving, check_room, log_bodies
        self._reading = 0  # bytes of bodies that have not come to their end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        given = headers.get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
        state = scope.setdefault("state", {})
        is_traced = scope["path"] not in OPEN_PATHS
        trace = self._tracing.begin(scope["method"], headers, request_id) if is_traced else Trace()
        state |= {"request_id": request_id, "key": None, "log": {}, "trace": trace}
        status = 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._complete(message, state)
            await send(message)

        try:
            try:
                self._check_sender(scope["path"], headers, state)
                self._check_length(scope, headers)
                body = await self._read(scope["path"], receive)
                if self._log_bodies and body and not _is_open(scope["path"]):  # what anybody may send
                    state["body"] = redacted(body)
            except Fault as fault:
                if fault.status == _TOO_LARGE and "expect" not in headers and not _is_open(scope["path"]):
                    await _discard(receive)
                await _refuse(fault, scope["path"], request_id, answer)
            else:
                await self._app(scope, _replay(body, receive), answer)
        except asyncio.CancelledError:  # the time to leave is over, and the server waits no longer
            if status or not self._is_leaving():
                raise
            await _refuse(Fault.overloaded("the service is being stopped", 1.0), scope["path"], request_id, answer)
        except Exception as error:
            _LOG.exception("a request failed", extra={FIELDS: {"request_id": request_id}})
            if status:
                raise
            await _refuse(unexpected(error), scope["path"], request_id, answer)
        finally:
            self._account(scope, status, time.perf_counter() - started)

    def _check_sender(self, path: str, headers: dict[str, str], state: dict[str, Any]) -> None:
        """Find out who sends the request.

        Raises:
            Fault: 401 without a valid key where keys are needed; 429 if the key has sent too many; 421 where no keys are needed
                and the request is addressed to another host, as when a page elsewhere has made its own name point to this
                machine.
        """
        if self._keys is None:
            host = headers.get("host", "localhost")
            name = host if host.endswith("]") else host.rpartition(":")[0] or host
            if not is_loopback(name):
                raise Fault(421, "wrong_host", "without keys only requests to localhost are answered; serve with --keys")
            return
        scheme, _, secret = headers.get("authorization", "").partition(" ")
        state["key"] = key = self._keys.find(secret.strip()) if scheme.lower() == "bearer" else None
        if _is_open(path):
            return
        if key is None:
            raise Fault(401, "no_key", "expected a valid key as Authorization: Bearer KEY", {"WWW-Authenticate": "Bearer"})
        self._rates.take(key, "requests", 1)

    def _check_length(self, scope: Scope, headers: dict[str, str]) -> None:
        """Refuse what need not be read: by its length, or because so much waits that it would be refused then.

        Raises:
            Fault: 413 if the body is too large; 503 if too much waits to be predicted.
        """
        length = headers.get("content-length", "")
        size = int(length[:20]) if length.isdecimal() else 0
        if size > self._most_bytes(scope["path"]):
            raise self._too_large(scope["path"])
        match = _PREDICTING.fullmatch(scope["path"])
        if match is not None and scope["method"] == "POST":
            scope["state"]["route"] = _route(match)
            self._check_room(size)

    def _most_bytes(self, path: str) -> int:
        if _is_open(path):
            return _OPEN_BYTES
        return self._limits.max_upload_bytes if path.startswith(_PAGE) else self._limits.max_body_bytes

    def _too_large(self, path: str) -> Fault:
        return Fault(
            _TOO_LARGE, "body_too_large", f"the body is larger than {self._most_bytes(path)} bytes; send fewer reviews at once"
        )

    async def _read(self, path: str, receive: Receive) -> bytes:
        """The whole body.

        Raises:
            Fault: 413 if it is too large, as soon as that is known; 408 if it takes too long; 503 if others take all room.
        """
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self._limits.max_body_seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Fault(400, "went_away", "the connection ended before the body did")
                    parts.append(message.get("body", b""))
                    size += len(parts[-1])
                    self._reading += len(parts[-1])
                    if size > self._most_bytes(path):
                        raise self._too_large(path)
                    if self._reading > self._limits.max_reading_bytes:
                        raise _no_room()
                    if not message.get("more_body", False):
                        return b"".join(parts)
        except TimeoutError:
            seconds = self._limits.max_body_seconds
            raise Fault(408, "body_too_slow", f"the body did not come within {seconds:g} s") from None
        finally:
            self._reading -= size

    def _complete(self, message: Message, state: dict[str, Any]) -> None:
        """Add the headers that every answer carries."""
        present = {name.lower() for name, _ in message["headers"]}
        added = [(name, value) for name, value in _HEADERS.items() if name.encode() not in present]
        added += [("x-request-id", state["request_id"]), *self._rates.headers(state["key"]).items()]
        # After a refused body the rest of it may still come: the connection cannot be used again.
        if self._is_leaving() or message["status"] in {408, _TOO_LARGE}:
            added.append(("connection", "close"))
        message["headers"] = [*message["headers"], *((name.encode(), value.encode()) for name, value in added)]

    def _account(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", scope["state"].get("route", "unmatched"))
        self._metrics.requests.labels(route, str(status)).inc()
        self._metrics.seconds.labels(route).observe(seconds)
        state = scope["state"]
        key = None if state["key"] is None else state["key"].name
        state["trace"].end(route, status, {"key": key, **state["log"]})
        if route in OPEN_PATHS and status < 400:
            return  # probes would fill the log
        told = {"request_id": state["request_id"], "method": scope["method"], "path": scope["path"], "status": status}
        told |= {"ms": round(1000 * seconds, 1), "key": key, **state["log"]}
        told |= {} if state["trace"].id is None else {"trace_id": state["trace"].id}
        told |= {"body": state["body"]} if "body" in state else {}  # never in a trace
        _LOG.info("request", extra={FIELDS: told})


def _is_open(path: str) -> bool:
    """Whether a path is answered without a key."""
    return path in OPEN_PATHS or path.startswith(_OPEN_FILES)


def _route(match: "re.Match[str]") -> str:
    """The route of a path that predicts, as metrics name it."""
    if match[0].startswith("/v1"):
        return match[0]
    return "/v2/models/{name}/versions/{version}/infer" if match[1] else "/v2/models/{name}/infer"


def _no_room() -> Fault:
    """503 in the middle of a body, the rest of which may still come: the connection cannot be used again."""
    fault = Fault.overloaded("too many bodies are being read", 1.0)
    fault.headers["Connection"] = "close"
    return fault


def unexpected(error: BaseException) -> Fault:
    """What a client is told of an error that is ours."""
    return Fault(500, "internal", f"an error of the service ({type(error).__name__}); its log has more under the request's id")


async def _refuse(fault: Fault, path: str, request_id: str, send: Send) -> None:
    content = json.dumps(fault.body(path, request_id)).encode()
    headers = {"content-type": "application/json", "content-length": str(len(content)), **fault.headers}
    pairs = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": fault.status, "headers": pairs})
    await send({"type": "http.response.body", "body": content})


async def _discard(receive: Receive) -> None:
    """Read what is left of a body that is refused, for a while: clients that send all of it first hear of nothing before.

    Those that send ``Expect: 100-continue`` wait for the answer, and would be asked for the body by it being read.
    """
    size = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_DISCARD_SECONDS):
            while size < _DISCARD_BYTES:
                message = await receive()
                size += len(message.get("body", b""))
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    return


def _replay(body: bytes, receive: Receive) -> Receive:
    """A receive that gives the body that was read, and after it what still comes."""
    was_given = False

    async def again() -> Message:
        nonlocal was_given
        if was_given:
            return await receive()
        was_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
