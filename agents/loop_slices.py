"""Long work in slices or in a thread, so that the event loop runs other work: probes, heartbeats, other agents.

Work in slices is a generator that yields wherever it may be interrupted, at least every few milliseconds.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator, Iterator
from typing import Generic, TypeVar

Result = TypeVar("Result")

SLICE_SECONDS = 0.05
"""Longest time that the loop waits for one piece of work, apart from the step under way."""


class LoopTurn:
    """Time slice of a coroutine that lets other coroutines run from within a loop of its own."""

    def __init__(self, seconds: float = SLICE_SECONDS) -> None:
        self._seconds = seconds
        self._began = time.monotonic()

    async def give(self) -> None:
        """Let other coroutines run if this one has used its time."""
        if time.monotonic() - self._began >= self._seconds:
            await asyncio.sleep(0)
            self._began = time.monotonic()


class _Steps(Generic[Result]):
    """Steps of a piece of work. `result` is set once all of them are done."""

    result: Result

    def __init__(self, work: Generator[None, None, Result]) -> None:
        self._work = work

    def __iter__(self) -> Iterator[None]:
        self.result = yield from self._work


async def in_slices(work: Generator[None, None, Result], seconds: float = SLICE_SECONDS) -> Result:
    """Do work, and let other coroutines run between its steps. Return its result. Raises what the work raises."""
    turn, steps = LoopTurn(seconds), _Steps(work)
    for _ in steps:
        await turn.give()
    return steps.result


def at_once(work: Generator[None, None, Result]) -> Result:
    """Do all of a piece of work without an interruption. Return its result."""
    steps = _Steps(work)
    for _ in steps:
        pass
    return steps.result


async def in_thread(work: Callable[[], Result]) -> Result:
    """Do work in a thread. The work must have all its data to itself.

    Return the result of the work. Raises what the work raises. Without a running event loop, the work is done at once.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return work()
    return await loop.run_in_executor(None, work)
