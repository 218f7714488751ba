"""The other side of the channels on this machine: an HTTP server and a mail server that do as they are told."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

PATIENCE = 5.0
"""Seconds after which a connection that nobody ends is let go."""


@dataclass
class Request:
    """What came in."""

    line: str
    headers: dict[str, str]
    body: bytes


Answer = Callable[[Request, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Receiver:
    """An HTTP server. `answer` is what it does with a request, `requests` what it was sent."""

    answer: Answer
    requests: list[Request] = field(default_factory=list)
    port: int = 0

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {
                name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:]) if name
            }
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            request = Request(head[0], headers, body)
            self.requests.append(request)
            await self.answer(request, writer)
            await writer.drain()
        writer.close()


def answering(status: int, body: bytes = b"ok", **headers: str) -> Answer:
    """A whole answer."""
    return raw(_head(status, len(body), headers) + body)


def raw(words: bytes) -> Answer:
    """These bytes, and the end."""

    async def answer(_request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(words)

    return answer


def in_turn(*answers: Answer) -> Answer:
    """One after the other; the last one for ever."""
    waiting = list(answers)

    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        await (waiting.pop(0) if len(waiting) > 1 else waiting[0])(request, writer)

    return answer


def breaking_off(status: int) -> Answer:
    """A head that promises more than follows."""
    return raw(_head(status, 10_000, {}) + b"half of")


def huge(status: int) -> Answer:
    """An answer that goes on for as long as somebody reads, 50 MB at most."""

    async def answer(_request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(_head(status, 50_000_000, {}))
        for _ in range(800):
            writer.write(b"x" * 62_500)
            await writer.drain()

    return answer


def repeating(status: int) -> Answer:
    """An answer that says all that it was sent, address included."""

    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        told = f"{request.line} {request.headers}".encode()
        writer.write(_head(status, len(told), {}) + told)

    return answer


def _head(status: int, length: int, headers: dict[str, str]) -> bytes:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    named = {"Connection": "close", **named}  # as it does: a client must not send its next request there
    lines = [f"HTTP/1.1 {status} Told", f"Content-Length: {length}", *(f"{k}: {v}" for k, v in named.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


@asynccontextmanager
async def receiver(answer: Answer | None = None) -> AsyncIterator[Receiver]:
    """An HTTP server on 127.0.0.1, for the context."""
    found = Receiver(answer or answering(200))
    async with closing(await asyncio.start_server(found._serve, "127.0.0.1", 0)) as found.port:
        yield found


@dataclass
class Post:
    """A mail server's handler. `refuse`: recipients and what is said to them; `say`: the answer to the message."""

    say: str = "250 2.0.0 taken"
    refuse: dict[str, str] = field(default_factory=dict)
    envelopes: list[Envelope] = field(default_factory=list)
    secure: list[bool] = field(default_factory=list)
    port: int = 0

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.refuse:
            return self.refuse[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        self.envelopes.append(envelope)
        self.secure.append(session.ssl is not None)
        return self.say


def only(username: str, password: str) -> Callable[..., AuthResult]:
    """Who may log in."""

    def check(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: LoginPassword) -> AuthResult:
        right = data == LoginPassword(username.encode(), password.encode())
        return AuthResult(success=right, handled=False)

    return check


@asynccontextmanager
async def mail_server(
    post: Post, *, tls: ssl.SSLContext | None = None, implicit: bool = False, login: tuple[str, str] | None = None
) -> AsyncIterator[Post]:
    """A mail server on 127.0.0.1: STARTTLS where `tls` is given (TLS at once with `implicit`), a login where wanted."""
    loop = asyncio.get_running_loop()
    protocols: list[SMTP] = []

    def make() -> SMTP:
        protocol = SMTP(
            post, hostname="mail.test", loop=loop, tls_context=None if implicit else tls, timeout=PATIENCE,
            require_starttls=tls is not None and not implicit, auth_required=login is not None,
            auth_require_tls=tls is not None and not implicit, authenticator=only(*login) if login else None,
            ident="test",
        )  # fmt: skip
        protocols.append(protocol)
        return protocol

    server = await loop.create_server(make, "127.0.0.1", 0, ssl=tls if implicit else None)
    async with closing(server) as post.port:
        try:
            yield post
        finally:
            for transport in (t for p in protocols for t in (p.transport, p._original_transport)):
                if isinstance(transport, asyncio.WriteTransport):
                    transport.abort()


@asynccontextmanager
async def closing(server: asyncio.Server) -> AsyncIterator[int]:
    """The server's port; at the end it is closed, and its last connection gone."""
    gone = asyncio.create_task(server.wait_closed())  # before it is closed, or Python 3.11 waits for nothing
    await asyncio.sleep(0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await asyncio.wait_for(gone, PATIENCE)


Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def talking(talk: Talk) -> AsyncIterator[int]:
    """The port of a server that does this with each connection, and closes it."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            await talk(reader, writer)
        writer.close()

    async with closing(await asyncio.start_server(handle, "127.0.0.1", 0)) as port:
        yield port


PUBLIC = "http://93.184.216.34/services/T0/hush"
