"""HEAD for every route with GET (RFC 9110, 9.3.2): the same headers, without the content."""

from __future__ import annotations

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class _Enough(OSError):
    """Error that ends a stream after its first part, like the client's disconnection."""


class HeadRequests:
    """Middleware that passes a HEAD request to the application as GET."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        asked, ended = {**scope, "method": "GET"}, False

        async def sending(message: Message) -> None:
            nonlocal ended
            if message["type"] == "http.response.start":
                scope["route"] = asked.get("route")
                await send(message)
                return
            if not ended:
                ended = True
                await send({"type": "http.response.body", "body": b""})
            if message.get("more_body", False):
                raise _Enough

        try:
            await self._app(asked, receive, sending)
        except (_Enough, ClientDisconnect):
            if not ended:
                raise
