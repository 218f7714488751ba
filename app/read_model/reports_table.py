"""Reports and alerts of all model versions, read from their topics and kept in memory, bounded."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

import msgspec
from aiokafka.errors import KafkaError

from app.alerting.events.external import EXTERNAL
from app.kafka.client_options import consumer_options
from app.kafka.consumer import Consumer
from app.kafka.errors import BrokerUnavailable, Unreadable, words_of
from app.read_model.changes import Changes
from app.read_model.report_store import ReportStore
from app.read_model.workers import Workers
from app.settings.settings import Settings
from topics.events import AlertEvent, AnyReport, DriftReport, IntakeReport, MonitorReport, PerformanceReport
from topics.registry import ALERTS, REPORTS

log = logging.getLogger(__name__)

MAX_ALERTS = 500
KEPT_SECONDS = max(REPORTS.retention_days, ALERTS.retention_days) * 86_400
"""Seconds that a version's reports and alerts are kept after its newest one: the longest retention of the topics."""
MAX_RECORDS = 500
"""Records decoded at a time, so that requests are served in between."""
ANSWER_SECONDS = 10.0


@dataclass(slots=True)
class ModelReports:
    """Reports and alerts of one model version. `alerts`: the newest transition of each alert."""

    drift: ReportStore[DriftReport] = field(default_factory=ReportStore)
    performance: ReportStore[PerformanceReport] = field(default_factory=ReportStore)
    alerts: dict[tuple[str, datetime], AlertEvent] = field(default_factory=dict)
    newest: float = 0.0
    """Arrival of the newest report or alert, in seconds of a monotonic clock."""

    @property
    def realised(self) -> PerformanceReport | None:
        """Return the newest performance report with enough feedback to judge; without one, the newest of all."""
        return self.performance.judged or self.performance.latest

    @property
    def firing(self) -> list[AlertEvent]:
        """Return the alerts that fire now."""
        return [alert for alert in self.alerts.values() if alert.status == "firing"]

    def alert(self, alert: AlertEvent) -> bool:
        """Add a transition. Return False where a newer one is known, or the same alert was sent twice."""
        key = (alert.fingerprint, alert.started_at)
        known = self.alerts.get(key)
        if known is not None and known.emitted_at > alert.emitted_at:
            return False
        if known is None and alert.rule == EXTERNAL and self._has(alert.alert_id):
            return False  # sent twice at the same moment, by two processes
        self.alerts[key] = alert
        if len(self.alerts) > MAX_ALERTS:
            del self.alerts[self._to_forget()]
        return True

    def _has(self, alert_id: str) -> bool:
        return any(one.alert_id == alert_id for one in self.alerts.values())

    def _to_forget(self) -> tuple[str, datetime]:
        return min(self.alerts, key=lambda key: (self.alerts[key].status == "firing", key[1]))


