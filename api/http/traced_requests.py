"""A span for each request that is not a probe."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.telemetry import tracing

UNTRACED = frozenset({"/health", "/ready", "/metrics", "/events"})


class TracedRequests:
    """Middleware that opens a span for each request. A caller's `traceparent` is the span's parent."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not tracing.is_on() or scope["path"] in UNTRACED:
            await self._app(scope, receive, send)
            return
        with tracing.request(scope["method"], dict(scope["headers"]).get(b"traceparent")) as span:

            async def sending(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.set_attribute("http.response.status_code", message["status"])
                await send(message)

            await self._app(scope, receive, sending)
            route = getattr(scope.get("route"), "path", "")
            if route:
                span.update_name(f"{scope['method']} {route}")
                span.set_attribute("http.route", route)
