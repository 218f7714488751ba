"""Queries of the history: few at once, each ended at its deadline or when its caller disconnects."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from fastapi import Request
from sqlalchemy import Connection

from app.history import History, HistoryTimeout
from app.history.deadline import Deadline

AT_ONCE = 2
"""Queries that run at once. More would take processor time from the producers of events."""
AGAIN_SECONDS = 0.1
"""Seconds after which a query is cancelled again. PostgreSQL ignores a cancellation between two statements."""

T = TypeVar("T")


class HistoryReader:
    """Executor of the history's queries, with threads of its own."""

    def __init__(self, history: History, seconds: float) -> None:
        self._history, self._seconds = history, seconds
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="history")

    async def ask(self, request: Request, question: Callable[[Connection], T]) -> T:
        """Return the result of `question` with a connection. The time limit includes the wait for a turn.

        Raises HistoryError.
        """
        deadline = Deadline(self._seconds)
        try:
            await asyncio.wait_for(self._turns.acquire(), self._seconds)
        except TimeoutError:
            raise HistoryTimeout(f"the history is busy: no turn within {self._seconds:g} s; ask again later") from None
        work = asyncio.get_running_loop().run_in_executor(self._threads, self._asked, deadline, question)
        work.add_done_callback(lambda _: self._turns.release())
        gone = asyncio.create_task(_disconnected(request))
        either: list[asyncio.Future[Any]] = [work, gone]
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            while not work.done():
                await asyncio.to_thread(deadline.cancel)
                await asyncio.wait([work], timeout=AGAIN_SECONDS)
            return work.result()
        finally:
            gone.cancel()

    def close(self) -> None:
        """Accept no more queries, and close the history."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._history.close()

    def _asked(self, deadline: Deadline, question: Callable[[Connection], T]) -> T:
        with self._history.reading(deadline) as connection:
            return question(connection)


async def _disconnected(request: Request) -> None:
    """Wait until the client disconnects."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
