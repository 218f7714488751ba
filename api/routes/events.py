"""GET /events: changes as server-sent events; a reader that reconnects gets only the changes since its last event."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Annotated

import msgspec
from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from api.auth import caller_of, still_reads
from api.http.problems import Problem
from api.routes.models import summaries, summary
from api.services import Services, Serving
from app.read_model.changes import Subject
from topics.events import utc_now

router = APIRouter()

HEARTBEAT_SECONDS = 5.0
GATHER_SECONDS = 0.4
"""Changes within this time are one event, in seconds: a replay makes hundreds a second."""
RETRY_MS = 1000
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
"""Headers of the stream. Without X-Accel-Buffering nginx would buffer the first events."""
MAX_STREAMS = 200
MAX_STREAMS_OF_A_KEY = 40
"""Limit for one key, so that a key with many open pages leaves streams for others."""

Last = Annotated[str | None, Header(alias="last-event-id")]
LastGiven = Annotated[str | None, Query(description="as the header Last-Event-ID, which a page cannot set")]


@router.get("/events")
async def events(
    request: Request, services: Serving, last_event_id: Last = None, since: LastGiven = None
) -> StreamingResponse:
    """Follow changes. `state`: all model versions. `changed`: changed versions and lists. `heartbeat`: any trouble.

    While changes come there are no heartbeats: the changes show that all is well.
    The id of an event is valid until the API is restarted; with an invalid id, `state` is sent again.
    The stream ends when the key expires or is revoked.
    """
    key = caller_of(request).key
    who = "" if key is None else key.id
    if services.streams.total() >= MAX_STREAMS:
        raise Problem(503, f"{MAX_STREAMS} readers follow already", headers={"Retry-After": "5"})
    if who and services.streams[who] >= MAX_STREAMS_OF_A_KEY:
        words = f"{MAX_STREAMS_OF_A_KEY} readers follow already with key {who}; close some"
        raise Problem(429, words, headers={"Retry-After": "5"})
    number = services.changes.number_of(last_event_id or since)
    told = _stream(services, number, lambda: still_reads(request), caller_of(request).is_for)
    return _Counted(told, services.streams, who)


class _Counted(StreamingResponse):
    """A stream that is counted from its creation until its end, even if it never begins."""

    def __init__(self, told: AsyncIterator[bytes], streams: Counter[str], who: str) -> None:
        super().__init__(told, media_type="text/event-stream", headers=HEADERS)
        self._streams, self._who = streams, who
        streams[who] += 1

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._streams[self._who] -= 1
            if not self._streams[self._who]:
                del self._streams[self._who]


async def _stream(
    services: Services, number: int | None, reads: Callable[[], bool], wanted: Callable[[str], bool]
) -> AsyncIterator[bytes]:
    closing = asyncio.create_task(services.closing.wait())
    try:
        yield f"retry: {RETRY_MS}\n\n".encode()
        yield await _heartbeat(services)
        while not services.closing.is_set() and reads():
            if not services.loaded:
                await _first(services.connected.wait(), closing)
                if not services.loaded:
                    yield await _heartbeat(services)
                    continue
            if number is None:
                number = services.changes.number
                yield _event(services, "state", number, {"models": summaries(services, wanted)})
            await _first(services.changes.after(number), closing)
            if services.changes.number == number:
                yield await _heartbeat(services)
                continue
            subjects, number = services.changes.since(number), services.changes.number
            subjects = {one for one in subjects if one[0] != "model" or wanted(one[1])}
            yield _event(services, "changed", number, _changed(services, subjects))
            await _first(asyncio.sleep(GATHER_SECONDS), closing)
    finally:
        closing.cancel()


async def _first(awaited: object, closing: asyncio.Task[bool]) -> None:
    """Return when the awaited object or the closing is done, or a heartbeat is due."""
    task = asyncio.ensure_future(awaited)  # type: ignore[call-overload]  # any awaitable
    try:
        await asyncio.wait([task, closing], timeout=HEARTBEAT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def _changed(services: Services, subjects: set[Subject]) -> dict[str, object]:
    named = [(subject[1], subject[2]) for subject in subjects if subject[0] == "model"]
    told = {
        key: summary(services, *key)
        for key in named
        if key in set(services.models) or (found := services.reports.of(*key)).drift or found.performance
    }
    return {
        "models": list(told.values()),
        "gone": [key for key in named if key not in told],
        "lists": sorted(subject[0] for subject in subjects if subject[0] != "model"),
    }


async def _heartbeat(services: Services) -> bytes:
    """Return a heartbeat. It has no id, since nothing is new."""
    return b"event: heartbeat\ndata: " + _json({"at": utc_now(), "trouble": await services.check()}) + b"\n\n"


def _event(services: Services, kind: str, number: int, data: dict[str, object]) -> bytes:
    head = f"id: {services.changes.id_of(number)}\nevent: {kind}\ndata: ".encode()
    return head + _json({"at": utc_now(), **data}) + b"\n\n"


_json = msgspec.json.encode
