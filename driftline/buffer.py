"""Bounded queue of events, filled by many threads and emptied by one, in order."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Final, Literal

from driftline.account import LOGGED, SETTLED, Account, Counts
from driftline.snapshot import weight

Members = tuple[str, str, object, object, object, object]
"""Values of a prediction's MEMBERS."""
MEMBERS: Final = ("model", "model_version", "timestamp", "features", "prediction", "probability")
Item = tuple[str, str, dict[str, object] | Members | bytes, int, int]
"""One event: its path, its id, its members or its JSON, its approximate bytes, its time of logging (ns since 1970)."""
PATH: Final = 0
ID: Final = 1
EVENT: Final = 2
SIZE: Final = 3
AT: Final = 4

THREADS = 64
"""Number of threads that may append to the inbox at the same moment without exceeding the bound."""
LEAST_BYTES = 1024
"""Least size in bytes that is assumed for an event, before the inbox is weighed."""

Put = Literal["taken", "full", "closed"]


class Buffer:
    """Events that wait or are being sent, bounded by their number and their bytes.

    A caller never waits for the sender. Events go into the `inbox` without a lock and unweighed, while it has fewer
    than `room` events. `room` is how many events fit if none is larger than the largest one weighed last. So events
    that are suddenly larger may exceed the bounds for a moment. The sender weighs the events of the inbox; so does a
    caller that finds no room in it.
    """

    def __init__(self, events: int, size: int, batch: int, seconds: float) -> None:
        self._most_events, self._most_bytes = events, size
        self._batch, self._seconds = batch, seconds
        self.counts: Counts = [0, 0]  # counts of the process's account; each append to the inbox adds to them
        self.inbox: deque[Item] = deque()
        self.room = 0
        self.due = 0  # events in the inbox that complete a batch with the waiting ones
        self._largest = LEAST_BYTES
        self._waiting: deque[Item] = deque()
        self._aside: deque[Item] = deque()  # due with the last batch, but of another path
        self._taken: dict[int, Item] = {}
        self._since = 0.0
        self._bytes = self._unfinished = self._logged = 0
        self._flushing = 0
        self._opened = False
        self._closed_at: float | None = None
        self._abandoned = False
        self._lock = threading.RLock()  # a signal handler or finaliser may log an event within `put`
        self._changed = threading.Condition(self._lock)

    def open(self) -> None:
        """Let events into the inbox, since a sender now reads it."""
        with self._lock:
            self._opened = True
            self._weigh()

    def count_in(self, account: Account) -> None:
        """Keep the counts in an account. Call this before `open`, since logging an event then adds to the account."""
        with self._lock:
            account.counts[LOGGED], account.counts[SETTLED] = self.counts[LOGGED], self.counts[SETTLED]
            self.counts = account.counts

    def put(self, item: Item) -> Put:
        """Add an event, unless the buffer is full or closed. Never waits."""
        with self._lock:
            self._weigh()
            self._logged += 1
            self.counts[LOGGED] += 1
            size = self._bytes + item[3]
            if self._unfinished >= self._most_events or size > self._most_bytes or self._closed_at is not None:
                self.counts[SETTLED] += 1
                return "full" if self._closed_at is None else "closed"
            self._waiting.append(item)
            self._bytes = size
            self._unfinished += 1
            waiting = len(self._waiting)
            self.due = self._batch - waiting
            if waiting == 1 or waiting == self._batch:  # noqa: PLR1714 - a tuple costs the caller more
                if waiting == 1:
                    self._since = time.monotonic()
                self._changed.notify_all()
            return "taken"

    def wake(self) -> None:
        """Notify the sender to read the inbox."""
        with self._changed:
            self._changed.notify_all()

    def _weigh(self) -> None:
        """Move the inbox's events to the waiting ones, and compute the room that is left. The caller has the lock."""
        if count := len(self.inbox):
            moved = [_weighed(self.inbox.popleft()) for _ in range(count)]  # a thread may append at the same time
            sizes = [item[SIZE] for item in moved]
            self._waiting.extend(moved)
            self._logged += count
            self._unfinished += count
            self._bytes += sum(sizes)
            self._largest = max(LEAST_BYTES, *sizes)
        closed = self._closed_at is not None or not self._opened
        left = min(self._most_events - self._unfinished, (self._most_bytes - self._bytes) // self._largest)
        self.room = 0 if closed else min(left - THREADS, 2 * self._batch)
        self.due = self._batch - len(self._waiting)

    def refuse(self) -> None:
        """Count an event that cannot be put."""
        with self._lock:
            self._logged += 1
            self.counts[LOGGED] += 1
            self.counts[SETTLED] += 1

    def take(self) -> list[Item]:
        """Wait for a batch and return it: events of one path, once the batch is large or old enough.

        Events of other paths among them are the next batches. Returns an empty list when the buffer is closed and
        empty.
        """
        with self._changed:
            while not self._aside and not self._due():
                if self.closed and not self._waiting:
                    return []
                left = self._since + self._seconds - time.monotonic() if self._waiting else self._seconds
                self._changed.wait(left)
            source = self._aside or self._waiting
            most = min(self._batch, len(source))
        taken: list[Item] = []
        for _ in range(most):  # one at a time, because callers need the lock between them
            with self._lock:
                if not source:  # abandoned
                    break
                item = source.popleft()
                if taken and item[PATH] != taken[0][PATH]:
                    self._aside.append(item)
                else:
                    taken.append(item)
                    self._taken[id(item)] = item
        self._since = time.monotonic()
        return taken

    def _due(self) -> bool:
        """Return whether a batch is to be sent: it is large or old, or a caller waits for it."""
        self._weigh()
        if not self._waiting:
            self._since = time.monotonic()
            return False
        late = time.monotonic() >= self._since + self._seconds
        return late or self.closed or self._flushing > 0 or len(self._waiting) >= self._batch

    def claim(self, items: list[Item]) -> bool:
        """Return whether the outcome of these taken events counts: not after `abandon`.

        After True, `done` must follow.
        """
        with self._lock:
            if self._abandoned:
                return False
            for item in items:
                del self._taken[id(item)]
            return True

    def done(self, items: list[Item]) -> None:
        """Note that these claimed events are sent or lost, and counted."""
        with self._changed:
            self._bytes -= sum([item[SIZE] for item in items])
            self._unfinished -= len(items)
            self.counts[SETTLED] += len(items)
            self._weigh()
            self._changed.notify_all()

    def flush(self, seconds: float) -> bool:
        """Wait until no event is left. Return whether that happened within `seconds`."""
        with self._changed:
            self._flushing += 1
            self._weigh()
            self._changed.notify_all()
            try:
                return self._changed.wait_for(self._finished, seconds)
            finally:
                self._flushing -= 1

    def _finished(self) -> bool:
        self._weigh()
        return not self._unfinished

    def close(self, seconds: float) -> None:
        """Accept no more events. Events of the buffer may be sent for `seconds` more."""
        with self._changed:
            if self._closed_at is None:
                self._closed_at = time.monotonic() + seconds
            self._weigh()
            self._changed.notify_all()

    def abandon(self) -> list[Item]:
        """Remove and return all events, also those being sent. Their outcomes no longer count."""
        with self._changed:
            self._weigh()
            left = [*self._taken.values(), *self._aside, *self._waiting]
            self._taken.clear()
            self._aside.clear()
            self._waiting.clear()
            self._bytes -= sum([item[SIZE] for item in left])
            self._unfinished -= len(left)
            self.counts[SETTLED] += len(left)
            self._abandoned = True
            self._changed.notify_all()
            return left

    def pause(self, seconds: float) -> float:
        """Wait for `seconds`, or until the deadline after closing. Return the seconds left until the deadline."""
        until = time.monotonic() + seconds
        with self._changed:
            while (left := min(until, self.deadline) - time.monotonic()) > 0:
                self._changed.wait(left)
                self._weigh()
        return self.deadline - time.monotonic()

    @property
    def closed(self) -> bool:
        """Return whether the buffer accepts no more events."""
        return self._closed_at is not None

    @property
    def abandoned(self) -> bool:
        """Return whether the events in the buffer are not sent any more."""
        return self._abandoned

    @property
    def deadline(self) -> float:
        """Return when sending must end, in seconds of the monotonic clock; infinity while the buffer is open."""
        return float("inf") if self._closed_at is None else self._closed_at

    @property
    def unfinished(self) -> int:
        """Return the number of events that wait or are being sent."""
        with self._lock:
            return self._unfinished + len(self.inbox)

    @property
    def logged(self) -> int:
        """Return the number of logged events, whatever their outcome."""
        with self._lock:
            return self._logged + len(self.inbox)


def _weighed(item: Item) -> Item:
    """Return an event of the inbox with its size."""
    path, event_id, event, _, at = item
    return path, event_id, event, weight(event), at
