"""`driftline.PredictionMiddleware`: ASGI middleware that logs the predictions of a service."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from typing import Any, NamedTuple
from uuid import uuid4

from driftline.client import Client
from driftline.encoding import name_text, why
from driftline.losses import InvalidEvent, Undelivered
from driftline.served import Features, ResultNames, features_of, member_of, served_predictions
from driftline.warning import warn

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

ID_HEADER = b"driftline-prediction-id"
LARGEST_BODY = 16 << 20
"""Bytes of a request or response that is read. A larger one passes unread, and is counted as `invalid`."""


class PredictionMiddleware:
    """Middleware of Starlette, FastAPI and any ASGI service that logs each prediction of a path.

    Logs a POST with a 2xx response: the features of its JSON body, and the prediction in its JSON response. `path` may
    have placeholders, as `/models/{name}/predict`. `features`: name of the member of the body that has the features; by
    default `features`, else the whole body. `prediction`, `probability` and `prediction_id`: names of members of the
    response, with dots for members of members. A response without members is the prediction. Lists are rows, with a
    prediction each.

    The id is the response's, else the request's, else a new one. Endpoints have the new or the request's id as
    `request.state.prediction_id`; the response has it in the header `driftline-prediction-id`. Responses are otherwise
    unchanged. A prediction that cannot be logged counts as `invalid` in the client's `stats`, also with `raises`. Where
    the service shuts down, waits `shutdown_seconds` at most until all events are sent.
    """

    def __init__(
        self,
        app: App,
        client: Client,
        path: str = "/predict",
        *,
        features: str | None = None,
        prediction: str = "prediction",
        probability: str | None = None,
        prediction_id: str = "prediction_id",
        shutdown_seconds: float = 5.0,
    ) -> None:
        """Raises ValueError for a path that does not start with a slash."""
        if not path.startswith("/"):
            raise ValueError(f"path: must start with a slash, not {path!r}")
        self._app, self._client = app, client
        self._path = re.compile("[^/]+".join(map(re.escape, re.split(r"\{[^/}]*\}", path))))
        self._features = features
        self._names = ResultNames(prediction, probability, prediction_id)
        self._shutdown_seconds = shutdown_seconds

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, self._flushing(send))
        elif scope["type"] == "http" and scope["method"] == "POST" and self._path.fullmatch(_path_of(scope)):
            await self._served(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _served(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve a request whose prediction is logged."""
        body, receive = await _body_of(receive)
        given = _given(body, self._features, self._names.prediction_id)
        given_id = uuid4().hex if isinstance(given, Exception) or given.prediction_id is None else given.prediction_id
        scope.setdefault("state", {})["prediction_id"] = given_id
        await self._app(scope, receive, _Response(send, partial(self._log, given, given_id), self._refuse))

    def _log(self, given: _Given | Exception, given_id: str, body: bytes) -> str | None:
        """Log the predictions of a response. Return the id to report, None without one. Never raises."""
        try:
            if isinstance(given, Exception):
                raise given
            found = served_predictions(given.features, _decoded(body, "response"), self._names, given_id)
        except Exception as error:  # noqa: BLE001 - the response is sent all the same
            self._refuse(why(error))
            return None
        ids = []
        for one in found:
            with contextlib.suppress(InvalidEvent):  # of a client with `raises`, which has counted it
                ids.append(
                    self._client.log(
                        one.features, one.prediction, probability=one.probability, prediction_id=one.prediction_id
                    )
                )
        if not isinstance(given.features, list):
            return ids[0] if ids else None
        return given_id if ids and ids[0].startswith(given_id) else None

    def _refuse(self, reason: str) -> None:
        with contextlib.suppress(InvalidEvent):
            self._client.refuse(reason)

    def _flushing(self, send: Send) -> Send:
        """Return a `send` that sends all events before the service reports its end: a server may kill it then."""

        async def flushing(message: Message) -> None:
            import asyncio  # a program without a service need not wait for it

            if message["type"] in ("lifespan.shutdown.complete", "lifespan.shutdown.failed"):
                with contextlib.suppress(Undelivered):  # each loss is counted, and in the log
                    if not await asyncio.to_thread(self._client.flush, self._shutdown_seconds):
                        warn("shutdown: %s predictions were not sent yet", f"{self._client.stats.buffered:,}")
            await send(message)

        return flushing


class _Given(NamedTuple):
    features: Features | list[Features]
    prediction_id: str | None


