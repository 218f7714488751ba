"""Which partitions wait for others, so that topics that are joined are read in about the order of the broker's time.

Read as fast as each of them comes, feedback runs ahead of the predictions of a backlog, since its records are smaller
and fewer, and all that is ahead has to wait in memory. Only the order of reading is touched, never what comes of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection
from typing import TypeVar

from aiokafka import TopicPartition
from faust.types import TP

Partition = TypeVar("Partition", TP, TopicPartition)

PATIENCE = 5.0
"""Seconds of asking: a leader that has brought nothing for so long is not waited for, whatever its log promises."""


class ReadingOrder:
    """A partition waits while it is ahead of the same one of its leading topic, and that one has more.

    Only the time during which a leader was asked for records counts against it. What it has brought may take its agent
    much longer.
    """

    def __init__(self) -> None:
        self.leaders: dict[str, str] = {}
        """The topic that goes first, by the topic that follows it."""
        self.waiting: frozenset[tuple[str, int]] = frozenset()
        """Those that are not read now."""
        self._handed: dict[tuple[str, int], tuple[int, int]] = {}
        self._in_vain: defaultdict[tuple[str, int], float] = defaultdict(float)

    def handed(self, tp: TP | TopicPartition, first: int, last: int) -> None:
        """Note what was fetched at once: the broker's times of its first and last record."""
        self._handed[tp] = last, max(0, last - first)

    def fetched(
        self, asked: Collection[TP | TopicPartition], brought: Collection[TP | TopicPartition], seconds: float
    ) -> None:
        """Note a fetch: of which partitions it asked, which of them have brought records, and how long it took."""
        for tp in asked:
            if tp in brought:
                self._in_vain.pop(tp, None)
            else:
                self._in_vain[tp] += seconds

    def forget(self) -> None:
        """What is read next may be from anywhere."""
        self._handed.clear()
        self._in_vain.clear()
        self.waiting = frozenset()

    def without_those_ahead(
        self, active: Collection[Partition], full: Collection[Partition], has_more: Callable[[Partition], bool]
    ) -> set[Partition]:
        """The partitions to read now.

        `active`: those that may be read; `full`: those that may be once their agent has room again, and are waited for,
        however long that takes: where their logs end is not known meanwhile. `has_more`: whether a partition's log
        goes on after what was read.
        """
        now, later = set(active), set(full)
        self.waiting = frozenset(tp for tp in now | later if self._waits(tp, now, later, has_more))
        return now - self.waiting

    def _waits(
        self, tp: Partition, active: set[Partition], full: set[Partition], has_more: Callable[[Partition], bool]
    ) -> bool:
        leader = self.leaders.get(tp.topic)
        if leader is None:
            return False
        first = tp._replace(topic=leader)
        if first not in full:
            asked_in_vain = self._in_vain[first] >= PATIENCE
            if first not in active or asked_in_vain or not has_more(first):
                return False
        led, followed = self._handed.get(first), self._handed.get(tp)
        if led is None or followed is None:
            return led is None
        (until, _), (reached, length) = led, followed
        return reached + length > until  # what comes next is about as long as the last
