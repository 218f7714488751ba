"""The agents in one Faust app, with the views and the producer that they use."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import platform
import time
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

import msgspec
from aiokafka import TopicPartition
from faust.types import TP

from agents.alerts.agent import AlertsAgent
from agents.inferences.agent import InferencesAgent
from agents.join.agent import SOURCES, JoinAgent, TooManyDeadLetters
from agents.join.not_counted import IntakeMonitor
from agents.join.recent_counts import NotCountedThresholds
from agents.notify.agent import NotifyAgent
from agents.notify.setup import CurrentMuting, patience_of, routing_of
from agents.windows.agent import WindowsAgent
from app.alerting.events.self_monitoring import SELF, dead_letters_alert, dead_letters_over
from app.alerting.notify.channel import Channel
from app.alerting.notify.redelivered_table import RedeliveredTable
from app.alerting.silences.table import SilencesTable
from app.core.config.monitoring import Monitoring
from app.faust_batches.app import Handler, add_agent, make_app, make_table
from app.faust_batches.batch import BatchReach, Log
from app.faust_batches.quarantine import Quarantine
from app.faust_batches.watchdog import Watchdog
from app.ingest.dead_letter_limit import DeadLetterLimit
from app.ingest.decoding import Record
from app.kafka.client_options import consumer_options
from app.kafka.errors import BrokerUnavailable, StateLost, WorkerHalted
from app.kafka.producer import Producer
from app.processes.crash import FAILED, end_process
from app.registration.deployments_table import DeploymentsTable
from app.registration.effective_monitoring import EffectiveMonitoring
from app.registration.models_table import ModelsTable
from app.registration.versions_table import Registered, VersionsTable
from app.settings.settings import Settings
from app.telemetry import tracing
from app.telemetry.stream import StreamMetrics
from app.worker.health import WorkerHealth
from app.worker.origins import Origins
from app.worker.output import KafkaOutput
from app.worker.self_report import SelfReport
from app.worker.successor import Successor
from topics.events import IntakeReport, MonitorReport
from topics.partition import partition_of
from topics.registry import ALERTS, FEEDBACK, INFERENCES, PANES, PREDICTIONS, REPORTS, Topic

log = logging.getLogger(__name__)

AGENTS = ("inferences", "join", "windows", "alerts", "notify")
"""By the names of their tables."""
SETTLE_SECONDS = 1.5
"""Before partitions change hands notifications that are being sent have so long to be recorded."""
DRAIN_SECONDS = 3.0
"""To apply and save what the agents have been given."""
TELL_SECONDS = 10.0
"""To tell of an alert before the worker that raises it is gone."""


class WorkerAgents:
    """Everything that a worker process holds, wired once."""

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
    ) -> None:
        """`successor`: what is left of the prefix is joined for that one, and nothing is judged, or notified, here."""
        self.settings = settings
        self._drains = successor is not None
        self.producer = producer
        self._models = models
        self.watching = EffectiveMonitoring(settings, models)
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
        self.outlet = KafkaOutput(settings, producer, self.metrics, self.monitor, successor)
        thresholds = NotCountedThresholds(
            settings.dead_letter_window, settings.dead_letter_share, settings.unregistered_share,
            settings.unmatched_share,
        )  # fmt: skip
        self.intake = IntakeMonitor(tables["join"], settings.group, models.profile_id, thresholds=thresholds)
        self.inferences = InferencesAgent(
            tables["inferences"], self._features, models.catch_up, seconds=settings.pairing_seconds,
            most_bytes=settings.pairing_mib << 20, checkpoint_seconds=settings.checkpoint_seconds,
            log_of=self._log_of_inferences, counted=self.metrics.halves,
        )  # fmt: skip
        self.join = JoinAgent(
            tables["join"], models, checkpoint_seconds=settings.checkpoint_seconds, alive=self.watchdog.alive,
            log_of=self._log_of, limit=self._limit if settings.dead_letter_stop else None,
            partitions=settings.partitions, rekey=self._rekey, intake=self.intake,
            pass_on=self.outlet.pass_on if self._drains else None,
        )  # fmt: skip
        self.windows = WindowsAgent(
            tables["windows"], models.get, partitions=settings.partitions, reissue_seconds=settings.reissue_seconds,
            reported=self.metrics.reported, delete=self.outlet.delete_panes, saved=self._saved,
        )  # fmt: skip
        self.alerts = AlertsAgent(
            tables["alerts"], self._monitoring, catch_up=models.catch_up, page=settings.page,
            lives=Registered(versions, models.registered_at),
            with_values=settings.alert_values, deployments=deployments,
        )  # fmt: skip
        self.standing = WorkerHealth(
            self.app,
            settings,
            self.metrics,
            self.join,
            self.alerts,
            self.intake,
            self.inferences,
            self.windows.caught_up,
        )
        self.notify = NotifyAgent(
            tables["notify"], self._monitoring, channels,
            routing=routing_of(settings), muting=CurrentMuting(settings, silences), patience=patience_of(settings),
            saved=self._saved, redelivered=redelivered.heard, take_back=self.outlet.take_back,
            flapping_per_hour=settings.flapping_per_hour, digest_above=settings.digest_above,
        )  # fmt: skip
        self._bind()

    def _table(self, name: str) -> MutableMapping[str, bytes]:
        """The table of an agent; of one that does not run here nothing is read."""
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

    def _log_of(self, partition: int, topic: int) -> Log | None:
        return self._log(SOURCES[topic], partition)

    def _log_of_inferences(self, partition: int) -> Log | None:
        return self._log(INFERENCES, partition)

    def _log(self, topic: Topic, partition: int) -> Log | None:
        found: Log | None = self.app.consumer.log_of(TP(topic.full_name(self.settings.prefix), partition))
        return found

    def _limit(self, recent: Sequence[int]) -> DeadLetterLimit:
        accepted_until = round(self._started_at * 1000) if self.settings.accept_dead_letters else None
        return DeadLetterLimit(
            self.settings.dead_letter_share, self.settings.dead_letter_window, recent, accepted_until
        )

    async def _rekey(self, topic: int, partition: int, records: Sequence[Record]) -> None:
        await self.outlet.rekey(SOURCES[topic], partition, records)

    def _bind(self) -> None:
        app, settings = self.app, self.settings
        quarantine = Quarantine(settings.state_dir / "quarantine.json")

        def add(
            name: str, topics: list[Topic], position: Callable[[TP, int], int], handle: Handler, **more: Any
        ) -> None:
            measured = self.metrics.measured(name, topics, handle)
            traced = tracing.remembering(measured) if name == "notify" else self.traces.traced(name, measured)
            add_agent(
                app, settings, quarantine, name, topics, position, self.origins.noting(name, topics, traced), **more
            )

        def kept(position: Callable[[TP, int], int]) -> Callable[[TP, int], int]:
            def found(tp: TP, number: int) -> int:
                try:
                    return position(tp, number)
                except StateLost as lost:
                    end_process(os.EX_CONFIG, where=False)(str(lost))
                    raise

            return found

        join_position = kept(lambda tp, number: self.join.position(tp.partition, number))
        add("inferences", [INFERENCES], kept(lambda tp, _: self.inferences.position(tp.partition)), self._inferences)
        add("join", [PREDICTIONS, FEEDBACK], join_position, self._join, held=self._held)
        if self._drains:
            self._follow_partitions()
            return
        add("windows", [PANES], lambda tp, _: self.windows.position(tp.partition), self._windows)
        add("alerts", [REPORTS], lambda tp, _: self.alerts.position(tp.partition) or 0, self._alerts)
        add("notify", [ALERTS], lambda tp, _: self.notify.position(tp.partition) or 0, self._notify)
        self._follow_partitions()

    def _follow_partitions(self) -> None:
        """Drop what was made of partitions when they change hands; recover those that come in slices."""
        transport = self.app.transport
        transport.on_kept = self._forget_all_but
        transport.prepare = self._prepare
        transport.before_revoked = self._settle

    async def _settle(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.notify.pause(), SETTLE_SECONDS)

    async def _prepare(self, tp: TP) -> None:
        prefix = self.settings.prefix
        if tp.topic == PREDICTIONS.full_name(prefix):
            await self.join.prepare(tp.partition)
        elif tp.topic == ALERTS.full_name(prefix):
            await self.notify.prepare(tp.partition)

    def held(self) -> dict[TopicPartition, int]:
        """The next offset to apply of each partition that this worker has."""
        consumer = self.app._consumer
        held = {} if consumer is None else dict(consumer.held)
        return {TopicPartition(tp.topic, tp.partition): at for tp, at in held.items()}

    def _forget_all_but(self, kept: frozenset[int]) -> None:
        """Drop what was made of all partitions but those that have stayed: others may have them now."""
        gone = frozenset(range(self.settings.partitions)) - kept
        self.origins.forget(gone)
        self.inferences.forget(gone)
        self.join.forget(gone)
        self.windows.forget(gone)
        self.notify.forget(gone)
        self.monitor.forget(gone)
        self.intake.forget(gone)
        self.metrics.forget(gone, lambda model, version: self._is_of(model, version, gone))
        self.traces.forget(gone)

    def _is_of(self, model: str, version: str, partitions: frozenset[int]) -> bool:
        """Whether a model version is judged in one of these partitions."""
        return partition_of(model, version, self.settings.partitions) in partitions

    async def _inferences(self, partition: int, topic: int, run: list[Any], reach: BatchReach) -> None:
        await self.inferences.handle(
            partition, run, self.outlet.publish_predictions, self.outlet.reject_of(INFERENCES, partition),
            caught_up=reach.at_end, following=reach.following,
        )  # fmt: skip
        self._read(INFERENCES, partition, run, reach)

    def _read(self, topic: Topic, partition: int, run: list[Any], reach: BatchReach) -> None:
        """Note for the monitor how far a partition is read."""
        end = self.app.consumer.highwater(TP(topic.full_name(self.settings.prefix), partition))
        self.monitor.read(topic.name, partition, run, end, reach.following)

    async def _join(self, partition: int, topic: int, run: list[Any], reach: BatchReach) -> None:
        self.metrics.joining(partition, run)
        reject = self.outlet.reject_of(SOURCES[topic], partition)
        await self.join.handle(
            partition, topic, run, self.outlet.publish_panes, reject, caught_up=reach.at_end, following=reach.following
        )
        await self._tell_passed(partition)
        self._read(SOURCES[topic], partition, run, reach)
        report = self.monitor.due()
        if report is not None:
            await self._report(report, f"monitor/{report.worker}")
        for one in self.intake.due(partition, topic, self.join.waiting_of(partition)):
            await self._report(one, f"intake/{one.topic}/{one.partition}")
            self.metrics.intake(one)

    async def _report(self, report: MonitorReport | IntakeReport, of: str) -> None:
        """Publish a report that no window has led to, to the partition of its model version."""
        with tracing.aside():
            await self.outlet.publish_aside(report, of)

    async def _tell_passed(self, partition: int) -> None:
        """Resolve the alert that the stream stands still, once it does not."""
        for stop in self.join.passed(partition):
            if stop.last:
                name, now = SOURCES[stop.topic].name, datetime.now(UTC)
                over = dead_letters_over(name, stop.partition, stop.offset, stop.since, now)
                log.warning("%s. %s", over.title, over.message)
                await self.outlet.publish(ALERTS, over.fingerprint.encode(), msgspec.json.encode(over), None)
            self.join.release(stop)

    async def _windows(self, partition: int, topic: int, run: list[Any], reach: BatchReach) -> None:
        self.metrics.judging(run)
        reject = self.outlet.reject_of(PANES, partition)
        await self.windows.handle(partition, run, self.outlet.publish_reports, reject, caught_up=reach.at_end)

    async def _alerts(self, partition: int, topic: int, run: list[Any], reach: BatchReach) -> None:
        if run:
            await self.alerts.handle(partition, run, self.outlet.publish, self.outlet.reject_of(REPORTS, partition))
        await self.alerts.tidy(
            partition, partial(self._is_gone, partition), self.outlet.publish, partial(self._is_mine, partition)
        )

    def _is_mine(self, partition: int, model: str, version: str) -> bool:
        return partition_of(model, version, self.settings.partitions) == partition

    def _is_gone(self, partition: int, model: str, version: str) -> bool:
        """Whether a model version of this partition of `panes` and `reports` is registered no more."""
        mine = partition_of(model, version, self.settings.partitions) == partition
        return mine and model != SELF and not self._models.is_registered(model, version)

    async def _notify(self, partition: int, topic: int, run: list[Any], reach: BatchReach) -> None:
        await self.notify.handle(partition, run, self.outlet.publish, self.outlet.reject_of(ALERTS, partition))

    async def _held(self, held: WorkerHalted) -> None:
        """Raise an alert that the stream stands still, and leave it a moment to be told by whoever notifies."""
        if not isinstance(held, TooManyDeadLetters):
            return
        record = held.first.record
        alert = dead_letters_alert(
            held.topic.name, held.partition, record.offset, record.timestamp / 1000.0,
            held.first.reason, self.settings.dead_letter_share, self.settings.dead_letter_window, datetime.now(UTC),
        )  # fmt: skip
        log.critical("%s. %s", alert.title, alert.message)
        try:
            async with asyncio.timeout(TELL_SECONDS):
                await self._saved()  # where it stopped, so that the worker that passes it can say so
                await self.outlet.publish(ALERTS, alert.fingerprint.encode(), msgspec.json.encode(alert), None)
                while not self.notify.knows(alert):  # noqa: ASYNC110 - the agent tells nobody
                    await asyncio.sleep(0.05)
                await self.app.producer.flush()
        except (TimeoutError, BrokerUnavailable) as error:
            log.warning("the alert is told by another worker, or by the next: %r", error)

    async def _saved(self) -> None:
        """Return once all that was written to tables is in their changelogs."""
        producer = self.app.producer
        await producer.flush()
        while producer.buffer.size:  # its flush gives up when nothing was sent for a moment
            await producer.flush()
        await asyncio.sleep(0)
        await producer.flush()

    async def drain(self) -> None:
        """Take nothing more, and save what was taken, so that the next worker finds nothing to do again."""
        consumer = self.app.consumer
        consumer.draining = True
        self.inferences.drain()
        self.join.drain()
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                while consumer.unfinished or not (self.join.saved and self.inferences.saved):  # noqa: ASYNC110 - the agents tell nobody
                    await asyncio.sleep(0.02)
                await consumer.commit_applied()
        except TimeoutError:
            log.warning("not all that was taken could be saved in %g s: it is read again", DRAIN_SECONDS)
