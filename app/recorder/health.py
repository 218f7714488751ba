"""Health of a recorder: assigned partitions, lag, and what it waits for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from aiokafka import TopicPartition

from app.telemetry import metrics
from app.telemetry.bounds import BoundedLabel
from app.telemetry.lag import by_topic, tell_lag
from app.telemetry.stream import MOST_REASONS, kind_of


class RecorderHealth:
    """State that the recorder updates. It is read in the recorder's own loop, so nothing changes meanwhile."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._reasons = BoundedLabel(MOST_REASONS)
        self.positions: dict[TopicPartition, int] = {}
        """The next offset to write of each partition, where it is known."""
        self.ends: dict[TopicPartition, int] = {}
        """The end of each partition at the last request to Kafka."""
        self.held: frozenset[TopicPartition] | None = None
        """The partitions that Kafka has assigned; None while partitions change hands."""
        self.kafka: str | None = None
        """Reason why Kafka does not respond; None where it does."""
        self.database: str | None = "its tables are not made yet"
        """Reason why the database does not take records; None where it does."""

    def waits(self, reason: str | None) -> None:
        """Note why the database does not take records; None: it takes them."""
        self.database = reason

    def lost(self, topic: str, records: int) -> None:
        """Count records that were deleted before they were recorded."""
        metrics.RECORDER_LOST.labels(self._name(topic)).inc(records)

    def dead_letters(self, letters: Iterable[tuple[str, str]]) -> None:
        """Count dead letters, each by its topic and reason."""
        for (topic, reason), n in Counter((topic, kind_of(reason)) for topic, reason in letters).items():
            metrics.RECORDER_ALL_DEAD_LETTERS.labels(self._name(topic)).inc(n)
            metrics.RECORDER_DEAD_LETTERS.labels(self._name(topic), self._reasons.of(reason)).inc(n)

    def look(self) -> None:
        """Update the gauges that are computed on request."""
        metrics.RECORDER_READY.set(self._waits_for() is None)
        tell_lag(self._lag(), metrics.RECORDER_LAG, metrics.RECORDER_PARTITIONS)

    def state(self) -> tuple[bool, Mapping[str, object]]:
        """Return whether the recorder writes what it reads, with the content of `/ready`."""
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
