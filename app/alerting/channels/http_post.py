"""One HTTP request within limits: no redirects, no endless responses, no waiting beyond the time."""

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
"""Number of bytes of a response that are read. The connection is closed then."""
BODY_SECONDS = 1.0
"""Longest time to wait for the body of a response, in seconds: only the status is essential."""

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
"""Meaning of each temporary error, the narrower kinds first."""


class BoundedResponse(aiohttp.ClientResponse):
    """Response of which only the beginning is read. A response that breaks off still has its status."""

    async def read(self) -> bytes:
        """Return the available body, up to `MOST_READ` bytes."""
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
        """Return the body as text, whatever encoding the response declares."""
        return (await self.read()).decode(errors="replace")


class Redirected(Exception):
    """Error for a response that is a redirect, with its status."""

    def __init__(self, status: int) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status


async def _stop(
    _session: aiohttp.ClientSession, _context: SimpleNamespace, sent: aiohttp.TraceRequestRedirectParams
) -> None:
    raise Redirected(sent.response.status)


@asynccontextmanager
async def session(seconds: float, *, public: bool = False) -> AsyncIterator[aiohttp.ClientSession]:
    """Open a session for one delivery that raises Redirected instead of following redirects.

    `public`: connect only to public addresses and use no proxy; raises Refused for others (see `allowed_addresses.py`).
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
    """Send one POST request and return its outcome.

    Never raises for an external failure. The outcome quotes none of the `secrets`.
    """
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
    """Send one GET request and return the body; None for a status other than 200 or more than `most` bytes."""
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
    """Return a POST in the form that may be shown: without its secrets and the path of its URL."""
    hidden = list(secrets)
    lines = [f"POST {shown(url)}", *(f"{name}: {hide(value, hidden)}" for name, value in headers.items())]
    return Exchange("\n".join(lines), hide(body.decode(errors="replace"), hidden), hide(returned, hidden))


def error_outcome(error: Exception, seconds: float, advice: str) -> Outcome | None:
    """Return the outcome of a request without a response; None where the error is not external."""
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
    """Return the error of the given kind among the causes of an error; None where there is none."""
    found: BaseException | None = error
    for _ in range(8):
        if found is None or isinstance(found, kind):
            return found
        found = getattr(found, "os_error", None) or found.__cause__ or found.__context__
    return None