class ReportsTable:
    """Reports and alerts by model and version.

    Reads without a consumer group, from the beginning of what is retained.
    """

    def __init__(self, settings: Settings, changes: Changes, now: Callable[[], float] = time.monotonic) -> None:
        self._changes = changes
        self._now = now
        self._options = consumer_options(settings)
        self._servers = self._options["bootstrap_servers"]
        self._reports, self._alerts = (topic.full_name(settings.prefix) for topic in (REPORTS, ALERTS))
        self._report: msgspec.json.Decoder[AnyReport] = msgspec.json.Decoder(AnyReport)
        self._alert = msgspec.json.Decoder(AlertEvent)
        self._consumer: Consumer | None = None
        self._tail: asyncio.Task[None] | None = None
        self._read_once = asyncio.Event()
        self.workers = Workers(settings.silent_seconds)
        self.findings: dict[tuple[str, str], ModelReports] = {}
        self.revision = 0
        """Number that rises with every added report or alert."""

    def of(self, model: str, version: str) -> ModelReports:
        """Return the reports and alerts of a model version, empty where there are none."""
        return self.findings.get((model, version)) or ModelReports()

    async def start(self) -> None:
        """Load the retained records, then follow the topics. Raises BrokerUnavailable."""
        self.workers.live = False
        consumer = self._consumer = Consumer(
            self._reports, self._alerts, group_id=None,
            **self._options, enable_auto_commit=False, auto_offset_reset="earliest",
            max_partition_fetch_bytes=REPORTS.max_message_bytes, request_timeout_ms=int(ANSWER_SECONDS * 1000),
        )  # fmt: skip
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await consumer.start()
            for partition, end in (await consumer.end_offsets(consumer.assignment())).items():
                while await consumer.position(partition) < end:
                    await self._read(consumer)
        except (KafkaError, OSError, TimeoutError) as error:
            await self.stop()
            raise BrokerUnavailable(f"no Kafka answers at {self._servers}") from error
        except BaseException:
            await self.stop()
            raise
        self.workers.live = True
        self._tail = asyncio.create_task(self._follow(consumer), name="reports view")

    async def stop(self) -> None:
        """Stop following the topics; the loaded reports and alerts stay."""
        tail, self._tail = self._tail, None
        if tail is not None:
            tail.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await tail
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await consumer.stop()

    async def check(self) -> None:
        """Raise BrokerUnavailable where the topics are no longer followed, Unreadable where a record is the cause."""
        if self._tail is None or self._tail.done():
            error = None if self._tail is None or self._tail.cancelled() else self._tail.exception()
            if isinstance(error, Unreadable):
                raise error
            raise BrokerUnavailable(f"{self._reports} and {self._alerts} are no longer read")

    async def catch_up(self) -> None:
        """Return once every alert that is in Kafka now has been read. Raises BrokerUnavailable, Unreadable."""
        await self.check()
        consumer = self._consumer
        assert consumer is not None
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                ends = await consumer.end_offsets([tp for tp in consumer.assignment() if tp.topic == self._alerts])
                for partition, end in ends.items():
                    while await consumer.position(partition) < end:
                        await self._read_once.wait()
                        await self.check()
        except (KafkaError, OSError, TimeoutError) as error:
            raise BrokerUnavailable(f"no Kafka answers at {self._servers}") from error

    async def until(self, holds: Callable[[Mapping[tuple[str, str], ModelReports]], bool]) -> None:
        """Return once the known reports and alerts satisfy `holds`."""
        while not holds(defaultdict(ModelReports, self.findings)):
            await self._changes.after(self._changes.number)

    async def _follow(self, consumer: Consumer) -> None:
        try:
            while True:
                await self._read(consumer)
        except Unreadable as error:
            log.critical("%s", error)
            raise
        except Exception:
            log.exception("reading %s and %s ended", self._reports, self._alerts)
            raise

    async def _read(self, consumer: Consumer) -> None:
        for partition, run in (await consumer.getmany(timeout_ms=1000, max_records=MAX_RECORDS)).items():
            for record in run:
                self.apply(partition.topic, [record.value], (partition.partition, record.offset))
        self._read_once.set()
        self._read_once = asyncio.Event()
        await asyncio.sleep(0)

    def apply(self, topic: str, values: Iterable[bytes | None], at: tuple[int, int] = (0, 0)) -> None:
        """Apply records of one of the two topics.

        An unreadable record is logged with partition and offset, and skipped.
        """
        for value in values:
            try:
                self.revision += self._apply(topic, value or b"")
            except Exception as error:  # noqa: BLE001 - one unreadable record must not stop the others
                log.error("%s partition %d offset %d is left out: %s", topic, *at, words_of(error))

    def _apply(self, topic: str, value: bytes) -> bool:
        if topic == self._alerts:
            return self._take_alert(self._alert.decode(value))
        report = self._report.decode(value)
        if isinstance(report, MonitorReport):
            self.workers.take(report)
            self._changes.note(("monitor",))
            return True
        if isinstance(report, IntakeReport):
            self.workers.intake.take(report)
            self._changes.note(("monitor",), ("model", report.model, report.model_version))
            return True
        if isinstance(report, DriftReport):
            new = self._found(report.model, report.model_version).drift.put(report, value)
        elif isinstance(report, PerformanceReport):
            new = self._found(report.model, report.model_version).performance.put(report, value)
        else:
            return False
        if new:
            self._changes.note(("model", report.model, report.model_version))
        return new

    def _take_alert(self, alert: AlertEvent) -> bool:
        model, version = alert.labels.get("model", ""), alert.labels.get("model_version", "")
        new = self._found(model, version).alert(alert)
        if new:
            self._changes.note(("alerts",), ("model", model, version))
        return new

    def _found(self, model: str, version: str) -> ModelReports:
        now = self._now()
        found = self.findings.get((model, version))
        if found is None:  # also remove versions whose records have expired from the topics
            known = self.findings.items()
            self.findings = {key: one for key, one in known if now - one.newest <= KEPT_SECONDS}
            found = self.findings[model, version] = ModelReports()
        found.newest = now
        return found
