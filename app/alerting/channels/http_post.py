"""One HTTP request, with everything bounded: no redirects, no endless answers, no waiting beyond the time."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from types import SimpleNamespace
from urllib.parse import urlsplit

import aiohttp
from aiohttp.helpers import is_ip_address

from app.alerting.channels.allowed_addresses import PublicResolver, Refused, refusal_of
from app.alerting.channels.exchanges import Exchange, record
from app.alerting.channels.http_response import hide, http_outcome, shown
from app.alerting.notify.channel import Outcome, Permanent, Retryable

MOST_READ = 4096
"""Bytes of an answer that are read; the rest is left, and the connection closed."""
BODY_SECONDS = 1.0
"""How long the words of an answer are waited for: its status is what counts."""

HOPELESS: dict[type[BaseException], str] = {
    Refused: "its URL leads to an address that is not allowed",
    aiohttp.InvalidURL: "its URL cannot be used",
    aiohttp.NonHttpUrlClientError: "its URL cannot be used",
    ssl.SSLCertVerificationError: "its certificate is not trusted (SSL_CERT_FILE can name the authority's file)",
}
PASSING: dict[type[BaseException], str] = {
    aiohttp.ClientConnectorDNSError: "its host cannot be resolved",
    aiohttp.ClientConnectorError: "it does not take connections",
    aiohttp.ServerDisconnectedError: "it closed the connection without an answer",
    aiohttp.ClientOSError: "it closed the connection without an answer",
    aiohttp.ClientError: "its answer is not HTTP",
    OSError: "the connection to it was lost",
}
"""What an error means, the narrower kinds first."""


class BoundedResponse(aiohttp.ClientResponse):
    """An answer of which no more than the beginning is read; one that breaks off has its status all the same."""

    async def read(self) -> bytes:
        """What there is of the body, up to `MOST_READ` bytes."""
        if self._body is None:
            found = bytearray()
            try:
                async with asyncio.timeout(BODY_SECONDS):
                    while len(found) < MOST_READ and (chunk := await self.content.read(MOST_READ - len(found))):
                        found += chunk
            except (TimeoutError, aiohttp.ClientError, OSError):
                pass
            self._body = bytes(found)
            self.close()
        return self._body

    async def text(self, encoding: str | None = None, errors: str = "strict") -> str:
        """The same as text, whatever it is said to be."""
        return (await self.read()).decode(errors="replace")


class Redirected(Exception):
    """The answer is a redirect: its status."""

    def __init__(self, status: int) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status


async def _stop(
    _session: aiohttp.ClientSession, _context: SimpleNamespace, sent: aiohttp.TraceRequestRedirectParams
) -> None:
    raise Redirected(sent.response.status)


@asynccontextmanager
async def session(seconds: float, *, public: bool = False) -> AsyncIterator[aiohttp.ClientSession]:
    """A session for one delivery that raises Redirected instead of following.

    `public`: only to public addresses, past every proxy, and Refused else (see `allowed_addresses.py`).
    """
    trace = aiohttp.TraceConfig()
    trace.on_request_redirect.append(_stop)
    trace.freeze()
    connector = aiohttp.TCPConnector(
        resolver=PublicResolver() if public else aiohttp.ThreadedResolver(), use_dns_cache=False, force_close=True
    )
    async with aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=seconds),
        response_class=BoundedResponse,
        trace_configs=[trace],
        trust_env=not public,
        cookie_jar=aiohttp.DummyCookieJar(),
    ) as opened:
        yield opened


async def post(
    url: str, body: bytes, headers: Mapping[str, str], *, seconds: float, advice: str, secrets: Sequence[str],
    public: bool = False,
) -> Outcome:  # fmt: skip
    """POST once, and say what came of it. Never raises for what the outside does, and quotes none of the `secrets`."""
    host = urlsplit(url).hostname or ""
    if public and is_ip_address(host) and (reason := refusal_of(host)) is not None:
        return Permanent(f"its URL leads to an address that is not allowed: {reason}; {advice}")
    try:
        async with (
            asyncio.timeout(seconds),
            session(seconds, public=public) as opened,
            opened.post(url, data=body, headers=headers) as answer,
        ):
            said = await answer.text()
            record(exchange_of(url, body, headers, f"HTTP {answer.status}\n{said}".rstrip(), secrets))
            return http_outcome(
                answer.status, answer.headers.get("Retry-After"), said,
                advice=advice, secrets=secrets, now=datetime.now(UTC),
            )  # fmt: skip
    except Exception as error:
        outcome = error_outcome(error, seconds, advice)
        if outcome is None:
            raise
        record(exchange_of(url, body, headers, "nothing", secrets))
        return outcome


async def get(
    url: str, query: Sequence[tuple[str, str]], headers: Mapping[str, str], *, seconds: float, most: int
) -> bytes | None:
    """GET once; None where it is not answered with 200, or with more than `most` bytes."""
    found = bytearray()
    try:
        async with (
            asyncio.timeout(seconds),
            session(seconds) as opened,
            opened.get(url, params=query, headers=headers) as answer,
        ):
            while len(found) <= most and (chunk := await answer.content.read(1 << 16)):
                found += chunk
            return bytes(found) if answer.status == 200 and len(found) <= most else None
    except Exception as error:
        if error_outcome(error, seconds, "") is None:
            raise
        return None


def exchange_of(url: str, body: bytes, headers: Mapping[str, str], returned: str, secrets: Iterable[str]) -> Exchange:
    """Return a POST as it may be shown: without its secrets, nor the path of its URL."""
    hidden = list(secrets)
    lines = [f"POST {shown(url)}", *(f"{name}: {hide(value, hidden)}" for name, value in headers.items())]
    return Exchange("\n".join(lines), hide(body.decode(errors="replace"), hidden), hide(returned, hidden))


def error_outcome(error: Exception, seconds: float, advice: str) -> Outcome | None:
    """The outcome of a request that had no answer; None where the error is not the outside's."""
    if isinstance(error, Redirected):
        return http_outcome(error.status, None, "", advice=advice, secrets=(), now=datetime.now(UTC))
    if isinstance(error, TimeoutError):
        return Retryable(f"no answer in {seconds:g} s")
    for kind, reason in HOPELESS.items():
        if _cause(error, kind) is not None:
            return Permanent(f"{reason}; {advice}")
    for kind, reason in PASSING.items():
        if isinstance(error, kind):
            return Retryable(reason)
    return None


def _cause(error: BaseException, kind: type[BaseException]) -> BaseException | None:
    """The error of a kind in what led to an error."""
    found: BaseException | None = error
    for _ in range(8):
        if found is None or isinstance(found, kind):
            return found
        found = getattr(found, "os_error", None) or found.__cause__ or found.__context__
    return None
