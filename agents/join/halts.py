"""Partitions halted by too many dead letters, noted in the join's table until the stream has passed the record."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from agents.join.store import JoinStore
from app.ingest.decoding import Rejected
from app.kafka.errors import WorkerHalted
from topics.registry import Topic


class TooManyDeadLetters(WorkerHalted):
    """More records cannot be read than the limit allows. No record of the batch is set aside or saved."""

    def __init__(self, topic: Topic, partition: int, first: Rejected) -> None:
        self.topic, self.partition, self.first = topic, partition, first
        super().__init__(f"{topic.name} partition {partition} offset {first.record.offset}: {first.reason}")


@dataclass(frozen=True, slots=True)
class Halt:
    """Halt of a partition of a source topic (its number) at an offset. `since`: seconds since the epoch.

    `last`: no other partition of the topic that this worker has is halted.
    """

    partition: int
    topic: int
    offset: int
    since: float
    last: bool


class Halts:
    """Halts of the partitions that a worker has."""

    def __init__(self, store: JoinStore) -> None:
        self._store = store
        self._known: dict[tuple[int, int], tuple[int, int]] = {}

    def note(self, partition: int, topic: int, offset: int, recorded: int) -> None:
        """Note that a partition is halted at a record that came at `recorded` (milliseconds since the epoch)."""
        self._store.set_halt(partition, topic, offset, recorded)

    def recover(self, partition: int, topics: Iterable[int]) -> None:
        """Read the noted halts of a partition."""
        for topic in topics:
            noted = self._store.halt(partition, topic)
            if noted is not None:
                self._known[partition, topic] = noted

    def forget(self, partition: int) -> None:
        """Forget a partition, which may be another worker's now."""
        for at in [at for at in self._known if at[0] == partition]:
            del self._known[at]

    def passed(self, partition: int, saved: Iterable[int]) -> Iterator[Halt]:
        """Yield the halts of a partition that are below its saved offsets (the next to read of each topic)."""
        for topic, following in enumerate(saved) if self._known else ():
            offset, recorded = self._known.get((partition, topic), (following, 0))
            if offset < following:
                others = [at for at in self._known if at[1] == topic and at[0] != partition]
                yield Halt(partition, topic, offset, recorded / 1000.0, last=not others)

    def release(self, stop: Halt) -> None:
        """Delete a halt: the stream has passed the record, and the alert is resolved."""
        del self._known[stop.partition, stop.topic]
        self._store.remove_halt(stop.partition, stop.topic)
