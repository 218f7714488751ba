"""How a recorder stands just now: what it holds, how far behind it is, what it waits for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from aiokafka import TopicPartition

from app.telemetry import metrics
from app.telemetry.bounds import BoundedLabel
from app.telemetry.lag import by_topic, tell_lag
from app.telemetry.stream import MOST_REASONS, kind_of


class RecorderHealth:
    """Told by the recorder, and looked at from its own loop, so nothing changes meanwhile."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._reasons = BoundedLabel(MOST_REASONS)
        self.positions: dict[TopicPartition, int] = {}
        """What is to be written next of each partition, where that is known."""
        self.ends: dict[TopicPartition, int] = {}
        """Where each partition ended when Kafka was last asked."""
        self.held: frozenset[TopicPartition] | None = None
        """The partitions that Kafka has given it; None while they change hands."""
        self.kafka: str | None = None
        """Why Kafka does not answer."""
        self.database: str | None = "its tables are not made yet"
        """Why the database does not take what is read."""

    def waits(self, reason: str | None) -> None:
        """The database says this; None: it takes what is read."""
        self.database = reason

    def lost(self, topic: str, records: int) -> None:
        """So many were deleted before they were recorded."""
        metrics.RECORDER_LOST.labels(self._name(topic)).inc(records)

    def dead_letters(self, letters: Iterable[tuple[str, str]]) -> None:
        """These were set aside: topic and reason."""
        for (topic, reason), n in Counter((topic, kind_of(reason)) for topic, reason in letters).items():
            metrics.RECORDER_ALL_DEAD_LETTERS.labels(self._name(topic)).inc(n)
            metrics.RECORDER_DEAD_LETTERS.labels(self._name(topic), self._reasons.of(reason)).inc(n)

    def look(self) -> None:
        """Set the gauges that are looked up."""
        metrics.RECORDER_READY.set(self._waits_for() is None)
        tell_lag(self._lag(), metrics.RECORDER_LAG, metrics.RECORDER_PARTITIONS)

    def state(self) -> tuple[bool, Mapping[str, object]]:
        """Whether it writes what it reads, and what `/ready` tells."""
        waits_for = self._waits_for()
        ready = waits_for is None
        return ready, {"status": "ready" if ready else "waiting", **by_topic(self._lag()), "waits_for": waits_for}

    def _waits_for(self) -> str | None:
        if self.database is not None:
            return f"the database: {self.database}"
        if self.kafka is not None:
            return f"Kafka: {self.kafka}"
        if self.held is None:
            return "Kafka: partitions change hands"
        if self.held - self.positions.keys():
            return "the database: where to read on from"
        return None

    def _lag(self) -> dict[tuple[str, int], int]:
        return {
            (self._name(tp.topic), tp.partition): max(0, self.ends.get(tp, position) - position)
            for tp, position in self.positions.items()
        }

    def _name(self, topic: str) -> str:
        return topic.removeprefix(self._prefix)
