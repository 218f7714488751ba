"""A model served live, without Kafka: producers with clocks of their own, the join, its windows and alerts."""

from __future__ import annotations

import math
import random
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from operator import attrgetter
from typing import ClassVar

import msgspec
import numpy as np

from agents.alerts.agent import AlertsAgent
from agents.join.agent import JoinAgent
from agents.windows.agent import WindowsAgent
from app.alerting.notify.muting import Muting, inhibition_of
from app.core.config.monitoring import Monitoring
from app.core.config.routes import DEFAULT_INHIBIT
from app.core.profile_builder import build_profile
from app.faust_batches.batch import Batch, Log
from app.ingest.decoding import Rejected
from app.kafka.producer import Outgoing
from app.registration.models_table import RegisteredModel
from tests.support.join_world import run
from tests.support.reports import StubRecord
from topics.events import AlertEvent, AnyReport, DriftReport, TrafficReport
from topics.registry import ALERTS, FEEDBACK, PANES, PREDICTIONS, REPORTS, VERSIONS, Topic

BEGIN = 1_700_000_040.0
REFERENCE = np.random.default_rng(1).normal(size=2000).round(4)
PROFILE = build_profile("m", "1", "regression", {"size": REFERENCE, "weight": REFERENCE + 1}, REFERENCE)


@dataclass(frozen=True)
class Sent:
    """A prediction: when it says that it was made, and when the broker took it, in seconds from the beginning."""

    id: str
    made: float
    taken: float
    partition: int
    value: float


def good(rng: random.Random, seconds: float, rate: float, flight: float, shift_at: float | None) -> list[Sent]:
    """Predictions of right clocks: each at the broker within `flight` seconds. Drifted from `shift_at` on."""
    found = []
    for i in range(round(seconds * rate)):
        made = i / rate
        shift = 40.0 if shift_at is not None and made >= shift_at else 0.0
        value = rng.gauss(0.0, 1.0) + shift
        found.append(Sent(f"good-{i}", made, made + rng.random() * flight, rng.randrange(2), value))
    return found


def ahead(rng: random.Random, seconds: float, every: float, offset: float, shift_at: float | None) -> list[Sent]:
    """Predictions of one producer whose clock is `offset` seconds ahead."""
    found = []
    for i in range(round(seconds / every)):
        taken = (i + rng.random()) * every
        shift = 40.0 if shift_at is not None and taken >= shift_at else 0.0
        found.append(Sent(f"ahead-{i}", taken + offset, taken, rng.randrange(2), rng.gauss(0.0, 1.0) + shift))
    return found


