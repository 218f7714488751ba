"""Authentication as ASGI middleware: it admits a request, limits it, and adds safe headers to every response."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from urllib.parse import quote, urlsplit

from fastapi import Response
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.auth.limits import BEFORE_A_KEY, MAX_BODY_BYTES, MIB, STRANGERS_BYTES, Body, RateLimit, Waiting, check_length
from api.auth.permissions import (
    SAFE,
    check_forwarded,
    check_host,
    check_origin,
    comes_from_a_page_of_ours,
    is_about_all,
    is_of_one_model,
    name_in,
    needed,
)
from api.auth.principal import CALLER, OPEN_TO_ALL, WRONG_KEY, Principal, identified
from api.http.problems import Problem, unavailable
from api.http.proxy import root_of
from app.access import KeyFile, KeyFileError, Role, is_loopback
from app.kafka.errors import without_values
from app.settings.settings import Settings

log = logging.getLogger(__name__)

STRANGERS = "30/minute"
"""Rate limit of requests from one address that have no valid key."""
TOLD = "1/minute"
"""Rate limit of the log lines about such requests, for one address."""
NO_KEY = "a key is needed: Authorization: Bearer KEY (`driftline keys create` makes one), or sign in at /sign-in"
NOT_GOOD = "the key is unknown, expired or revoked"
SAFE_HEADERS = {
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"x-frame-options": b"DENY",
    b"content-security-policy": b"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"cache-control": b"no-store",
}
"""Headers of every response that does not set them itself."""
AGAIN = (
    '<!doctype html><html lang="en"><title>Driftline</title>'
    '<script src="{root}/sign-in/again.js" type="module"></script>'
    '<noscript><meta http-equiv="refresh" content="0"></noscript><p>One moment.</p></html>'
)
"""Page for a reader who comes from another site. Browsers send a strict cookie only with a request from this origin."""


class AuthMiddleware:
    """Middleware in front of the whole application: refuses every request that `permissions` does not allow."""

    def __init__(self, app: ASGIApp, *, keys: KeyFile, settings: Settings) -> None:
        self._app = app
        self._keys = keys
        self._here = is_loopback(settings.api_host)
        self._may_be_open = self._here or settings.allow_unauthenticated_api
        self._on_purpose = settings.allow_unauthenticated_api
        self._allowed = frozenset({*(settings.cors_origins or ()), *_origin(settings.public_url)})
        self._names = frozenset(
            filter(None, [urlsplit(settings.public_url or "").hostname, *(settings.api_hosts or ())])
        )
        self._body_seconds = settings.body_seconds
        self._waiting = Waiting(settings.api_buffer_mib * MIB)
        self._forms = Waiting(STRANGERS_BYTES)
        self._rate, self._strangers, self._told = RateLimit(settings.rate_limit), RateLimit(STRANGERS), RateLimit(TOLD)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            elif scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})  # there are no websockets here: 403
            return
        answer = _Answer(send)
        asked = needed(scope["method"], scope["path"]) is not None
        waiting, most = (self._waiting, MAX_BODY_BYTES) if asked else (self._forms, BEFORE_A_KEY)
        body = Body(receive, waiting, self._body_seconds, most)
        try:
            self._admit(scope, most)
            await self._app(scope, body.receive, answer.send)
        except Problem as problem:
            await _told_to(scope, problem)(scope, receive, answer.send)
        except ClientDisconnect:
            log.debug("%s %s: the client has left", scope["method"], _shown(scope))
        except Exception as error:  # noqa: BLE001 - returned as 500, and logged without values
            log.error("%s %s failed: %s", scope["method"], _shown(scope), without_values(error))
            if not answer.started:
                wrong = Problem(500, "something went wrong here, not with the request; the log has it")
                await wrong.response()(scope, receive, answer.send)
        finally:
            body.release()

    def _admit(self, scope: Scope, most: int) -> None:
        headers: Mapping[bytes, bytes] = dict(scope["headers"])
        method, path, name = scope["method"], scope["path"], name_in(headers)
        caller = self._caller(headers)
        scope[CALLER] = caller
        scope[WRONG_KEY] = partial(self._count_wrong_key, scope)
        if caller.is_open:
            check_host(name, self._names)
            self._check_forwarded(scope, headers)
        if method not in SAFE:
            check_origin(headers, self._allowed)
            if caller.by_session and not comes_from_a_page_of_ours(headers):
                raise Problem(403, "origin: missing; a session is for the dashboard's pages, send an API key instead")
        if caller.key is not None:
            self._rate.check(caller.key.id)
        role = needed(method, path)
        if role is not None and not caller.allows(role) and not (role == "metrics" and caller.allows("read")):
            self._refuse(scope, caller, role)
        if caller.models is not None:
            _check_models(caller, path)
        if caller.key is None and not (caller.is_open and self._here):
            self._rate.check(_address(scope))
        check_length(headers, most)

    def _check_forwarded(self, scope: Scope, headers: Mapping[bytes, bytes]) -> None:
        if self._on_purpose:
            return
        try:
            check_forwarded(headers)
        except Problem as problem:
            if self._told.allows("a proxy"):
                log.warning("refused: %s", problem.detail)
            raise

    def _caller(self, headers: Mapping[bytes, bytes]) -> Principal:
        try:
            if self._may_be_open:
                if not self._keys.exists:
                    return OPEN_TO_ALL
                self._may_be_open = False  # once there was a key, a missing key file opens nothing
            return identified(headers, self._keys)
        except KeyFileError as error:
            log.error("%s", error)
            raise unavailable("the API's keys cannot be read; its log says why") from None

    def _refuse(self, scope: Scope, caller: Principal, role: Role) -> None:
        if caller.key is not None:
            raise Problem(403, f"key {caller.key.id} may not do this: it needs the role {role}, or admin")
        if caller.said_something:
            self._count_wrong_key(scope)
        words = NOT_GOOD if caller.said_something else NO_KEY
        raise Problem(401, words, headers={"WWW-Authenticate": 'Bearer realm="driftline"'})

    def _count_wrong_key(self, scope: Scope) -> None:
        address = _address(scope)
        if self._told.allows(address):
            log.warning("a key that is not good was given from %s", address)
        self._strangers.check(address)


class _Answer:
    """A response while it is sent, completed with the headers that it lacks."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.started = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            given = message.get("headers", ())
            has = {name for name, _ in given}
            message = {**message, "headers": [*given, *(h for h in SAFE_HEADERS.items() if h[0] not in has)]}
        await self._send(message)


