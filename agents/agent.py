"""The steps of the stream have one form: an agent takes batches of its topics and sends what comes of them."""
# ruff: noqa: B027 - an agent overrides the hooks that it needs

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection

from agents.output import Output
from app.faust_batches.batch import Batch
from app.kafka.errors import WorkerHalted
from topics.registry import Topic


class Agent(ABC):
    """One step of the stream. It has one table, which nobody else writes, and runs without Kafka too.

    `inputs`: its topics, of which each partition's batches come one after another. `name`: of its table.
    """

    name: str
    inputs: tuple[Topic, ...]

    async def prepare(self, partition: int) -> None:
        """Recover a partition from the table, so that its `position` is there at once. Others run meanwhile."""

    @abstractmethod
    def position(self, topic: Topic, partition: int) -> int:
        """Return the offset to read a partition from, by the table; 0 before anything was applied.

        Raises StateLost where it was applied and the state is gone.
        """

    @abstractmethod
    async def handle(self, batch: Batch, out: Output) -> None:
        """Take a batch, or a tick, and send what comes of it.

        What is sent is acknowledged before the table says that it was: a crash in between sends it again. Raises Held
        where somebody has to decide before the stream may go on.
        """

    async def halted(self, error: WorkerHalted, out: Output) -> None:
        """Send what others have to know of the error by which this agent stops the worker."""

    async def pause(self) -> None:
        """Finish what is under way, before partitions change hands."""

    def forget(self, partitions: Collection[int]) -> None:
        """Drop what is held of partitions that another worker may have now: it is built again from the table."""

    def drain(self) -> None:
        """From now on, save all that is taken with every batch and every tick."""

    @property
    def saved(self) -> bool:
        """Return whether all that was taken is in the table."""
        return True


class AgentDecorator(Agent):
    """An agent that does what another one does, and something before or after it."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self.name, self.inputs = agent.name, agent.inputs

    async def prepare(self, partition: int) -> None:
        await self._agent.prepare(partition)

    def position(self, topic: Topic, partition: int) -> int:
        return self._agent.position(topic, partition)

    async def handle(self, batch: Batch, out: Output) -> None:
        await self._agent.handle(batch, out)

    async def halted(self, error: WorkerHalted, out: Output) -> None:
        await self._agent.halted(error, out)

    async def pause(self) -> None:
        await self._agent.pause()

    def forget(self, partitions: Collection[int]) -> None:
        self._agent.forget(partitions)

    def drain(self) -> None:
        self._agent.drain()

    @property
    def saved(self) -> bool:
        return self._agent.saved
