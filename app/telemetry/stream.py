"""Metrics of a worker, counted by batches: no metric is touched for a single record."""

from __future__ import annotations

import contextlib
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from app.telemetry import metrics, tracing
from app.telemetry.bounds import BoundedGauge, BoundedLabel
from app.telemetry.findings import ReportGauges
from app.telemetry.lag import tell_lag
from topics.events import AnyReport, IntakeReport, Level, PaneEvent, PanePartial
from topics.registry import ALERTS, DELIVERIES, FEEDBACK, PANES, PREDICTIONS, Topic

MOST_REASONS = 50
MOST_CHANNELS = 50
MOST_FIRING = 1000
MOST_STRANGERS = 50

_NAMES = re.compile(r"'[^']*'")


class _Alert(msgspec.Struct):
    status: str
    level: Level


class _Delivery(msgspec.Struct):
    channel: str
    outcome: str


_alert, _delivery = msgspec.json.Decoder(_Alert), msgspec.json.Decoder(_Delivery)


class StreamMetrics:
    """Metrics of one worker. `wall`: seconds since the epoch."""

    def __init__(self, wall: Callable[[], float] = time.time) -> None:
        self._wall = wall
        self._findings = ReportGauges()
        self._reasons = BoundedLabel(MOST_REASONS)
        self._channels = BoundedLabel(MOST_CHANNELS)
        self._strangers = BoundedLabel(MOST_STRANGERS)
        self._shares = BoundedGauge(metrics.SET_ASIDE, MOST_FIRING)
        self._learned = BoundedGauge(metrics.LEARNED, MOST_STRANGERS)
        self._stages = {
            "pending": BoundedGauge(metrics.ALERTS_PENDING, MOST_FIRING),
            "firing": BoundedGauge(metrics.ALERTS_FIRING, MOST_FIRING),
        }
        self._oldest: dict[int, float] = {}
        self._newest_pane: float | None = None

    def expect(self, agent: str, topics: Sequence[Topic]) -> None:
        """Begin the series of an agent and its topics at 0."""
        metrics.RUN_SECONDS.labels(agent)
        for topic in topics:
            metrics.RECORDS_READ.labels(topic.name)
            metrics.ALL_DEAD_LETTERS.labels(topic.name)

    @contextlib.contextmanager
    def handling(self, agent: str, topic: Topic, partition: int, records: Sequence[Any]) -> Iterator[None]:
        """Count and time a batch that an agent handles. A tick is neither counted nor timed."""
        if topic is PREDICTIONS or topic is FEEDBACK:
            self.joining(partition, records)
        elif topic is PANES:
            self.judging(records)
        if not records:
            yield
            return
        began = time.perf_counter()
        yield
        metrics.RUN_SECONDS.labels(agent).observe(time.perf_counter() - began, exemplar=tracing.exemplar())
        metrics.RECORDS_READ.labels(topic.name).inc(len(records))

    # Latency from a record to its pane, and from a pane to its report

    def joining(self, partition: int, run: Sequence[Any]) -> None:
        """Note that a batch is about to be counted into panes."""
        if run:
            self._oldest.setdefault(partition, run[0].timestamp / 1000.0)

    def panes(self, events: Sequence[PaneEvent]) -> None:
        """Note that Kafka has these panes, and observe their latency."""
        now = self._wall()
        for partition in {event.partition for event in events if isinstance(event, PanePartial)}:
            oldest = self._oldest.pop(partition, None)
            if oldest is not None:
                metrics.PANE_LATENCY.observe(max(0.0, now - oldest), exemplar=tracing.exemplar())

    def judging(self, run: Sequence[Any]) -> None:
        """Note that a batch of panes (or a tick) is about to be judged."""
        self._newest_pane = run[-1].timestamp / 1000.0 if run else None

    def reported(self, report: AnyReport) -> None:
        """Count a report that Kafka has, and observe its latency."""
        kind, now = str(report.__struct_config__.tag), self._wall()
        metrics.REPORTS.labels(kind).inc()
        exemplar = tracing.exemplar()
        metrics.REPORT_DELAY.labels(kind).observe(max(0.0, now - report.window_end.timestamp()), exemplar=exemplar)
        if self._newest_pane is not None:
            metrics.REPORT_LATENCY.labels(kind).observe(max(0.0, now - self._newest_pane), exemplar=exemplar)
        self._findings.take(report)

    def learned(self, model: str, version: str, seen: int | None) -> None:
        """Set the number of predictions of a version that learns its reference; None once it does not learn here."""
        self._learned.set((model, version), seen)

    # Published records

    def published(self, topic: Topic, values: Sequence[bytes | None]) -> None:
        """Count records that Kafka has."""
        sizes = [len(value or b"") for value in values]
        metrics.PUBLISHED.labels(topic.name).inc(len(sizes))
        metrics.PUBLISHED_BYTES.labels(topic.name).inc(sum(sizes))
        if topic is ALERTS or topic is DELIVERIES:
            for value in values:
                self.told(topic, value or b"")

    def told(self, topic: Topic, value: bytes) -> None:
        """Count an alert, or a delivery, that Kafka has."""
        if topic is ALERTS:
            alert = _alert.decode(value)
            metrics.ALERTS.labels(alert.status, alert.level).inc()
        elif topic is DELIVERIES:
            delivery = _delivery.decode(value)
            metrics.DELIVERIES.labels(self._channels.of(delivery.channel), delivery.outcome).inc()

    def rekeyed(self, topic: Topic, n: int) -> None:
        """Count records of a topic that Kafka has in the partition of their key now."""
        metrics.REKEYED.labels(topic.name).inc(n)

    def halves(self, counts: Mapping[str, int]) -> None:
        """Count requests and responses of inferences, by their outcome."""
        for outcome, n in counts.items():
            metrics.HALVES.labels(outcome).inc(n)

    def mapped(self, source: str, counts: Mapping[str, int]) -> None:
        """Count records of a source by their outcome."""
        for outcome, n in counts.items():
            metrics.SOURCE_RECORDS.labels(source, outcome).inc(n)

    def dead_letters(self, topic: str, reasons: Iterable[str]) -> None:
        """Count dead letters of a topic. A reason's names and values are left out of its label."""
        for reason, n in Counter(map(kind_of, reasons)).items():
            metrics.ALL_DEAD_LETTERS.labels(topic).inc(n)
            metrics.DEAD_LETTERS.labels(topic, self._reasons.of(reason)).inc(n)

    def intake(self, report: IntakeReport) -> None:
        """Count the unregistered records in a report that Kafka has."""
        for name, n in report.unregistered.items():
            model, _, version = self._strangers.of(name).rpartition(" ")
            metrics.UNREGISTERED.labels(model, version).inc(n)

    # Gauges that are set on request

    def set_aside(self, shares: Iterable[tuple[str, tuple[str, str], float]]) -> None:
        """Set the share of the newest records that was set aside, by topic and model version."""
        self._shares.clear()
        for topic, version, share in shares:
            self._shares.set((topic, *version), share)

    def lag(self, left: Mapping[tuple[str, int], int]) -> None:
        """Set the numbers of records that are not applied yet, by topic and assigned partition."""
        tell_lag(left, metrics.LAG, metrics.PARTITIONS_HELD)

    def alerts(self, found: Iterable[tuple[str, str, str, str, str]]) -> None:
        """Set the numbers of pending and firing alerts, from the model, version, rule, level and stage of each one."""
        for gauge in self._stages.values():
            gauge.clear()
        for (*labels, stage), n in Counter(found).items():
            self._stages[stage].set(tuple(labels), n)

    def forget(self, partitions: Iterable[int], is_gone: Callable[[str, str], bool]) -> None:
        """Forget partitions that change hands, with their model versions."""
        self._findings.forget(is_gone)
        for partition in partitions:
            self._oldest.pop(partition, None)


def kind_of(reason: str) -> str:
    """Return a dead letter's reason without the names and values in it."""
    return _NAMES.sub("…", reason.partition(":")[0])[:80]
