"""What each partition's state was made of: noted in the table beside the state, and compared before it is read on."""

from __future__ import annotations

from collections.abc import Collection, Mapping, MutableMapping, Sequence
from typing import Any

from aiokafka import TopicPartition
from faust.types import TP

from app.faust_batches.app import Handler
from app.faust_batches.batch import BatchReach
from app.kafka.topic_watch import Origin, TopicWatch, decoded, encoded
from topics.registry import Topic


class Origins:
    """The topics' ids in the agents' tables, by the agents' names. Without a `watch` nothing is compared or noted."""

    def __init__(self, tables: Mapping[str, MutableMapping[str, bytes]], prefix: str) -> None:
        self._tables = tables
        self._prefix = prefix
        self._readers: dict[str, tuple[str, int]] = {}
        self._noted: set[tuple[str, int, int]] = set()
        self.watch: TopicWatch | None = None

    def forget(self, partitions: Collection[int]) -> None:
        """Partitions change hands: another worker may have noted what it found."""
        self._noted = {noted for noted in self._noted if noted[2] not in partitions}

    def noting(self, name: str, topics: Sequence[Topic], handle: Handler) -> Handler:
        """The same handler, which notes once of what a partition's state is made: there a table may be written."""
        names = [topic.full_name(self._prefix) for topic in topics]
        self._readers |= {full_name: (name, number) for number, full_name in enumerate(names)}

        async def noting(partition: int, topic: int, run: list[Any], reach: BatchReach) -> None:
            await handle(partition, topic, run, reach)
            if (name, topic, partition) not in self._noted and self.watch is not None:
                self._noted.add((name, topic, partition))
                self._note(self.watch, names[topic], name, topic, partition)

        return noting

    def _note(self, watch: TopicWatch, full_name: str, name: str, topic: int, partition: int) -> None:
        origin, key = watch.origin(full_name), _key(topic, partition)
        if origin is not None and self._tables[name].get(key) != (now := encoded(origin)):
            self._tables[name][key] = now

    async def verify(self, positions: Mapping[TP, int]) -> None:
        """Check partitions before they are read on from these offsets. Raises TopicError."""
        if self.watch is None:
            return
        saved: dict[TopicPartition, Origin | None] = {}
        for tp in positions:
            name, number = self._readers[tp.topic]
            saved[_plain(tp)] = decoded(self._tables[name].get(_key(number, tp.partition)))
        await self.watch.verify({_plain(tp): at for tp, at in positions.items()}, saved)


def _plain(tp: TP) -> TopicPartition:
    """aiokafka's own, which its dictionaries are keyed by."""
    return TopicPartition(tp.topic, tp.partition)


def _key(topic: int, partition: int) -> str:
    """A table's key; `topic`: its number among the agent's. No key of an agent's own begins so."""
    return f"@origin {topic} {partition}"