class _Response:
    """Response that is kept until its body is complete, so that its header can have the prediction's id.

    `log` gets the body of a successful response. A response that is unsuccessful, or cannot be read, passes at once.
    """

    def __init__(self, send: Send, log: Callable[[bytes], str | None], refuse: Callable[[str], None]) -> None:
        self._send, self._log, self._refuse = send, log, refuse
        self._kept: list[Message] = []
        self._size = 0
        self._passes = False

    async def __call__(self, message: Message) -> None:
        """Send a message of the service, now or later."""
        if self._passes:
            await self._send(message)
        elif message["type"] == "http.response.start":
            reason = _unreadable(message)
            self._kept.append(message)
            if reason is not None:
                await self._pass(reason)
        elif not self._kept:  # before the response, such as early hints
            await self._send(message)
        elif message["type"] != "http.response.body":
            self._kept.append(message)
            await self._pass("prediction: the response's body is a file")
        else:
            self._kept.append(message)
            self._size += len(message.get("body", b""))
            if self._size > LARGEST_BODY:
                await self._pass(f"prediction: the response has more than {LARGEST_BODY >> 20} MiB")
            elif not message.get("more_body", False):
                await self._finish()

    async def _finish(self) -> None:
        start, *bodies = self._kept
        reported = self._log(b"".join(message.get("body", b"") for message in bodies))
        if reported is not None and reported.isascii() and reported.isprintable():
            start = {**start, "headers": [*start.get("headers", ()), (ID_HEADER, reported.encode())]}
        self._kept[0] = start
        await self._pass("")

    async def _pass(self, reason: str) -> None:
        """Send what was kept, and all that follows at once. Count the prediction as lost where there is a reason."""
        if reason:
            self._refuse(reason)
        self._passes = True
        for message in self._kept:
            await self._send(message)
        self._kept.clear()


def _unreadable(start: Message) -> str | None:
    """Return why a response is not read; "" for one without a prediction, None for one that can be read."""
    if not 200 <= start["status"] < 300:
        return ""
    headers = {bytes(name).lower(): bytes(value).decode("latin-1") for name, value in start.get("headers", ())}
    if headers.get(b"content-encoding", "identity") != "identity":
        return "prediction: the response is compressed: add this middleware before the one that compresses"
    kind = headers.get(b"content-type", "").partition(";")[0].strip().lower()
    return None if kind.endswith("json") else f"prediction: the response is {kind or 'of no type'}, not JSON"


async def _body_of(receive: Receive) -> tuple[bytes | None, Receive]:
    """Return the body of a request, None for one that is too large, and a `receive` that has all of it again."""
    kept: list[Message] = []
    size = 0
    while True:
        message = await receive()
        kept.append(message)
        size += len(message.get("body", b""))
        if message["type"] != "http.request" or not message.get("more_body", False) or size > LARGEST_BODY:
            break
    parts = [message.get("body", b"") for message in kept]

    async def again() -> Message:
        return kept.pop(0) if kept else await receive()

    return None if size > LARGEST_BODY else b"".join(parts), again


def _given(body: bytes | None, name: str | None, id_name: str) -> _Given | Exception:
    """Return the features and the id of a request, or why it has no features."""
    try:
        if body is None:
            raise InvalidEvent(f"features: the request has more than {LARGEST_BODY >> 20} MiB")
        document = _decoded(body, "request")
        if name is not None:
            features = features_of(member_of(document, name, "features", "the request"))
        else:
            features = features_of(document["features"]) if _has_features(document) else features_of(document)
        if features is None:
            raise InvalidEvent("features: the request has no names of features")
        given_id = member_of(document, id_name) if isinstance(document, dict) else None
        return _Given(features, None if given_id is None else str(name_text(given_id)))
    except Exception as error:  # noqa: BLE001 - the service gets the request all the same
        return error


def _has_features(document: Any) -> bool:
    return isinstance(document, dict) and isinstance(document.get("features"), dict | list)


def _decoded(body: bytes, what: str) -> Any:
    try:
        return json.loads(body)
    except ValueError:  # UnicodeDecodeError too
        raise InvalidEvent(f"features: the {what} is not JSON") from None


def _path_of(scope: Message) -> str:
    """Return the path within the service, without the prefix under which a proxy or another service has it."""
    path, root = str(scope["path"]), str(scope.get("root_path", "")).rstrip("/")
    return path[len(root) :] if root and path.startswith(f"{root}/") else path
