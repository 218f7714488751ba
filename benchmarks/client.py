"""A light HTTP client: requests are bytes made beforehand, so that what is measured is the API and not the client."""

from __future__ import annotations

import asyncio
import time
from types import TracebackType
from typing import Self

import httpx

from app.processes.guarded import GuardedProcess
from app.settings.settings import Settings
from benchmarks.reading import ReaderFailed

READY_SECONDS = 60.0


def post(settings: Settings, path: str, body: bytes) -> bytes:
    """A whole request, as it goes over the wire."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {settings.api_host}:{settings.api_port}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Connection:
    """One connection that is kept; one request at a time."""

    def __init__(self, settings: Settings) -> None:
        self._at = settings.api_host, settings.api_port

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection(*self._at)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()

    async def send(self, request: bytes) -> tuple[int, bytes]:
        """The answer's status and body."""
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        fields = [line.partition(b":") for line in head.lower().split(b"\r\n")]
        length = next(int(value) for name, _, value in fields if name == b"content-length")
        return int(head[9:12]), await self._reader.readexactly(length)


async def until_ready(settings: Settings, process: GuardedProcess) -> None:
    """Wait until the API says that it is. Raises ReaderFailed."""
    deadline = time.monotonic() + READY_SECONDS
    async with httpx.AsyncClient(base_url=f"http://{settings.api_host}:{settings.api_port}") as client:
        while time.monotonic() < deadline and process.poll() is None:
            try:
                if (await client.get("/ready?for=events", timeout=5)).is_success:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.1)
    raise ReaderFailed(f"the API is not ready after {READY_SECONDS:.0f} s: see its log in {settings.state_dir}")
