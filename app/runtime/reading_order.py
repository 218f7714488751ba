"""Which partitions wait for others, so that topics that are joined are read in about the order of the broker's time.

Read as fast as each of them comes, feedback runs ahead of the predictions of a backlog, since its records are smaller
and fewer, and all that is ahead has to wait in memory. Only the order of reading is touched, never what comes of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from faust.types import TP

PATIENCE = 5.0
"""Seconds: a leader that has brought nothing for so long is waited for no longer, whatever its log promises."""


class ReadingOrder:
    """A partition waits while it is ahead of the same one of its leading topic, and that one has more."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.leaders: dict[str, str] = {}
        """The topic that goes first, by the topic that follows it."""
        self.waiting: frozenset[TP] = frozenset()
        """Those that are not read now."""
        self._now = now
        self._handed: dict[TP, tuple[int, int, float]] = {}
        self._since = now()

    def handed(self, tp: TP, first: int, last: int) -> None:
        """Note what was fetched at once: the broker's times of its first and last record."""
        self._handed[tp] = last, max(0, last - first), self._now()

    def forget(self) -> None:
        """What is read next may be from anywhere."""
        self._handed.clear()
        self._since = self._now()
        self.waiting = frozenset()

    def without_those_ahead(
        self, active: Collection[TP], full: Collection[TP], has_more: Callable[[TP], bool]
    ) -> set[TP]:
        """The partitions to read now.

        `active`: those that may be read; `full`: those that may be once their agent has room again, and are waited for;
        `has_more`: whether a partition's log goes on after what was read.
        """
        ours = {*active, *full}
        self.waiting = frozenset(tp for tp in ours if self._waits(tp, ours, has_more))
        return set(active) - self.waiting

    def _waits(self, tp: TP, ours: Collection[TP], has_more: Callable[[TP], bool]) -> bool:
        leader = self.leaders.get(tp.topic)
        if leader is None:
            return False
        first = TP(leader, tp.partition)
        if first not in ours or not has_more(first):
            return False
        led = self._handed.get(first)
        if led is None:
            return self._now() - self._since < PATIENCE
        if tp not in self._handed:
            return False
        (reached, length, _), (until, _, at) = self._handed[tp], led
        return reached + length > until and self._now() - at < PATIENCE  # what comes next is about as long as the last
