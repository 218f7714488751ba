"""ETag and If-None-Match (RFC 9110, 8.8.3 and 13.1.2): who has the same already is sent nothing but 304."""

from __future__ import annotations

import hashlib

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

OF_CONTENT = ("content-length", "content-type")
"""Headers of a content that is not sent."""


class EntityTags:
    """The application around which it stands; each whole answer to a GET has the hash of its content as a weak tag.

    Weak, since one tag stands for the content compressed or not. Streams have none.
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
    """The answer with its tag, or 304 without content where that is one of those asked with."""
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