@dataclass
class LiveWorld:
    """Everything between a record at the broker and an alert, by one clock that the test moves."""

    partitions: ClassVar[int] = 2
    monitoring: Monitoring
    step: float = 5.0
    clock: float = BEGIN
    logs: dict[int, list[StubRecord]] = field(default_factory=lambda: {0: [], 1: []})
    made: Counter[int] = field(default_factory=Counter)
    panes: list[StubRecord] = field(default_factory=list)
    reports: list[AnyReport] = field(default_factory=list)
    alerts: list[AlertEvent] = field(default_factory=list)
    muted: list[AlertEvent] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    revision: int = 1
    lost_from: float = math.inf
    """When, in seconds from the beginning, `weight` is lost."""

    def __post_init__(self) -> None:
        self.model = RegisteredModel(PROFILE, self.monitoring, datetime(2023, 1, 1, tzinfo=UTC))
        self.join = JoinAgent(
            {}, self, checkpoint_seconds=0.0, now=lambda: self.clock, epoch=lambda: 1,
            log_of=lambda topic, partition: Log(0, len(self.logs[partition]) if topic is PREDICTIONS else 0, 0),
        )  # fmt: skip
        self.windows = WindowsAgent(
            {}, self.get, partitions=2, reissue_seconds=self.step, now=lambda: self.clock, wall=self._wall
        )
        self.judge = AlertsAgent({}, lambda *_: self.monitoring, now=self._wall)
        self._firing: dict[str, AlertEvent] = {}
        self._muting = Muting(inhibitions=[inhibition_of(i, rule) for i, rule in enumerate(DEFAULT_INHIBIT)])

    def get(self, model: str, version: str) -> RegisteredModel | None:
        return self.model

    async def catch_up(self) -> None:
        """All is known."""

    def _wall(self) -> datetime:
        return datetime.fromtimestamp(self.clock, UTC)

    def serve(self, sent: Sequence[Sent], seconds: float) -> None:
        """Have the broker take all, each at its time, and everything read every `step` seconds until the end."""
        due = sorted(sent, key=attrgetter("taken"))
        while self.clock - BEGIN < seconds:
            self.clock += self.step
            until = bisect_left(due, self.clock - BEGIN, key=attrgetter("taken"))
            for one in due[:until]:
                self._take(one)
            del due[:until]
            self._read()

    def _take(self, one: Sent) -> None:
        event = {
            "prediction_id": one.id, "model": "m", "model_version": "1", "timestamp": BEGIN + one.made,
            "features": {"size": one.value, "weight": one.value + 1 if one.made < self.lost_from else None},
            "prediction": one.value,
        }  # fmt: skip
        log = self.logs[one.partition]
        taken = round((BEGIN + one.taken) * 1000)
        log.append(StubRecord(len(log), msgspec.json.encode(event), one.id.encode(), taken))
        self.made[int((BEGIN + one.made) // self.monitoring.windows.pane)] += 1

    def _read(self) -> None:
        for partition, log in self.logs.items():
            fresh = log[self.join.position(PREDICTIONS, partition) :]
            run(self.join.handle(Batch(PREDICTIONS, partition, fresh, caught_up=True), self))
            run(self.join.handle(Batch(FEEDBACK, partition, (), caught_up=True), self))
        fresh = self.panes[self.windows.position(PANES, 0) :]
        run(self.windows.handle(Batch(PANES, 0, fresh, caught_up=True), self))

    async def publish(self, topic: Topic, records: Sequence[Outgoing]) -> None:
        if topic is PANES:
            self.panes += [StubRecord(len(self.panes) + i, one.value, one.key) for i, one in enumerate(records)]
        elif topic is REPORTS:
            reports = [StubRecord(len(self.reports) + i, one.value, one.key) for i, one in enumerate(records)]
            self.reports += [msgspec.json.decode(one.value or b"", type=AnyReport) for one in records]
            await self.judge.handle(Batch(REPORTS, 0, reports), self)
        elif topic is ALERTS:
            for record in records:
                self._alert(msgspec.json.decode(record.value or b"", type=AlertEvent))
        else:
            assert topic is VERSIONS  # what is known of the version's life

    def _alert(self, alert: AlertEvent) -> None:
        self.alerts.append(alert)
        if alert.status == "resolved":
            self._firing.pop(alert.fingerprint, None)
            return
        self._firing[alert.fingerprint] = alert
        if self._muting.reason(alert, self._firing.values(), self._wall()) is not None:
            self.muted.append(alert)

    async def dead_letter(self, batch: Batch, rejected: Sequence[Rejected]) -> None:
        self.rejected += rejected

    # What came of it

    def incomplete(self) -> list[tuple[datetime, int, int]]:
        """Windows that were judged before all of their predictions were counted: end, counted, made."""
        pane, panes = round(self.monitoring.windows.pane), self.monitoring.windows.panes
        wrong = []
        for report in self.reports:
            if not isinstance(report, DriftReport | TrafficReport):
                continue
            end = round(report.window_end.timestamp()) // pane
            made = sum(self.made[number] for number in range(end - panes, end))
            if report.n != made:
                wrong.append((report.window_end, report.n, made))
        return wrong

    def changes(self) -> list[tuple[str, str, str]]:
        """Every alert's rule, subject and status, in order of rule and subject."""
        found = [(alert.rule, alert.labels["subject"], alert.status) for alert in self.alerts]
        return sorted(found, key=lambda change: change[:2])
