"""The API as a process of its own, and clients that wait for it."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager

import httpx
import msgspec

from app.settings.settings import Settings
from tests.support.stream import worker
from topics.registry import PREDICTIONS


async def answered(client: httpx.AsyncClient, path: str) -> httpx.Response:
    """The first 200 that the path gives."""
    async with asyncio.timeout(60):
        while True:
            try:
                answer = await client.get(path)
                if answer.status_code == 200:
                    return answer
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.1)  # another process: it tells nobody


async def ready(client: httpx.AsyncClient) -> None:
    await answered(client, "/ready?for=events")


BATCH = 100
PATIENCE = 90.0


class Client:
    """Posts until it is told that Kafka has it; counts the answers."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http
        self.accepted = self.unavailable = 0

    async def post(self, records: Sequence[tuple[str, bytes, bytes]]) -> None:
        """Post records of both topics in their order."""
        for start in range(0, len(records), BATCH):
            batch = records[start : start + BATCH]
            for path, wanted in (("/predictions", True), ("/feedback", False)):
                events = [msgspec.json.decode(v) for topic, _, v in batch if (topic == PREDICTIONS.name) is wanted]
                if events:
                    await self._one(path, events)

    async def _one(self, path: str, events: list[object]) -> None:
        async with asyncio.timeout(PATIENCE):
            while True:
                answer = await self._http.post(path, json=events)
                if answer.is_success:
                    self.accepted += 1
                    return
                assert answer.status_code == 503, answer.text
                assert int(answer.headers["retry-after"]) > 0
                self.unavailable += 1
                await asyncio.sleep(0.2)  # the test has less patience than is asked for


@contextmanager
def api_process(settings: Settings) -> Iterator[str]:
    """The API as a process, ready."""
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        port = probe.getsockname()[1]
    with worker(settings.model_copy(update={"api_port": port}), "api", ("-m", "app.cli", "api")):
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                if httpx.get(f"{url}/ready?for=events", timeout=5).status_code == 200:
                    break
            except httpx.TransportError:
                time.sleep(0.1)  # it does not listen yet, so there is nothing to wait on
        yield url
