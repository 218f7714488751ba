"""Immediate end of a process after a fatal error: one line with the reason, and the related exit status.

A Faust service that fails marks other services as crashed and leaves them to stop one another: threads, flushes and
connections that wait for something missing. That took until the watchdog's minute had passed, without a reaction to
signals. Then the watchdog gave another reason. The state is safe against an end at any moment (ADR 7), so nothing is
waited for.
"""

from __future__ import annotations

import asyncio
import faulthandler
import os
import sys
import threading
from collections.abc import Awaitable, Callable
from typing import NoReturn

import mode

from app.kafka.errors import StateLost, TopicError, Unreadable, WasCancelled, WorkerHalted, without_values

FAILED = 70
"""Exit status after an unexpected error (EX_SOFTWARE): another start may help."""
HELD = os.EX_DATAERR
"""Exit status (65) of a process that waits for somebody to decide: another start alone would not help."""

STATUSES: dict[type[BaseException], int] = {
    Unreadable: HELD, WorkerHalted: HELD, StateLost: os.EX_CONFIG, TopicError: os.EX_CONFIG,
}  # fmt: skip
LAST_WORDS_SECONDS = 1.0

_ending = threading.Lock()
_stopping: list[Callable[[], bool]] = []


def status_of(error: BaseException) -> int:
    """Return the exit status of a process that ends because of an error."""
    return next((status for kind, status in STATUSES.items() if isinstance(error, kind)), FAILED)


def words_of(error: BaseException) -> str:
    """Return an error in one line, without its message where that may contain values."""
    known = type(error) in STATUSES or status_of(error) != FAILED
    return " ".join(str(error).split()) if known else without_values(error)


def end_process(status: int, *, where: bool = True) -> Callable[[str], NoReturn]:
    """Return a function that ends the process with a status, after one line on standard error.

    With `where`, the stacks of all threads are written before that line.
    """

    def end(line: str) -> NoReturn:
        if not _ending.acquire(blocking=False):
            threading.Event().wait()  # another thread ends it, with its own reason
        writing = threading.Thread(target=_write, args=(line, where), daemon=True)  # standard error may be blocked too
        writing.start()
        writing.join(LAST_WORDS_SECONDS)
        os._exit(status)

    return end


def crash(error: BaseException, what: str) -> NoReturn:
    """End the process for an error of `what`, at once, in any thread. Does not return.

    Of several errors that came together the first is named.
    """
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    status, words = status_of(error), words_of(error)
    end_process(status, where=False)(f"{what}: {words}" if status == FAILED else words)


def is_stopping() -> bool:
    """Return whether the process has been told to stop: cancellations are intended then."""
    return any(asked() for asked in _stopping)


def end_with_any_service(asked_to_stop: Callable[[], bool]) -> None:
    """End the process when a Faust service crashes, or its task is cancelled, unless the process is stopping.

    A service that stops cancels its tasks, as Faust's fetcher does when partitions change hands. For any other
    cancelled task, Faust only logs a line, and goes on without the task.
    """
    _stopping.append(asked_to_stop)
    crashed, executed = mode.Service.crash, mode.Service._execute_task

    async def end(self: mode.Service, reason: BaseException) -> None:
        if isinstance(reason, asyncio.CancelledError) or is_stopping():
            await crashed(self, reason)
            return
        crash(reason, f"the worker crashed in {type(self).__name__}")

    async def execute(self: mode.Service, task: Awaitable[None]) -> None:
        async def run() -> None:
            try:
                await task
            except asyncio.CancelledError:
                if not self.should_stop and not is_stopping():
                    name = getattr(task, "__qualname__", type(self).__name__)
                    crash(WasCancelled(), f"the worker's task {name} failed")
                raise

        await executed(self, run())

    mode.Service.crash = end
    mode.Service._execute_task = execute


def _write(line: str, where: bool) -> None:
    stderr = sys.__stderr__.fileno() if sys.__stderr__ else 2
    if where:
        faulthandler.dump_traceback(stderr, all_threads=True)
    os.write(stderr, f"driftline: {line}\n".encode())
