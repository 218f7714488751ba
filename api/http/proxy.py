"""Requests through a proxy: a prefix of the paths, the caller's address, the scheme."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from typing import cast
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

ROOT = "driftline.root"
"""Key of the ASGI scope for the prefix."""
PEER = "driftline.peer"
"""Key of the ASGI scope for the connected peer: the proxy where there is one."""
MAPPED = "::ffff:"
"""Prefix of a caller's IPv4 address at a socket for both families."""


def root_of(scope: Scope) -> str:
    """Return the prefix with which a browser must send requests, such as /drift; empty without one."""
    return str(scope.get(ROOT, ""))


class BehindProxy:
    """Outermost middleware: removes the prefix, and replaces the proxy's address by the caller's.

    Paths may come with the prefix or without it. X-Forwarded-For and X-Forwarded-Proto count from `trusted` proxies
    only: addresses or networks.
    """

    def __init__(self, app: ASGIApp, *, root: str, trusted: Sequence[str]) -> None:
        self._app = app
        self._root = root
        if trusted:
            self._app = cast("ASGIApp", ProxyHeadersMiddleware(_Addressed(app), list(trusted)))  # type: ignore[arg-type]  # its own ASGI types

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope = {**scope, ROOT: self._root, "client": _plain(scope.get("client"))}
        scope[PEER] = scope["client"]
        path = scope["path"]
        if self._root and (path == self._root or path.startswith(f"{self._root}/")):
            scope["path"] = path[len(self._root) :] or "/"
            scope["raw_path"] = scope["raw_path"][len(self._root) :] or b"/"
        await self._app(scope, receive, _Relative(send, self._root).send)


class _Addressed:
    """Middleware that accepts the client that a trusted proxy names, where it is an address; else it sets the proxy."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        client = scope.get("client")
        if scope["type"] == "http" and client is not None and not _is_address(client[0]):
            scope = {**scope, "client": scope[PEER]}
        await self._app(scope, receive, send)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return text.isascii() and text.isprintable()


class _Relative:
    """Response whose Location is rewritten: the application knows the proxy's request only, not the caller's."""

    def __init__(self, send: Send, root: str) -> None:
        self._send, self._root = send, root

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [
                (name, self._located(value) if name.lower() == b"location" else value)
                for name, value in message.get("headers", ())
            ]
            message = {**message, "headers": headers}
        await self._send(message)

    def _located(self, value: bytes) -> bytes:
        parts = urlsplit(value.decode("latin-1"))
        if not parts.netloc:
            return value  # a path of this API, with the prefix
        path = f"/{parts.path.lstrip('/')}"  # two slashes would name another host
        return f"{self._root}{path}{f'?{parts.query}' if parts.query else ''}".encode("latin-1")


def _plain(client: tuple[str, int] | None) -> tuple[str, int] | None:
    """Return the client with its address as IPv4 where it is one."""
    return client if client is None else (client[0].removeprefix(MAPPED), client[1])
