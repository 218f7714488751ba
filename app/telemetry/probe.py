"""HTTP of a worker or a recorder: `/metrics`, `/ready` and `/health`, served by the event loop of its work.

A response shows that the loop goes on, which is the purpose of `/health`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from types import TracebackType
from typing import Self

import msgspec
from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

log = logging.getLogger(__name__)

CLOSE_SECONDS = 0.5


class Probe:
    """Server that runs while its context lasts. `look` updates the gauges before each response of `/metrics`.

    `state` returns whether the process is ready, and the content of `/ready`.
    """

    def __init__(
        self,
        listening: socket.socket,
        registry: CollectorRegistry,
        look: Callable[[], None],
        state: Callable[[], tuple[bool, Mapping[str, object]]],
        failed: Callable[[Exception], None] = lambda error: None,
    ) -> None:
        """Create the probe. `failed` is called with an error that `look` or `state` raises; the client gets a 500."""
        self._failed = failed
        self._listening = listening
        self._registry = registry
        self._look = look
        self._state = state
        app = web.Application()
        app.add_routes([
            web.get("/metrics", self._metrics), web.get("/ready", self._ready), web.get("/health", self._health),
        ])  # fmt: skip
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=CLOSE_SECONDS)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.SockSite(self._runner, self._listening).start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    @property
    def address(self) -> str:
        """Return the address of the probe."""
        host, port = self._listening.getsockname()[:2]
        return f"http://{f'[{host}]' if ':' in host else host}:{port}"

    async def _metrics(self, request: web.Request) -> web.Response:
        try:
            self._look()
        except Exception as error:
            self._failed(error)
            raise
        encode, kind = choose_encoder(request.headers.get("Accept", ""))
        text = await asyncio.to_thread(encode, self._registry)  # with many models it is long
        return web.Response(body=text, headers={"Content-Type": kind})

    async def _ready(self, _: web.Request) -> web.Response:
        try:
            ready, told = self._state()
        except Exception as error:
            self._failed(error)
            raise
        return _json(told, 200 if ready else 503)

    async def _health(self, _: web.Request) -> web.Response:
        return _json({"status": "healthy"}, 200)


def _json(told: object, status: int) -> web.Response:
    return web.Response(body=msgspec.json.encode(told), status=status, content_type="application/json")


@contextlib.asynccontextmanager
async def probed(
    listening: socket.socket | None,
    registry: CollectorRegistry,
    look: Callable[[], None],
    state: Callable[[], tuple[bool, Mapping[str, object]]],
    failed: Callable[[Exception], None] = lambda error: None,
) -> AsyncIterator[None]:
    """Serve a probe while the context lasts. Without a socket there is none."""
    if listening is None:
        yield
        return
    async with Probe(listening, registry, look, state, failed) as probe:
        log.info("metrics and probes are at %s", probe.address)
        yield
