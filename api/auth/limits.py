"""How much at once: the size of a body, the time it takes, what waits in all, and how often somebody asks."""

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
"""Bytes of a body where no key is asked for: a form with one."""
STRANGERS_BYTES = 4 * MIB
"""Of all such bodies together. They are not in the buffer that good keys share."""


class Waiting:
    """The bytes of requests that have no answer yet, of all requests together."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.held = 0


class Body:
    """A request's body on its way in. Whoever makes one gives its bytes back with `release`."""

    def __init__(self, receive: Receive, waiting: Waiting, seconds: float, most: int = MAX_BODY_BYTES) -> None:
        self._receive = receive
        self._waiting = waiting
        self._seconds = seconds
        self._most = most
        self._deadline = asyncio.get_running_loop().time() + seconds
        self._size = 0
        self._whole = False

    async def receive(self) -> Message:
        """The next message. Raises Problem 408 where it is late, 413 where it is large, 503 where too much waits."""
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
        """Its bytes wait no longer."""
        self._waiting.held -= self._size
        self._size = 0

    def _take(self, arrived: int) -> None:
        self._size += arrived
        self._waiting.held += arrived
        if self._size > self._most:
            raise too_large(self._most)
        if self._waiting.held > self._waiting.most and self._waiting.held > self._size:  # one alone always fits
            raise Problem(
                503, f"{self._waiting.most // MIB:,} MiB of requests wait for Kafka already",
                headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
            )  # fmt: skip


def too_large(most: int) -> Problem:
    """The answer to a body that is too large."""
    if most < MAX_BODY_BYTES:
        return Problem(413, f"the body is larger than {most // 1024} KiB", headers={"Connection": "close"})
    return Problem(413, f"the body is larger than {MAX_BODY_BYTES // MIB} MiB; send it in parts")


def check_length(headers: Mapping[bytes, bytes], most: int = MAX_BODY_BYTES) -> None:
    """Refuse a body by the length that it announces. Raises Problem 413, and 400 for one with two lengths."""
    if b"content-length" in headers and b"transfer-encoding" in headers:  # proxies differ about where it ends
        words = "content-length: there is transfer-encoding too; send one of them"
        raise Problem(400, words, headers={"Connection": "close"})
    length = headers.get(b"content-length", b"0")
    if length.isdigit() and (len(length) > MOST_DIGITS or int(length) > most):
        raise too_large(most)


class RateLimit:
    """How often each of many may ask, counted in this process. `text` as in the setting."""

    def __init__(self, text: str) -> None:
        self._item: RateLimitItem | None = None if text == "off" else parse(text)
        self._counting = SlidingWindowCounterRateLimiter(MemoryStorage())
        self.text = text

    def allows(self, who: str) -> bool:
        """Count one more; whether it is within the limit."""
        return self._item is None or self._counting.hit(self._item, who)

    def check(self, who: str) -> None:
        """The same. Raises Problem 429 with the time after which one more is within it."""
        if self.allows(who):
            return
        assert self._item is not None
        again = self._counting.get_window_stats(self._item, who).reset_time - time.time()
        raise Problem(429, f"more than {self.text} requests", headers={"Retry-After": str(max(1, math.ceil(again)))})
