"""Long work in slices or in a thread, so that the event loop gets to what else is due: probes, heartbeats, others.

Work in slices is a generator that yields wherever it may be interrupted, at least every few milliseconds.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator, Iterator
from typing import Generic, TypeVar

Result = TypeVar("Result")

SLICE_SECONDS = 0.05
"""So long at most the loop waits for one piece of work, and for the step that it is in."""


class LoopTurn:
    """What a coroutine asks in a loop of its own whether it is somebody else's turn."""

    def __init__(self, seconds: float = SLICE_SECONDS) -> None:
        self._seconds = seconds
        self._began = time.monotonic()

    async def give(self) -> None:
        """Let others run, where this one has had its time."""
        if time.monotonic() - self._began >= self._seconds:
            await asyncio.sleep(0)
            self._began = time.monotonic()


class _Steps(Generic[Result]):
    """The steps of a piece of work; it has its result once all of them are done."""

    result: Result

    def __init__(self, work: Generator[None, None, Result]) -> None:
        self._work = work

    def __iter__(self) -> Iterator[None]:
        self.result = yield from self._work


async def in_slices(work: Generator[None, None, Result], seconds: float = SLICE_SECONDS) -> Result:
    """Do work, and let others run between its steps. Returns what it returns; raises what it raises."""
    turn, steps = LoopTurn(seconds), _Steps(work)
    for _ in steps:
        await turn.give()
    return steps.result


def at_once(work: Generator[None, None, Result]) -> Result:
    """Do all of a piece of work without an interruption."""
    steps = _Steps(work)
    for _ in steps:
        pass
    return steps.result


async def in_thread(work: Callable[[], Result]) -> Result:
    """Do work in a thread: it must have all that it touches to itself. Returns what it returns; raises what it raises.

    Without an event loop, which could go on meanwhile, it is done at once.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return work()
    return await loop.run_in_executor(None, work)
