"""Agents whose batches are counted, timed and traced."""

from __future__ import annotations

from collections.abc import Collection

from agents.agent import Agent, AgentDecorator
from agents.output import Output
from app.faust_batches.batch import Batch
from app.telemetry.stream import StreamMetrics
from app.telemetry.tracing import BatchTraces


class MeasuredAgent(AgentDecorator):
    """Agent whose batches are counted and timed."""

    def __init__(self, agent: Agent, metrics: StreamMetrics) -> None:
        super().__init__(agent)
        self._metrics = metrics
        metrics.expect(agent.name, agent.inputs)

    async def handle(self, batch: Batch, out: Output) -> None:
        with self._metrics.handling(self.name, batch.topic, batch.partition, batch.records):
            await self._agent.handle(batch, out)


class TracedAgent(AgentDecorator):
    """Agent whose sent records carry the trace context of the records that led to them."""

    def __init__(self, agent: Agent, traces: BatchTraces) -> None:
        super().__init__(agent)
        self._traces = traces

    async def handle(self, batch: Batch, out: Output) -> None:
        with self._traces.handling(self.name, batch.partition, batch.records):
            await self._agent.handle(batch, out)

    def forget(self, partitions: Collection[int]) -> None:
        self._agent.forget(partitions)
        self._traces.forget(partitions)
