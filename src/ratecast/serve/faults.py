"""What the service refuses, and how it says so."""

import math
from typing import Any, Self


class Fault(Exception):  # noqa: N818 - an answer to the client, not an error of the program
    """An answer other than the one that was asked for.

    Args:
        status: HTTP status.
        code: a word for programs ("unknown_model").
        message: what was found, what was expected and what to do.
        headers: further headers of the answer.
    """

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.headers = headers or {}

    @classmethod
    def overloaded(cls, reason: str, wait_seconds: float) -> Self:
        """503, and when to try again."""
        seconds = max(1, math.ceil(wait_seconds))
        return cls(503, "overloaded", f"{reason}; try again in {seconds} s", {"Retry-After": str(seconds)})

    @classmethod
    def too_much(cls, reason: str, wait_seconds: float) -> Self:
        """429, and when to try again."""
        seconds = max(1, math.ceil(wait_seconds))
        return cls(429, "rate_limited", f"{reason}; try again in {seconds} s", {"Retry-After": str(seconds)})

    @classmethod
    def too_late(cls) -> Self:
        """504: the deadline passed."""
        return cls(
            504, "deadline_passed", "the deadline passed before the reviews were predicted; send fewer, or allow more time"
        )

    def body(self, path: str, request_id: str) -> dict[str, Any]:
        """The content of the answer to a request, in the form that its path promises."""
        if speaks_open_inference(path):
            return {"error": self.message}
        return {"error": {"code": self.code, "message": self.message, "request_id": request_id}}


def speaks_open_inference(path: str) -> bool:
    """Whether a path is one of the Open Inference Protocol, or would be if it were there."""
    return path == "/v2" or path.startswith("/v2/")
