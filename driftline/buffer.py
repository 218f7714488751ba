"""What waits to be sent: bounded, in order, filled by many threads and emptied by one."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Item:
    """One event as JSON, where it goes, and its id."""

    path: str
    prediction_id: str
    document: bytes


class Buffer:
    """Bounded by events and by bytes; what is being sent counts until it is done."""

    def __init__(self, events: int, size: int, batch: int, batch_bytes: int, seconds: float) -> None:
        self._most_events, self._most_bytes = events, size
        self._batch, self._batch_bytes, self._seconds = batch, batch_bytes, seconds
        self._items: deque[Item] = deque()
        self._since = 0.0
        self._bytes = self._unfinished = 0
        self._flushing = 0
        self._closed_at: float | None = None
        self._changed = threading.Condition()

    def put(self, item: Item) -> bool:
        """Take an event, unless it is full or closed. Never waits."""
        with self._changed:
            size = len(item.document)
            if self.closed or self._unfinished >= self._most_events or self._bytes + size > self._most_bytes:
                return False
            if not self._items:
                self._since = time.monotonic()
            self._items.append(item)
            self._bytes += size
            self._unfinished += 1
            if len(self._items) in (1, self._batch):
                self._changed.notify_all()
            return True

    def take(self) -> list[Item]:
        """The next batch, all of one path, once it is large or old enough; empty when closed and nothing is left."""
        with self._changed:
            while not self._due():
                if self.closed and not self._items:
                    return []
                left = self._since + self._seconds - time.monotonic() if self._items else None
                self._changed.wait(left)
            taken: list[Item] = []
            size = 0
            while self._items and len(taken) < self._batch and self._items[0].path == (taken or self._items)[0].path:
                size += len(self._items[0].document) + 1
                if taken and size > self._batch_bytes:
                    break
                taken.append(self._items.popleft())
            self._since = time.monotonic()
            return taken

    def _due(self) -> bool:
        if not self._items:
            return False
        late = time.monotonic() >= self._since + self._seconds
        return late or self.closed or self._flushing > 0 or len(self._items) >= self._batch

    def done(self, items: list[Item]) -> None:
        """These are sent, or lost."""
        with self._changed:
            self._bytes -= sum(len(item.document) for item in items)
            self._unfinished -= len(items)
            self._changed.notify_all()

    def flush(self, seconds: float) -> bool:
        """Wait until nothing is left of what was put; whether that came to be in time."""
        with self._changed:
            self._flushing += 1
            self._changed.notify_all()
            try:
                return self._changed.wait_for(lambda: not self._unfinished, seconds)
            finally:
                self._flushing -= 1

    def close(self, seconds: float) -> None:
        """Take no more; what is there may be sent for so long."""
        with self._changed:
            if self._closed_at is None:
                self._closed_at = time.monotonic() + seconds
            self._changed.notify_all()

    def rest(self) -> list[Item]:
        """Take out all that is left."""
        with self._changed:
            left = list(self._items)
            self._items.clear()
            return left

    def pause(self, seconds: float) -> float:
        """Wait so long, or until the time after closing is over; answers the seconds that are left then."""
        until = time.monotonic() + seconds
        with self._changed:
            while (left := min(until, self.deadline) - time.monotonic()) > 0:
                self._changed.wait(left)
        return self.deadline - time.monotonic()

    @property
    def closed(self) -> bool:
        """Whether it takes no more."""
        return self._closed_at is not None

    @property
    def deadline(self) -> float:
        """When sending must end, by the monotonic clock."""
        return float("inf") if self._closed_at is None else self._closed_at

    @property
    def unfinished(self) -> int:
        """Events that wait or are being sent."""
        return self._unfinished
