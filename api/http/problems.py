"""Errors as RFC 9457 problem details: the cause and the field."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from app.kafka.errors import BrokerUnavailable

RETRY_AFTER_SECONDS = 5
WRITE_IT = "; write it as 2026-06-01T12:00:00Z (a + is %2B in a URL)"
"""Advice in a message about a wrong time."""


class Problem(Exception):
    """An error response of the API. `more` has further members of the document."""

    def __init__(self, status: int, detail: str, *, headers: dict[str, str] | None = None, **more: object) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers, self.more = status, detail, headers, more

    def response(self) -> Response:
        """Return the response, as application/problem+json."""
        told = {"type": "about:blank", "title": HTTPStatus(self.status).phrase, "status": self.status}
        return Response(
            msgspec.json.encode({**told, "detail": self.detail, **self.more}),
            status_code=self.status,
            headers=self.headers,
            media_type="application/problem+json",
        )


def unavailable(detail: str, **more: object) -> Problem:
    """Return the problem for an unavailable Kafka, status 503 with Retry-After: the client should retry."""
    return Problem(503, detail, headers={"Retry-After": str(RETRY_AFTER_SECONDS)}, **more)


def _words(wrong: Mapping[str, Any]) -> str:
    """Return the parameter's name and its error."""
    own = wrong.get("ctx", {}).get("error")
    words = str(own) if isinstance(own, ValueError) else str(wrong["msg"]).lower()
    return f"{wrong['loc'][-1]}: {words}{WRITE_IT if wrong['type'].startswith('datetime') else ''}"


def install(app: FastAPI) -> None:
    """Install handlers that return errors of routes as problems. The authentication handles unexpected errors."""

    async def on_problem(_: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)
        return error.response()

    async def on_unavailable(_: Request, error: Exception) -> Response:
        return unavailable(str(error)).response()

    async def on_http(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        headers = dict(error.headers or {})
        if "GET" in headers.get("Allow", ""):
            headers["Allow"] += ", HEAD"
        return Problem(error.status_code, str(error.detail), headers=headers).response()

    async def on_parameter(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return Problem(422, "; ".join(map(_words, error.errors()))).response()

    async def on_depth(_: Request, __: Exception) -> Response:
        return Problem(413, "the body is nested too deeply").response()

    app.add_exception_handler(Problem, on_problem)
    app.add_exception_handler(RecursionError, on_depth)  # raised by the decoders for a deep document
    app.add_exception_handler(BrokerUnavailable, on_unavailable)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(RequestValidationError, on_parameter)
