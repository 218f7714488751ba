"""The sockets that are listened on."""

from __future__ import annotations

import asyncio
import socket
from contextlib import closing

import pytest

from app.processes.ports import PortTaken, listen


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_what_is_written_to_a_connection_does_not_wait_for_what_was_written_before(host: str) -> None:
    set_: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def accepted(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = writer.get_extra_info("socket")
        set_.set_result(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    try:
        listening = listen(host, 0)
    except PortTaken:
        pytest.skip("no IPv6 here")
    with closing(listening):
        server = await asyncio.start_server(accepted, sock=listening)
        _, writer = await asyncio.open_connection(*listening.getsockname()[:2])
        assert await asyncio.wait_for(set_, 5)
        writer.close()
        server.close()


def test_a_taken_port_is_named_with_what_to_do() -> None:
    with closing(listen("127.0.0.1", 0)) as first, pytest.raises(PortTaken, match="--port or DRIFTLINE_API_PORT"):
        listen("127.0.0.1", first.getsockname()[1])


async def test_at_the_address_for_all_both_families_are_answered() -> None:
    async def accepted(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"here")
        writer.close()

    try:
        listening = listen("::", 0)
    except PortTaken:
        pytest.skip("no IPv6 here")
    with closing(listening):
        server = await asyncio.start_server(accepted, sock=listening)
        for host in ("127.0.0.1", "::1"):
            reader, writer = await asyncio.open_connection(host, listening.getsockname()[1])
            assert await asyncio.wait_for(reader.read(), 5) == b"here"
            writer.close()
        server.close()
