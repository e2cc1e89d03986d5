"""HTTP on a connection, with limits on what comes before the body: uvicorn with httptools has none."""

import asyncio
from typing import ClassVar, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_HEAD_BYTES: Final = 65_536
"""Longest line and headers of a request."""
_TOO_MANY: Final = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_TOO_SLOW: Final = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class LimitedProtocol(HttpToolsProtocol):
    """Ends connections that are too many, whose request does not begin, or whose headers take too long or too many bytes."""

    head_seconds: ClassVar[float]
    """Time from the connection, or from the first byte of a further request on it, to the end of the headers."""
    most_connections: ClassVar[int]
    """Connections of this process at the same time."""
    _timer: asyncio.TimerHandle | None = None  # runs while headers are waited for
    _head_bytes = 0
    _has_begun = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """Wait for the first request, if there is room for one more."""
        super().connection_made(transport)
        if len(self.connections) > self.most_connections:
            transport.write(_TOO_MANY)
            transport.close()
            return
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what comes before the end of the headers."""
        self._head_bytes += len(data)
        super().data_received(data)
        if self._timer is not None and self._head_bytes > MOST_HEAD_BYTES:
            self._stop()
            self.send_400_response("The line and headers of the request are too long.")

    def on_message_begin(self) -> None:
        """Wait for the headers of this request."""
        super().on_message_begin()
        self._has_begun = True
        if self._timer is None:
            self._wait()

    def on_headers_complete(self) -> None:
        """Wait no more."""
        self._stop()
        super().on_headers_complete()

    def _wait(self) -> None:
        self._head_bytes = 0
        self._timer = self.loop.call_later(self.head_seconds, self._end)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._has_begun = None, False

    def _end(self) -> None:
        self._timer = None
        if self._has_begun:
            self.transport.write(_TOO_SLOW)
        self.transport.close()


def limited_protocol(head_seconds: float, most_connections: int) -> type[HttpToolsProtocol]:
    """The protocol with a limit to the time of a request's headers, and to the connections of this process."""
    limits = {"head_seconds": head_seconds, "most_connections": most_connections}
    return type("LimitedProtocol", (LimitedProtocol,), limits)
