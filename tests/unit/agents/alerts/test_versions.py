"""A version's life: served, replaced by a newer one, rolled back to, and retired by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import ClassVar

import msgspec
import pytest

from agents.alerts.agent import AlertsAgent
from app.alerting.rules.version_life import newer_of, noted, rate_of, retired
from app.commands.top.choice import Choice
from app.core.config.monitoring import Monitoring
from app.faust_batches.batch import Batch
from app.kafka.producer import Outgoing
from app.read_model.reports_table import ModelReports
from app.read_model.summary import summary_of
from app.registration.versions_table import Registered
from tests.support.reports import START, drift_report, feature, records_of
from topics.events import AlertEvent, AnyReport, TrafficReport, VersionEvent
from topics.registry import ALERTS, REPORTS, VERSIONS, Topic

MINUTE = timedelta(minutes=1)


def traffic(version: str, minute: int, newest: int, usual: int = 100, silent: int = 0) -> TrafficReport:
    """A window of twelve minutes: so many predictions in each before, and in the newest one."""
    end = START + minute * MINUTE
    counts = (*(usual,) * (12 - max(silent, 1)), *(0,) * (max(silent, 1) - 1), newest)
    return TrafficReport(
        model="churn", model_version=version, profile_id="p", window_start=end - 12 * MINUTE, window_end=end,
        revision=1, n=sum(counts), sufficient=True, emitted_at=START, counts=counts, silent=silent, usual=float(usual),
        coverage=0.0, usual_coverage=0.0, feedback_silent=0, feedback_longest=0, feedback_gaps=0, feedback=0,
        duplicates=0, late=0, expired=0, missed=float(usual * silent), chance=1e-6,
    )  # fmt: skip


@dataclass
class Cluster:
    """One worker that has every version, the topic `versions`, and what was sent."""

    versions: dict[tuple[str, str], VersionEvent] = field(default_factory=dict)
    registered: dict[tuple[str, str], datetime] = field(default_factory=dict)
    alerts: list[AlertEvent] = field(default_factory=list)
    table: dict[str, bytes] = field(default_factory=dict)
    sent: int = 0
    offset: int = 0
    clock: datetime = START

    def __post_init__(self) -> None:
        registered = Registered(self, lambda model, version: self.registered.get((model, version)))  # type: ignore[arg-type]
        self.agent = AlertsAgent(
            self.table, lambda m, v: Monitoring(), now=lambda: self.clock, lives=registered, partitions=self.partitions
        )

    def get(self, model: str, version: str) -> VersionEvent | None:
        return self.versions.get((model, version))

    def of(self, model: str) -> list[VersionEvent]:
        return list(self.versions.values())

    partitions: ClassVar[int] = 1

    async def publish(self, topic: Topic, records: Sequence[Outgoing]) -> None:
        for record in records:
            if topic is VERSIONS:
                event = msgspec.json.decode(record.value or b"", type=VersionEvent)
                assert record.key == f"{event.model}/{event.model_version}".encode()
                self.versions[event.model, event.model_version] = event
                self.sent += 1
            else:
                assert topic is ALERTS
                self.alerts.append(msgspec.json.decode(record.value or b"", type=AlertEvent))

    async def take(self, *reports: AnyReport) -> list[str]:
        """What alerts say then: status, version and subject."""
        before = len(self.alerts)
        for report in reports:
            records = records_of([report], self.offset)
            self.offset += 1
            await self.agent.handle(Batch(REPORTS, 0, records), self)
        return self.said(before)

    async def tidy(self) -> list[str]:
        self.clock += timedelta(minutes=1)
        before = len(self.alerts)
        await self.agent.tidy(0, self)
        return self.said(before)

    def said(self, before: int) -> list[str]:
        new = self.alerts[before:]
        return [f"{a.status} {a.labels['model_version']} {a.rule} {a.labels['subject']}" for a in new]

    async def dead_letter(self, batch: Batch, rejected: object) -> None:
        raise AssertionError(rejected)


async def test_a_version_whose_traffic_a_newer_one_has_taken_is_retired_and_not_alerted() -> None:
    cluster = Cluster()
    await cluster.take(traffic("3", 0, 100))
    drifts = [feature("age", 0.6), feature("sex")]
    fired = await cluster.take(*(drift_report(i, features=drifts, model="churn", model_version="3") for i in (0, 1)))
    assert fired == ["firing 3 data_drift features", "firing 3 feature_drift age"]
    assert await cluster.take(traffic("4", 30, 100), traffic("3", 31, 0, silent=1)) == []
    life = cluster.versions["churn", "3"]
    assert (life.status, life.by, life.reason) == ("retired", "traffic", "version 4 has taken its traffic")
    assert await cluster.tidy() == ["resolved 3 data_drift features", "resolved 3 feature_drift age"]
    assert "Closed, because the version is retired: version 4 has taken its traffic." in cluster.alerts[-1].message
    more = [traffic("3", minute, 0, silent=minute - 30) for minute in range(32, 45)]
    bad = [drift_report(i, features=drifts, model="churn", model_version="3") for i in range(5, 9)]
    assert await cluster.take(*more, *bad) == []
    assert await cluster.tidy() == []


async def test_a_rollback_is_watched_again() -> None:
    cluster = Cluster()
    await cluster.take(traffic("3", 0, 100), traffic("4", 30, 100), traffic("3", 31, 0, silent=1))
    assert cluster.versions["churn", "3"].status == "retired"
    await cluster.take(traffic("3", 60, 100), traffic("4", 61, 0, silent=1))
    assert [cluster.versions["churn", v].status for v in ("3", "4")] == ["serving", "retired"]
    assert await cluster.take(traffic("3", 90, 0, silent=1)) == ["firing 3 traffic stopped"]


async def test_a_canary_does_not_hide_a_stop() -> None:
    """A newer version with a tenth of the traffic has not taken it: the stop fires, one window later."""
    cluster = Cluster()
    await cluster.take(traffic("3", 0, 100), traffic("4", 30, 10, usual=10))
    assert await cluster.take(traffic("3", 31, 0, silent=1)) == []
    assert await cluster.take(traffic("3", 32, 0, silent=2)) == ["firing 3 traffic stopped"]
    assert cluster.versions["churn", "3"].status == "serving"
    ended = await cluster.take(traffic("4", 33, 110, usual=10), traffic("3", 33, 0, silent=3))
    assert ended == ["resolved 3 traffic stopped"]
    assert cluster.alerts[-1].message.count("version 4 has taken its traffic") == 1


async def test_an_older_version_and_one_that_is_served_by_nobody_explain_no_stop() -> None:
    cluster = Cluster()
    await cluster.take(traffic("2", 0, 100), traffic("3", 10, 100))
    assert await cluster.take(traffic("3", 31, 0, silent=1)) == ["firing 3 traffic stopped"]
    alone = Cluster(registered={("churn", "4"): START})
    await alone.take(traffic("3", 0, 100))
    assert await alone.take(traffic("3", 31, 0, silent=1)) == ["firing 3 traffic stopped"]


async def test_retired_by_hand_it_stays_so_until_it_is_registered_again() -> None:
    cluster = Cluster()
    drifts = [feature("age", 0.6), feature("sex")]
    bad = [drift_report(i, features=drifts, model="churn", model_version="3") for i in range(4)]
    await cluster.take(*bad[:2])
    by_hand = VersionEvent(
        model="churn", model_version="3", status="retired", since=START, by="command", reason="replaced"
    )
    cluster.versions["churn", "3"] = by_hand
    assert await cluster.take(traffic("3", 5, 100), bad[2]) == [
        "resolved 3 data_drift features", "resolved 3 feature_drift age",
    ]  # fmt: skip
    assert "the version is retired: replaced" in cluster.alerts[-1].message
    assert cluster.versions["churn", "3"] is by_hand
    cluster.registered["churn", "3"] = START + MINUTE
    again = [drift_report(i, features=drifts, model="churn", model_version="3") for i in (10, 11)]
    assert await cluster.take(*again) == ["firing 3 data_drift features", "firing 3 feature_drift age"]


async def test_a_rate_is_noted_again_only_when_it_has_changed() -> None:
    cluster = Cluster()
    await cluster.take(*(traffic("3", minute, 100 + minute % 7) for minute in range(50)))
    assert cluster.sent == 1
    assert cluster.versions["churn", "3"].since == START
    await cluster.take(traffic("3", 51, 300))
    assert cluster.sent == 2
    assert cluster.versions["churn", "3"].since == START
    low = VersionEvent(model="churn", model_version="3", status="serving", since=START, rate=4 / 60)
    few = [noted(traffic("3", 1, n, usual=4), low) for n in (1, 2, 4, 9, 12)]
    assert few == [None] * 5
    assert rate_of(traffic("3", 1, 120)) == pytest.approx(2.0)
    assert newer_of(traffic("3", 1, 0), None, cluster.of("churn")) == []


def test_a_retired_version_leaves_the_front() -> None:
    life = retired(traffic("3", 0, 0, silent=1), "4")
    summaries = [
        summary_of("churn", "3", None, ModelReports(), None, life),
        summary_of("churn", "4", None, ModelReports(), None, None),
    ]
    assert [(one.state, one.retired) for one in summaries] == [
        ("retired", "version 4 has taken its traffic"), ("waiting", None),
    ]  # fmt: skip
    assert [one.model_version for one in Choice().of(summaries)] == ["4"]
    assert [one.model_version for one in Choice(states=("retired",)).of(summaries)] == ["3"]
    assert Choice().words(1, 2) == "1 of 2 model versions; --state retired shows the others"
    assert Choice().words(2, 2) == ""
