"""Metrics of the API's requests."""

from __future__ import annotations

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.telemetry import metrics, tracing

UNKNOWN = "unknown"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
MOST_DIGITS = 18
"""Limit of digits of a declared length. No body has more bytes, and Python refuses numbers of some thousand digits."""


class MeasuredRequests:
    """Middleware that counts the requests by their route.

    A request is timed until its response begins, so that streams (server-sent events) count too.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, answered = time.perf_counter(), False

        async def sending(message: Message) -> None:
            nonlocal answered
            if message["type"] == "http.response.start":
                answered = True
                _note(scope, message["status"], time.perf_counter() - began)
            await send(message)

        try:
            await self._app(scope, receive, sending)
        finally:
            if not answered:
                _note(scope, 500, time.perf_counter() - began)


def _note(scope: Scope, status: int, seconds: float) -> None:
    method = scope["method"] if scope["method"] in METHODS else UNKNOWN
    route = getattr(scope.get("route"), "path", UNKNOWN)
    metrics.API_REQUESTS.labels(method, route, str(status)).inc()
    metrics.API_SECONDS.labels(method, route).observe(seconds, exemplar=tracing.exemplar())
    declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
    if declared.isdigit() and len(declared) <= MOST_DIGITS:
        metrics.API_REQUEST_BYTES.labels(route).inc(int(declared))