def _check_models(caller: Principal, path: str) -> None:
    """Refuse a path that the key's models do not include. Raises Problem 403."""
    assert caller.key is not None
    model = is_of_one_model(path)
    if model is not None and (refusal := caller.refusal(model)):
        raise Problem(403, refusal)
    if is_about_all(path):
        its = ", ".join(caller.key.models)
        raise Problem(403, f"key {caller.key.id} may not do this: it is for {its} alone, and this is about all models")


def _told_to(scope: Scope, problem: Problem) -> Response:
    """Return the response for a problem; for a browser that asks for a page, a redirect to the sign-in page."""
    if problem.status != 401 or scope["method"] != "GET":
        return problem.response()
    headers = Headers(scope=scope)
    if not headers.get("accept", "").startswith("text/html"):
        return problem.response()
    root = root_of(scope)
    if headers.get("sec-fetch-site") == "cross-site":
        policy = "default-src 'none'; script-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        return Response(AGAIN.format(root=root), media_type="text/html", headers={"Content-Security-Policy": policy})
    query = scope["query_string"].decode("latin-1")
    to = root + scope["path"] + (f"?{query}" if query else "")
    return Response(status_code=303, headers={"Location": f"{root}/sign-in?to={quote(to, safe='/')}"})


def _origin(url: str | None) -> set[str]:
    """Return the origin of the dashboard's public URL, whatever Host a proxy passes on; empty without a URL."""
    parts = urlsplit(url or "")
    return {f"{parts.scheme}://{parts.netloc}"} if url else set()


def _shown(scope: Scope) -> str:
    """Return the path for the log, with control characters and non-ASCII characters as %XX."""
    return quote(scope["path"], safe="/")


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return client[0] if client else "nobody"
