"""The other side of the client: a server that does as it is told, in a thread of its own."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.support.receivers import Answer, Receiver, Request, answering, in_turn, receiver


@contextmanager
def server(*answers: Answer) -> Iterator[Receiver]:
    """A server in a thread of its own, since the client blocks where it waits."""
    started: list[Receiver] = []
    ready, loop = threading.Event(), asyncio.new_event_loop()
    over = asyncio.Event()

    async def serve() -> None:
        async with receiver(in_turn(*answers)) as found:
            started.append(found)
            ready.set()
            await over.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    ready.wait()
    try:
        yield started[0]
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
        loop.close()


async def accepting(request: Request, writer: asyncio.StreamWriter) -> None:
    """Takes all."""
    told = {"accepted": len(json.loads(request.body)), "rejected": []}
    await answering(202, json.dumps(told).encode())(request, writer)


def events(found: Receiver, path: str = "/predictions") -> list[dict[str, Any]]:
    """The events that a server was sent, in order."""
    return [event for one in found.requests if f"POST {path} " in one.line for event in json.loads(one.body)]
