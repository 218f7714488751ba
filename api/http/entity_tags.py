"""ETag and If-None-Match (RFC 9110, 8.8.3 and 13.1.2): a client with the current content receives 304 only."""

from __future__ import annotations

import hashlib

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

OF_CONTENT = ("content-length", "content-type")
"""Headers of a content that a 304 leaves out."""


class EntityTags:
    """Middleware that adds the hash of the content as a weak tag to each complete response to a GET.

    The tag is weak, since the compressed and the uncompressed content have the same tag. Streams have none.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        start: Message | None = None

        async def sending(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start" and message["status"] == 200:
                start = message
                return
            if start is not None:
                began, start = start, None
                if not message.get("more_body", False):
                    began, message = _tagged(Headers(scope=scope), began, message)
                await send(began)
            await send(message)

        await self._app(scope, receive, sending)


def _tagged(asked: Headers, start: Message, body: Message) -> tuple[Message, Message]:
    """Return the response with its tag, or 304 without content where the client sent the same tag."""
    tag = f'W/"{hashlib.blake2b(body.get("body", b""), digest_size=16).hexdigest()}"'
    start = {**start, "headers": list(start["headers"])}
    headers = MutableHeaders(raw=start["headers"])
    headers["ETag"] = tag
    known = {one.strip().removeprefix("W/") for one in ",".join(asked.getlist("if-none-match")).split(",")}
    if not known & {"*", tag.removeprefix("W/")}:
        return start, body
    for name in OF_CONTENT:
        del headers[name]
    headers.add_vary_header("Accept-Encoding")
    return {**start, "status": 304}, {**body, "body": b""}
