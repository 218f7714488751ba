"""Limits of a request: the body's size and time, the bytes of all unanswered requests, and the rate per caller."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Mapping

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from starlette.types import Message, Receive

from api.http.measured_requests import MOST_DIGITS
from api.http.problems import RETRY_AFTER_SECONDS, Problem

MAX_BODY_BYTES = 16 << 20
MIB = 1 << 20
BEFORE_A_KEY = 8 << 10
"""Limit in bytes of a request body where no key is needed, such as the sign-in form."""
STRANGERS_BYTES = 4 * MIB
"""Limit in bytes of all such bodies together. They do not use the buffer that requests with valid keys share."""


class Waiting:
    """Bytes of all requests that have no response yet."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.held = 0


class Body:
    """A request's body while it is read. The creator returns the body's bytes to the shared limit with `release`."""

    def __init__(self, receive: Receive, waiting: Waiting, seconds: float, most: int = MAX_BODY_BYTES) -> None:
        self._receive = receive
        self._waiting = waiting
        self._seconds = seconds
        self._most = most
        self._deadline = asyncio.get_running_loop().time() + seconds
        self._size = 0
        self._whole = False

    async def receive(self) -> Message:
        """Return the next message.

        Raises Problem 408 for a late body, 413 for a large one, and 503 where the limit of all requests is reached.
        """
        if self._whole:
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError:
            raise Problem(
                408, f"the body has not arrived within {self._seconds:g} s", headers={"Connection": "close"}
            ) from None
        if message["type"] == "http.request":
            self._take(len(message.get("body", b"")))
            self._whole = not message.get("more_body", False)
        return message

    def release(self) -> None:
        """Return the body's bytes to the shared limit."""
        self._waiting.held -= self._size
        self._size = 0

    def _take(self, arrived: int) -> None:
        self._size += arrived
        self._waiting.held += arrived
        if self._size > self._most:
            raise too_large(self._most)
        if self._waiting.held > self._waiting.most and self._waiting.held > self._size:  # a single body always fits
            raise Problem(
                503, f"{self._waiting.most // MIB:,} MiB of requests wait for Kafka already",
                headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
            )  # fmt: skip


def too_large(most: int) -> Problem:
    """Return the problem for a body that is too large."""
    if most < MAX_BODY_BYTES:
        return Problem(413, f"the body is larger than {most // 1024} KiB", headers={"Connection": "close"})
    words = f"the body is larger than {MAX_BODY_BYTES // MIB} MiB; send it in parts, or a reference as its profile"
    return Problem(413, words)


def check_length(headers: Mapping[bytes, bytes], most: int = MAX_BODY_BYTES) -> None:
    """Refuse a body by its declared length.

    Raises Problem 413 for a body that is too large, 400 for one with both Content-Length and Transfer-Encoding.
    """
    if b"content-length" in headers and b"transfer-encoding" in headers:  # proxies disagree on the end of it
        words = "content-length: there is transfer-encoding too; send one of them"
        raise Problem(400, words, headers={"Connection": "close"})
    length = headers.get(b"content-length", b"0")
    if length.isdigit() and (len(length) > MOST_DIGITS or int(length) > most):
        raise too_large(most)


class RateLimit:
    """A rate limit for each of many callers, counted in this process. `text` has the form of the setting."""

    def __init__(self, text: str) -> None:
        self._item: RateLimitItem | None = None if text == "off" else parse(text)
        self._counting = SlidingWindowCounterRateLimiter(MemoryStorage())
        self.text = text

    def allows(self, who: str) -> bool:
        """Count one more request, and return whether it is within the limit."""
        return self._item is None or self._counting.hit(self._item, who)

    def check(self, who: str) -> None:
        """Count one more request.

        Raises Problem 429 beyond the limit, with the seconds after which a request is within the limit again.
        """
        if self.allows(who):
            return
        assert self._item is not None
        again = self._counting.get_window_stats(self._item, who).reset_time - time.time()
        raise Problem(429, f"more than {self.text} requests", headers={"Retry-After": str(max(1, math.ceil(again)))})
