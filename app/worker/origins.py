"""Origins of each partition's state: noted in the table with the state, and compared before reading goes on."""

from __future__ import annotations

from collections.abc import Collection, Mapping, MutableMapping

from aiokafka import TopicPartition
from faust.types import TP

from agents.agent import Agent, AgentDecorator
from agents.output import Output
from app.faust_batches.batch import Batch
from app.kafka.topic_watch import Origin, TopicWatch, decoded, encoded


class Origins:
    """Ids of the topics in the agents' tables, by the agents' names. Without a `watch` nothing is compared or noted."""

    def __init__(self, tables: Mapping[str, MutableMapping[str, bytes]], prefix: str) -> None:
        self._tables = tables
        self._prefix = prefix
        self._readers: dict[str, tuple[str, int]] = {}
        self._noted: set[tuple[str, int, int]] = set()
        self.watch: TopicWatch | None = None

    def forget(self, partitions: Collection[int]) -> None:
        """Forget partitions that change hands: another worker may have noted other origins."""
        self._noted = {noted for noted in self._noted if noted[2] not in partitions}

    def noting(self, agent: Agent) -> Agent:
        """Return an agent that notes the origin of a partition's state once, while it may write a table."""
        self._readers |= {topic.full_name(self._prefix): (agent.name, i) for i, topic in enumerate(agent.inputs)}
        return _Noting(agent, self)

    def note(self, agent: Agent, batch: Batch) -> None:
        """Note the origin of a partition's state, unless that was done."""
        name, number, partition = agent.name, agent.inputs.index(batch.topic), batch.partition
        if (name, number, partition) in self._noted or self.watch is None:
            return
        self._noted.add((name, number, partition))
        origin, key = self.watch.origin(batch.topic.full_name(self._prefix)), _key(number, partition)
        if origin is not None and self._tables[name].get(key) != (now := encoded(origin)):
            self._tables[name][key] = now

    async def verify(self, positions: Mapping[TP, int]) -> None:
        """Check partitions before they are read on from these offsets. Raises TopicError."""
        if self.watch is None:
            return
        saved: dict[TopicPartition, Origin | None] = {}
        positions = {tp: at for tp, at in positions.items() if tp.topic in self._readers}  # others have no table
        for tp in positions:
            name, number = self._readers[tp.topic]
            saved[_plain(tp)] = decoded(self._tables[name].get(_key(number, tp.partition)))
        await self.watch.verify({_plain(tp): at for tp, at in positions.items()}, saved)


class _Noting(AgentDecorator):
    def __init__(self, agent: Agent, origins: Origins) -> None:
        super().__init__(agent)
        self._origins = origins

    async def handle(self, batch: Batch, out: Output) -> None:
        await self._agent.handle(batch, out)
        self._origins.note(self._agent, batch)

    def forget(self, partitions: Collection[int]) -> None:
        self._agent.forget(partitions)
        self._origins.forget(partitions)


def _plain(tp: TP) -> TopicPartition:
    """Return aiokafka's own type, which is the key of its dictionaries."""
    return TopicPartition(tp.topic, tp.partition)


def _key(topic: int, partition: int) -> str:
    """Return a table's key. `topic`: its number among the agent's inputs. No key of an agent's own begins so."""
    return f"@origin {topic} {partition}"
