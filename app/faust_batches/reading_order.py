"""Reading order of joined topics, about the order of the broker's time: some partitions wait for others.

Without this order, feedback runs ahead of the predictions of a backlog, since its records are smaller and fewer. All
records that are ahead have to wait in memory. Only the order of reading is changed, never the result.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection
from typing import TypeVar

from aiokafka import TopicPartition
from faust.types import TP

Partition = TypeVar("Partition", TP, TopicPartition)

PATIENCE = 5.0
"""Seconds of requests without records after which a leader is not waited for, whatever its log promises."""


class ReadingOrder:
    """Order in which a partition waits while it is ahead of the same partition of its leading topic.

    A partition waits only while the leader has more to read. Only the time during which records of a leader were
    requested counts against it. Its agent may take much longer for the records that came.
    """

    def __init__(self) -> None:
        self.leaders: dict[str, str] = {}
        """The leading topic, by the topic that follows it."""
        self.waiting: frozenset[tuple[str, int]] = frozenset()
        """Partitions that are not read now."""
        self._handed: dict[tuple[str, int], tuple[int, int]] = {}
        self._in_vain: defaultdict[tuple[str, int], float] = defaultdict(float)

    def handed(self, tp: TP | TopicPartition, first: int, last: int) -> None:
        """Note the broker's times of the first and last record that were fetched together."""
        self._handed[tp] = last, max(0, last - first)

    def fetched(
        self, asked: Collection[TP | TopicPartition], brought: Collection[TP | TopicPartition], seconds: float
    ) -> None:
        """Note a fetch: the requested partitions, those that had records, and the time that the fetch took."""
        for tp in asked:
            if tp in brought:
                self._in_vain.pop(tp, None)
            else:
                self._in_vain[tp] += seconds

    def forget(self) -> None:
        """Forget all notes: the next records may be from anywhere."""
        self._handed.clear()
        self._in_vain.clear()
        self.waiting = frozenset()

    def without_those_ahead(
        self, active: Collection[Partition], full: Collection[Partition], has_more: Callable[[Partition], bool]
    ) -> set[Partition]:
        """Return the partitions to read now.

        `active`: partitions that may be read. `full`: partitions that may be read once their agent has room again.
        These are waited for, however long that takes, because the ends of their logs are unknown meanwhile. `has_more`:
        whether a partition's log goes on after the records that were read.
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
        return reached + length > until  # the next records span about the same time as the last
