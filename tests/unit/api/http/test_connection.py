"""Connections that say nothing, or never come to the end of a request's head, are closed; no others are."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from fastapi import FastAPI

from api.server import Server, config_of
from app.processes.ports import listen
from app.settings.settings import load_settings

HEAD_SECONDS = 0.3
KEPT_SECONDS = 1
LONGEST_KEPT = 60
"""How long clients and balancers keep a connection."""
SLOW_SECONDS = 3 * HEAD_SECONDS
ASKED = b"GET / HTTP/1.1\r\nhost: api\r\n\r\n"


async def slowly() -> str:
    await asyncio.sleep(SLOW_SECONDS)
    return "answered"


@pytest.fixture
async def port(tmp_path: Path) -> AsyncIterator[int]:
    app = FastAPI()
    app.get("/")(lambda: "answered")
    app.get("/slow")(slowly)
    with listen("127.0.0.1", 0) as listening:
        config = config_of(app, load_settings(state_dir=tmp_path, body_seconds=HEAD_SECONDS))
        assert config.timeout_keep_alive > LONGEST_KEPT
        config.timeout_keep_alive = KEPT_SECONDS
        server = Server(config)
        running = asyncio.create_task(server.serve([listening]))
        yield listening.getsockname()[1]
        server.should_exit = True
        await asyncio.wait_for(running, 5)


async def test_another_protocol_is_not_gone_over_to_and_nothing_is_logged(
    port: int, caplog: pytest.LogCaptureFixture
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    asked = b"connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: eDp5\r\n"
    for _ in range(3):
        writer.write(b"GET / HTTP/1.1\r\nhost: api\r\n" + asked + b"\r\n")
        assert (await answer_of(reader)).startswith(b"HTTP/1.1 200")
    writer.close()
    assert [record.getMessage() for record in caplog.records if record.levelname in ("WARNING", "ERROR")] == []


async def drip(writer: asyncio.StreamWriter) -> None:
    """A head that never ends, a few bytes at a time."""
    with contextlib.suppress(ConnectionError):
        writer.write(b"GET / HTTP/1.1\r\n")
        while not writer.is_closing():
            writer.write(b"x: y\r\n")
            await asyncio.sleep(HEAD_SECONDS / 10)


async def answer_of(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    assert b"uvicorn" not in head
    length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.startswith(b"content-length"))
    return head.split(b"\r\n")[0] + b" " + await reader.readexactly(length)


@pytest.mark.parametrize("before", [b"", ASKED], ids=["a new connection", "one that was answered"])
@pytest.mark.parametrize("talks", [False, True], ids=["silent", "dripping"])
async def test_whoever_asks_nothing_is_let_go(port: int, before: bytes, talks: bool) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    if before:
        writer.write(before)
        assert (await answer_of(reader)).startswith(b"HTTP/1.1 200")
    dripping = asyncio.create_task(drip(writer)) if talks else None
    with contextlib.suppress(ConnectionError):
        assert await asyncio.wait_for(reader.read(), 10 * HEAD_SECONDS) == b""
    writer.close()
    if dripping is not None:
        await asyncio.wait([dripping])


async def test_an_answer_may_take_longer_and_the_connection_goes_on(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for path in (b"/slow", b"/", b"/slow"):
        writer.write(ASKED.replace(b"/ ", path + b" ", 1))
        assert await answer_of(reader) == b'HTTP/1.1 200 OK "answered"'
    writer.close()


async def test_a_connection_is_kept_for_longer_than_a_head_may_take(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for pause in (2 * HEAD_SECONDS, 0):
        writer.write(ASKED)
        assert await answer_of(reader) == b'HTTP/1.1 200 OK "answered"'
        await asyncio.sleep(pause)  # nothing is to happen meanwhile
    writer.close()


async def test_the_next_head_has_its_time_though_it_began_during_an_answer(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(ASKED.replace(b"/ ", b"/slow ", 1) + b"GET / HT")
    assert (await answer_of(reader)).startswith(b"HTTP/1.1 200")
    assert await asyncio.wait_for(reader.read(), 3 * HEAD_SECONDS) == b""
    writer.close()
