"""Bounded threads in which one model predicts, a bounded queue, and the time since when each thread is busy.

A thread cannot be ended from outside. A thread whose model hangs is lost until the model returns, so it is counted and
reported. Such a thread is a daemon, so it does not keep the process from ending.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class Busy(RuntimeError):
    """Raised when no prediction can be made now."""


class Threads:
    """At most `most` threads, started as needed, and at most `queue` calls that wait for a thread."""

    def __init__(self, name: str, most: int, queue: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.most = most
        self._name = name
        self._queue = queue
        self._clock = clock
        self._changed = threading.Condition()
        self._waiting: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._since: dict[Future[Any], float] = {}
        """Calls that run in a thread, and since when."""
        self._threads = 0
        self._idle = 0
        self._closed = False

    def submit(self, call: Callable[[], T], overdue_after: float) -> Future[T]:
        """Run a call in a thread; return its future.

        Raises Busy where every thread has been busy for longer than `overdue_after` seconds, or too many calls wait.
        """
        future: Future[T] = Future()
        with self._changed:
            if self._overdue(overdue_after) >= self.most:
                raise Busy(self.words(overdue_after))
            free = self.most - len(self._since)
            if len(self._waiting) >= self._queue + free:
                raise Busy(f"{len(self._waiting):,} requests wait for the model already (predict_queue)")
            self._waiting.append((future, call))
            if self._idle < len(self._waiting) and self._threads < self.most:
                self._threads += 1
                threading.Thread(target=self._work, name=f"{self._name}-{self._threads}", daemon=True).start()
            self._changed.notify()
        return future

    def overdue(self, seconds: float) -> int:
        """Return how many threads are busy with one call for longer than `seconds`."""
        with self._changed:
            return self._overdue(seconds)

    def all_overdue(self, seconds: float) -> str:
        """Return a message where all threads are overdue, and fail the waiting calls; an empty text otherwise."""
        with self._changed:
            if self._overdue(seconds) < self.most:
                return ""
            given_up = list(self._waiting)
            self._waiting.clear()
        words = self.words(seconds)
        for future, _ in given_up:
            if future.set_running_or_notify_cancel():
                future.set_exception(Busy(words))
        return words

    def words(self, seconds: float) -> str:
        """Return a message that all threads are overdue, and what can be done."""
        return (
            f"all {self.most} threads of the model are busy with one request each for more than {seconds:g} s "
            "(predict_threads, predict_seconds); POST /models/{model}/serve gives it new ones"
        )

    def abandon(self, future: Future[Any], *, ends: bool = False) -> None:
        """Give up a call: it is not started, or its thread counts as overdue from now on.

        `ends`: a running call will end soon by itself, so that its thread does not count as overdue.
        """
        with self._changed:
            if future in self._since:
                self._since[future] = self._since[future] if ends else -math.inf
            else:
                self._waiting = deque(one for one in self._waiting if one[0] is not future)
        future.cancel()

    @property
    def waiting(self) -> int:
        """Return the number of calls that wait for a thread."""
        return len(self._waiting)

    def close(self) -> None:
        """Let the threads end once no call waits. Running calls continue."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _overdue(self, seconds: float) -> int:
        before = self._clock() - seconds
        return sum(since < before for since in self._since.values())

    def _work(self) -> None:
        while True:
            with self._changed:
                self._idle += 1
                while not self._waiting and not self._closed:
                    self._changed.wait()
                self._idle -= 1
                if not self._waiting:
                    self._threads -= 1
                    return
                future, call = self._waiting.popleft()
                if not future.set_running_or_notify_cancel():
                    continue
                self._since[future] = self._clock()
            try:
                result = call()
            except BaseException as error:  # noqa: BLE001 - it is the caller's
                self._done(future)
                future.set_exception(error)
            else:
                self._done(future)
                future.set_result(result)
                del result
            del future, call  # else an idle thread would keep the last rows in memory

    def _done(self, future: Future[Any]) -> None:
        with self._changed:
            del self._since[future]
