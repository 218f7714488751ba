"""Lag of the event loop: a histogram, and a warning that names the code that ran instead.

Everything that a process responds to waits for its loop: `/ready`, `/health`, the group's callbacks. A thread looks at
the loop's current code once the loop is late by more than the limit. While the loop is in time, the thread only sleeps.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from prometheus_client import Histogram

log = logging.getLogger(__name__)

EVERY = 0.05
"""Seconds between two measurements."""
APART = 10.0
"""Seconds between two warnings. The next warning has the number and the longest of the delays in between."""
OURS = frozenset({"agents", "api", "app", "topics"})
_ROOT = Path(__file__).parents[2]


@dataclass(slots=True)
class Warnings:
    """Decision on which delays to warn of. Times are in seconds, `now` of a monotonic clock."""

    limit: float
    apart: float = APART
    _last: float = -APART
    _kept: int = 0
    _longest: float = 0.0

    def of(self, now: float, late: float, cpu: float, where: str) -> str | None:
        """Return the line for a delay; None where there is none. `cpu`: CPU seconds of the loop's thread meanwhile."""
        if late < self.limit:
            return None
        if now - self._last < self.apart:
            self._kept, self._longest = self._kept + 1, max(self._longest, late)
            return None
        line = f"the event loop was late by {late:.2f} s (limit {self.limit:g}; {cpu:.2f} s of its own CPU time)"
        line += f": it was in {where}" if where else ""
        if self._kept:
            line += f"; {self._kept} more since the last warning, the longest {self._longest:.2f} s"
        self._last, self._kept, self._longest = now, 0, 0.0
        return line


def place_of(frame: FrameType | None) -> str:
    """Return the current place of a thread as `file:line function`: the innermost one of this package, else of any."""
    innermost = frame
    while frame is not None:
        found = _within(frame.f_code.co_filename)
        if found is not None:
            return f"{found}:{frame.f_lineno} {frame.f_code.co_qualname}"
        frame = frame.f_back
    if innermost is None:
        return ""
    return f"{Path(innermost.f_code.co_filename).name}:{innermost.f_lineno} {innermost.f_code.co_qualname}"


def _within(filename: str) -> str | None:
    """Return a source file's path in this package; None for a file of another package."""
    path = Path(filename)
    if not path.is_relative_to(_ROOT) or path == Path(__file__):
        return None
    found = path.relative_to(_ROOT)
    return str(found) if found.parts[0] in OURS else None


class LoopLag:
    """Measurement of the event loop in which `run` is awaited."""

    def __init__(self, histogram: Histogram, limit: float, warn: Callable[[str], None] = log.warning) -> None:
        self._histogram = histogram
        self._warnings = Warnings(limit)
        self._limit = limit
        self._warn = warn
        self._due = time.monotonic() + EVERY
        self._where = ""
        self._over = threading.Event()

    async def run(self) -> None:
        """Measure until cancelled."""
        thread = threading.Thread(
            target=self._look, args=(threading.get_ident(),), name="event loop's lag", daemon=True
        )
        thread.start()
        try:
            while True:
                self._due = time.monotonic() + EVERY
                cpu = time.thread_time()
                await asyncio.sleep(EVERY)
                now = time.monotonic()
                late = max(0.0, now - self._due)
                self._histogram.observe(late)
                line = self._warnings.of(now, late, time.thread_time() - cpu, self._where)
                self._where = ""
                if line is not None:
                    self._warn(line)
        finally:
            self._over.set()

    def _look(self, thread: int) -> None:
        """Note the current place of the loop's thread when it is late: once for each delay."""
        seen = 0.0
        while not self._over.wait(self._limit / 2):
            due = self._due
            if due == seen or time.monotonic() - due < self._limit / 2:
                continue
            where = place_of(sys._current_frames().get(thread))
            if self._due == due:
                self._where, seen = where, due


@contextlib.asynccontextmanager
async def measured_loop(histogram: Histogram, limit: float) -> AsyncIterator[None]:
    """Measure the lag of the running loop within the context. `limit`: seconds from which on a delay is warned of."""
    measuring = asyncio.create_task(LoopLag(histogram, limit).run(), name="measuring of the event loop")
    try:
        yield
    finally:
        measuring.cancel()
        await asyncio.gather(measuring, return_exceptions=True)
