"""Common interface of the agents: an agent takes batches of its topics and sends the results."""
# ruff: noqa: B027 - an agent overrides the hooks that it needs

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection

from agents.output import Output
from app.faust_batches.batch import Batch
from app.kafka.errors import WorkerHalted
from topics.registry import Topic


class Agent(ABC):
    """One step of the stream. An agent has one table that no other agent writes, and also runs without Kafka.

    `inputs`: the agent's topics; the batches of each partition come one after another. `name`: the name of the table.
    """

    name: str
    inputs: tuple[Topic, ...]

    async def prepare(self, partition: int) -> None:
        """Recover a partition from the table, so that `position` returns at once. Other work runs meanwhile."""

    @abstractmethod
    def position(self, topic: Topic, partition: int) -> int:
        """Return the offset to read a partition from, by the table; 0 before anything was applied.

        Raises StateLost where records were applied and the saved state is missing.
        """

    @abstractmethod
    async def handle(self, batch: Batch, out: Output) -> None:
        """Take a batch, or a tick, and send the results.

        Records are acknowledged before the table notes them as sent: a crash in between sends them again. Raises
        WorkerHalted where somebody has to decide before the stream may go on.
        """

    async def halted(self, error: WorkerHalted, out: Output) -> None:
        """Send what other processes have to know of the error by which this agent stops the worker."""

    async def pause(self) -> None:
        """Finish the work under way, before partitions change hands."""

    def forget(self, partitions: Collection[int]) -> None:
        """Drop the state of partitions that another worker may have now. The state is built again from the table."""

    def drain(self) -> None:
        """Save everything taken with every batch and every tick from now on."""

    @property
    def most_together(self) -> int:
        """Return the number of records up to which consecutive batches that wait are wanted as one; 0: each alone."""
        return 0

    @property
    def saved(self) -> bool:
        """Return whether everything taken is in the table."""
        return True


class AgentDecorator(Agent):
    """Agent that delegates to another agent and does something before or after."""

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
    def most_together(self) -> int:
        return self._agent.most_together

    @property
    def saved(self) -> bool:
        return self._agent.saved
