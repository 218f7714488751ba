"""Wiring of the agents in one Faust app, with the global tables and the producer that they use."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from functools import partial

from aiokafka import TopicPartition
from faust.types import TP

from agents.agent import Agent
from agents.alerts.agent import AlertsAgent
from agents.inferences.agent import InferencesAgent
from agents.join.agent import JoinAgent
from agents.join.halt_alerts import HaltAlerts
from agents.join.not_counted import IntakeMonitor
from agents.join.recent_counts import NotCountedThresholds
from agents.join.store import JoinStore
from agents.notify.agent import NotifyAgent
from agents.notify.setup import CurrentMuting, patience_of, routing_of
from agents.sources.agent import SourceAgent
from agents.windows.agent import WindowsAgent
from app.alerting.events.self_monitoring import SELF
from app.alerting.notify.channel import Channel
from app.alerting.notify.redelivered_table import RedeliveredTable
from app.alerting.silences.table import SilencesTable
from app.core.config.monitoring import Monitoring
from app.faust_batches.app import add_agent, make_app, make_table
from app.faust_batches.batch import Log
from app.faust_batches.quarantine import Quarantine
from app.faust_batches.watchdog import Watchdog
from app.ingest.dead_letter_limit import DeadLetterLimit
from app.kafka.client_options import consumer_options
from app.kafka.errors import StateLost
from app.kafka.producer import Producer
from app.processes.crash import FAILED, end_process
from app.references.learning import Learner
from app.registration.deployments_table import DeploymentsTable
from app.registration.effective_monitoring import EffectiveMonitoring
from app.registration.models_table import ModelsTable
from app.registration.versions_table import Registered, VersionsTable
from app.settings.secrets import hash_key_of
from app.settings.settings import Settings
from app.sources.hiding import SourceHiding
from app.sources.source import EventSource, by_topic
from app.telemetry import tracing
from app.telemetry.stream import StreamMetrics
from app.worker.health import WorkerHealth
from app.worker.instrumented import MeasuredAgent, TracedAgent
from app.worker.origins import Origins
from app.worker.output import KafkaOutput
from app.worker.self_report import SelfReport, SelfReporting
from app.worker.successor import Successor
from topics.partition import partition_of
from topics.registry import FEEDBACK, INFERENCES, PANES, PREDICTIONS, REPORTS, Topic

log = logging.getLogger(__name__)

AGENTS = ("inferences", "join", "windows", "alerts", "notify")
"""The agents, by the names of their tables."""
SETTLE_SECONDS = 1.5
"""Seconds before a rebalance in which notifications under way are recorded."""
DRAIN_SECONDS = 3.0
"""Seconds to apply and save the batches that the agents have."""


class WorkerAgents:
    """Objects of a worker process, wired once."""

    def __init__(  # noqa: PLR0913, PLR0917 (a worker reads that many topics)
        self,
        settings: Settings,
        producer: Producer,
        models: ModelsTable,
        silences: SilencesTable,
        redelivered: RedeliveredTable,
        channels: Mapping[str, Channel],
        versions: VersionsTable,
        deployments: DeploymentsTable,
        successor: Successor | None = None,
        sources: Sequence[EventSource] = (),
    ) -> None:
        """Create the agents. `successor`: the prefix to join the rest for; then nothing is judged or notified here."""
        self.settings = settings
        self._drains = successor is not None
        self.producer = producer
        self._models = models
        self.watching = EffectiveMonitoring(settings, models)
        lives = Registered(versions, models.registered_at)
        self._of_itself = self.watching.of(SELF, Monitoring(), {})
        self.app = make_app(settings)
        tables = {name: self._table(name) for name in AGENTS}
        watched = [topic.full_name(settings.prefix) for topic in (INFERENCES, PREDICTIONS, FEEDBACK, PANES, REPORTS)]
        self.watchdog = Watchdog(
            self.app, consumer_options(settings), watched, settings.stall_seconds, end_process(FAILED)
        )
        self.origins = Origins(tables, settings.prefix)
        self.app.transport.verify = self.origins.verify
        self._started_at = time.time()
        self.metrics = StreamMetrics()
        self.traces = tracing.BatchTraces()
        self.monitor = SelfReport(
            settings.group, f"{platform.node()}:{os.getpid()}", every=settings.monitor_seconds, drains=self._drains
        )
        output = partial(KafkaOutput, metrics=self.metrics, monitor=self.monitor)
        self._out = output(producer, settings.prefix, settings.partitions)
        self._next = None if successor is None else output(successor.producer, settings.prefix, successor.partitions)
        thresholds = NotCountedThresholds(
            settings.dead_letter_window, settings.dead_letter_share, settings.unregistered_share,
            settings.unmatched_share,
        )  # fmt: skip
        self.intake = IntakeMonitor(
            JoinStore(tables["join"]),
            settings.group,
            models.profile_id,
            thresholds=thresholds,
            reported=self.metrics.intake,
        )
        self.notify = NotifyAgent(
            tables["notify"], self._monitoring, channels,
            routing=routing_of(settings, channels), muting=CurrentMuting(settings, silences),
            patience=patience_of(settings), saved=self._saved, redelivered=redelivered.heard,
            flapping_per_hour=settings.flapping_per_hour, digest_above=settings.digest_above,
        )  # fmt: skip
        halt_alerts = HaltAlerts(
            settings.dead_letter_share, settings.dead_letter_window,
            saved=self._saved, is_notified=self.notify.knows,
        )  # fmt: skip
        self.inferences = InferencesAgent(
            tables["inferences"], self._features, models.catch_up, seconds=settings.pairing_seconds,
            most_bytes=settings.pairing_mib << 20, checkpoint_seconds=settings.checkpoint_seconds,
            log_of=self._log_of, counted=self.metrics.halves,
        )  # fmt: skip
        self.join = JoinAgent(
            tables["join"], models, checkpoint_seconds=settings.checkpoint_seconds, alive=self.watchdog.alive,
            log_of=self._log_of, limit=self._limit if settings.dead_letter_stop else None,
            partitions=settings.partitions, rekey=self._out.rekey, intake=self.intake, successor=self._next,
            halt_alerts=halt_alerts, published=self.metrics.panes,
            learns=lambda model, version: lives.learns(model, version) is not None,
        )  # fmt: skip
        self.windows = WindowsAgent(
            tables["windows"], models.get, partitions=settings.partitions, reissue_seconds=settings.reissue_seconds,
            reported=self.metrics.reported, saved=self._saved,
        )  # fmt: skip
        self.alerts = AlertsAgent(
            tables["alerts"], self._monitoring, catch_up=models.catch_up, page=settings.page,
            lives=lives, with_values=settings.alert_values,
            partitions=settings.partitions, is_registered=models.is_registered, deployments=deployments,
        )  # fmt: skip
        self.standing = WorkerHealth(
            self.app, settings, self.metrics, self.join, self.alerts, self.intake, self.inferences,
            self.windows.caught_up,
        )  # fmt: skip
        hiding = SourceHiding(models, hash_key_of(settings))
        mapping = [
            SourceAgent(group, self._log_of, hiding, counted=self.metrics.mapped)
            for group in by_topic(() if self._drains else sources)
        ]
        self.learner = Learner(settings, producer, lives, models, self._judges, self.metrics.learned)
        self.agents = [*map(self.origins.noting, self._agents()), *map(self._traced, mapping)]
        self._bind()

    def _agents(self) -> Iterator[Agent]:
        """Yield the agents that run here, in the order of the stream; for a drained prefix, only up to the join."""
        reporting = partial(SelfReporting, monitor=self.monitor, end_of=self._end_of)
        yield self._traced(reporting(self.inferences))
        yield self._traced(reporting(self.join, reports=True, to=self._next))
        if not self._drains:
            yield self._traced(self.windows)
            yield self._traced(self.alerts)
            yield MeasuredAgent(self.notify, self.metrics)

    def _traced(self, agent: Agent) -> Agent:
        return TracedAgent(MeasuredAgent(agent, self.metrics), self.traces)

    def _bind(self) -> None:
        """Give each agent its topics. Recover and forget partitions with their assignment."""
        quarantine = Quarantine(self.settings.state_dir / "quarantine.json")
        for agent in self.agents:
            add_agent(
                self.app, self.settings, quarantine, agent.name, agent.inputs, _position_of(agent),
                partial(agent.handle, out=self._out), halted=partial(agent.halted, out=self._out),
                stateless=agent.name not in AGENTS, most_together=partial(getattr, agent, "most_together"),
            )  # fmt: skip
        transport = self.app.transport
        transport.on_kept = self._forget_all_but
        transport.prepare = self._prepare
        transport.before_revoked = self._settle

    def _table(self, name: str) -> MutableMapping[str, bytes]:
        """Return the table of an agent; an empty mapping for one that does not run here."""
        if self._drains and name not in {"inferences", "join"}:
            return {}
        table: MutableMapping[str, bytes] = make_table(self.app, name, self.settings.partitions)
        return table

    def _monitoring(self, model: str, version: str) -> Monitoring | None:
        found = self.watching.get(model, version)
        return self._of_itself if found is None and model == SELF else found  # of a group that drains a prefix, too

    def _features(self, model: str, version: str) -> Sequence[str] | None:
        found = self._models.get(model, version)
        return None if found is None else [column.name for column in found.profile.features]

    def _log_of(self, topic: Topic, partition: int) -> Log | None:
        found: Log | None = self.app.consumer.log_of(TP(topic.full_name(self.settings.prefix), partition))
        return found

    def _end_of(self, topic: Topic, partition: int) -> int | None:
        end: int | None = self.app.consumer.highwater(TP(topic.full_name(self.settings.prefix), partition))
        return end

    def _limit(self, recent: Sequence[int]) -> DeadLetterLimit:
        accepted_until = round(self._started_at * 1000) if self.settings.accept_dead_letters else None
        return DeadLetterLimit(
            self.settings.dead_letter_share, self.settings.dead_letter_window, recent, accepted_until
        )

    async def _settle(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(*(agent.pause() for agent in self.agents)), SETTLE_SECONDS)

    async def _prepare(self, tp: TP) -> None:
        for agent in self.agents:
            if tp.topic == agent.inputs[0].full_name(self.settings.prefix):
                await agent.prepare(tp.partition)

    def held(self) -> dict[TopicPartition, int]:
        """Return the next offset to apply of each assigned partition."""
        consumer = self.app._consumer
        held = {} if consumer is None else dict(consumer.held)
        return {TopicPartition(tp.topic, tp.partition): at for tp, at in held.items()}

    def _forget_all_but(self, kept: frozenset[int]) -> None:
        """Drop the state of all partitions but those that have stayed: other workers may have them now."""
        gone = frozenset(range(self.settings.partitions)) - kept
        for agent in self.agents:
            agent.forget(gone)
        self.metrics.forget(gone, lambda model, version: self._is_of(model, version, gone))

    def _judges(self, model: str, version: str) -> bool:
        """Return whether this worker judges a model version: it has its partition of the panes, read to the end."""
        return self.windows.caught_up(partition_of(model, version, self.settings.partitions))

    def _is_of(self, model: str, version: str, partitions: frozenset[int]) -> bool:
        """Return whether a model version is judged in one of these partitions."""
        return partition_of(model, version, self.settings.partitions) in partitions

    async def _saved(self) -> None:
        """Return once everything written to tables is in their changelogs."""
        producer = self.app.producer
        await producer.flush()
        while producer.buffer.size:  # its flush gives up when nothing was sent for a moment
            await producer.flush()
        await asyncio.sleep(0)
        await producer.flush()

    async def drain(self) -> None:
        """Take no more batches, and save everything taken, so that the next worker has nothing to do again."""
        consumer = self.app.consumer
        consumer.draining = True
        for agent in self.agents:
            agent.drain()
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                while consumer.unfinished or not all(agent.saved for agent in self.agents):  # noqa: ASYNC110 - no event
                    await asyncio.sleep(0.02)
                await consumer.commit_applied()
        except TimeoutError:
            log.warning("not all that was taken could be saved in %g s: it is read again", DRAIN_SECONDS)


def _position_of(agent: Agent) -> Callable[[Topic, int], int]:
    """Return an agent's `position`, which ends the process where the saved state is lost."""

    def position(topic: Topic, partition: int) -> int:
        try:
            return agent.position(topic, partition)
        except StateLost as lost:
            end_process(os.EX_CONFIG, where=False)(str(lost))
            raise

    return position
