"""The alerts agent without Kafka: transitions, dead letters, watermarks, crashes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.alerts import Alerts, state_key
from app.alerting.rules import Verdict
from app.core.config import Alerting, Monitoring
from app.ingest.decoding import Rejected
from tests.unit.reports import drift_report, feature, metric, performance_report, records_of
from topics.events import AlertEvent, AnyReport
from topics.registry import ALERTS, Topic

MONITORING = Monitoring(alerting=Alerting(critical_features=("age",)))
NOW = datetime(2020, 1, 1, tzinfo=UTC)


class Killed(Exception):
    """The worker ends here."""


@dataclass
class Broker:
    """What was sent; ends the worker after so many sends."""

    alerts: list[AlertEvent] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    sends_left: int = 1_000_000

    async def publish(self, topic: Topic, key: bytes, value: bytes, partition: int | None) -> None:
        if not self.sends_left:
            raise Killed
        self.sends_left -= 1
        alert = msgspec.json.decode(value, type=AlertEvent)
        assert (topic, key, partition) == (ALERTS, alert.fingerprint.encode(), None)
        self.alerts.append(alert)

    async def reject(self, rejected: Sequence[Rejected]) -> None:
        self.rejected += rejected


def agent(table: dict[str, bytes], monitoring: Monitoring | None = MONITORING) -> Alerts:
    return Alerts(table, lambda model, version: monitoring, now=lambda: NOW)


def bad(window: int, revision: int = 1) -> AnyReport:
    return drift_report(window, features=[feature("age", 0.6), feature("sex")], revision=revision)


def good(window: int, revision: int = 1) -> AnyReport:
    return drift_report(window, features=[feature("age"), feature("sex")], revision=revision)


async def test_two_bad_windows_fire_and_two_good_ones_resolve() -> None:
    broker, table = Broker(), dict[str, bytes]()
    reports = [good(0), bad(1), bad(2), good(3), good(4)]
    await agent(table).handle(0, records_of(reports), broker.publish, broker.reject)
    assert [(a.status, a.rule) for a in broker.alerts] == [
        ("firing", "data_drift"), ("firing", "critical_feature:age"),
        ("resolved", "data_drift"), ("resolved", "critical_feature:age"),
    ]  # fmt: skip
    assert len({a.alert_id for a in broker.alerts}) == 4
    assert len({(a.fingerprint, a.started_at) for a in broker.alerts}) == 2


async def test_performance_is_one_alert_that_names_its_metrics() -> None:
    broker = Broker()
    reports = [performance_report(i, metric("accuracy", 0.2), metric("f1", 0.3)) for i in (1, 2)]
    await agent({}).handle(0, records_of(reports), broker.publish, broker.reject)
    assert [a.evidence["degraded_metrics"] for a in broker.alerts] == [["accuracy", "f1"]]


async def test_versions_do_not_share_state() -> None:
    broker = Broker()
    reports = [bad(1), msgspec.structs.replace(bad(2), model_version="4")]
    await agent({}).handle(0, records_of(reports), broker.publish, broker.reject)
    assert broker.alerts == []


async def test_records_below_the_watermark_are_skipped_and_it_never_falls() -> None:
    broker, table = Broker(), dict[str, bytes]()
    records = records_of([bad(1), bad(2)], first=7)
    alerts = agent(table)
    assert alerts.position(0) is None
    await alerts.handle(0, records, broker.publish, broker.reject)
    before = dict(table)
    await alerts.handle(0, records[:1], broker.publish, broker.reject)
    await alerts.handle(0, [], broker.publish, broker.reject)
    assert (table, alerts.position(0), alerts.position(1)) == (before, 9, None)
    assert len(broker.alerts) == 2


async def test_what_cannot_be_read_is_a_dead_letter_and_the_rest_is_judged() -> None:
    broker = Broker()
    naive = msgspec.json.encode(bad(5)).replace(b"05:00:00Z", b"05:00:00")
    wrong = msgspec.json.encode(bad(5)).replace(b'"n":1000', b'"n":"x"', 1)
    values = [bad(1), b"{", None, b"\xff", wrong, naive, b'{"kind":"other"}', bad(2)]
    await agent({}).handle(0, records_of(values), broker.publish, broker.reject)
    assert [r.record.offset for r in broker.rejected] == [1, 2, 3, 4, 5, 6]
    assert [r.record.value for r in broker.rejected][:2] == [b"{", None]
    reasons = [r.reason for r in broker.rejected]
    assert reasons[1] == "the record has no value"
    assert "`window_end` has no time zone" in reasons
    assert reasons[3] == "Expected `int`, got `str` - at `n`"
    assert [a.status for a in broker.alerts] == ["firing", "firing"]


async def test_an_unregistered_model_is_looked_for_once_and_then_a_dead_letter() -> None:
    known: dict[tuple[str, str], Monitoring] = {}
    asked: list[int] = []

    def alerts_with(arrives: bool) -> Alerts:
        async def catch_up() -> None:
            asked.append(1)
            if arrives:
                known["income", "3"] = MONITORING

        return Alerts({}, lambda *key: known.get(key), catch_up=catch_up)

    broker = Broker()
    await alerts_with(arrives=False).handle(0, records_of([bad(1), bad(2)]), broker.publish, broker.reject)
    assert [r.reason for r in broker.rejected] == [
        "model 'income' version '3' is not registered: run `driftline register`"
    ] * 2
    await alerts_with(arrives=True).handle(0, records_of([bad(1), bad(2)]), broker.publish, broker.reject)
    assert (len(asked), len(broker.rejected), len(broker.alerts)) == (2, 2, 2)


async def test_state_is_written_only_after_the_alerts_are_out() -> None:
    broker, table = Broker(sends_left=1), dict[str, bytes]()
    records = records_of([bad(1), bad(2)])
    with pytest.raises(Killed):
        await agent(table).handle(0, records, broker.publish, broker.reject)
    assert table == {}
    broker.sends_left = 10
    await agent(table).handle(0, records, broker.publish, broker.reject)
    assert [a.alert_id for a in broker.alerts[:1]] == [broker.alerts[1].alert_id]
    assert len({a.alert_id for a in broker.alerts}) == 2


reports = st.builds(
    lambda window, revision, report: report(window, revision),
    st.integers(0, 12), st.integers(1, 3), st.sampled_from([good, bad]),
)  # fmt: skip


@settings(max_examples=60)
@given(st.lists(reports, max_size=25), st.lists(st.tuples(st.integers(1, 5), st.integers(0, 2)), max_size=12))
async def test_crashes_and_other_runs_tell_the_same_alerts(told: list[AnyReport], steps: list[tuple[int, int]]) -> None:
    records = records_of(told)
    calm, table = Broker(), dict[str, bytes]()
    await agent(table).handle(0, records, calm.publish, calm.reject)
    rough, rough_table = Broker(), dict[str, bytes]()
    for length, sends in [*steps, *[(len(records), 1_000_000)]]:
        alerts = agent(rough_table)
        start = alerts.position(0) or 0
        rough.sends_left = sends
        try:
            await alerts.handle(0, records[max(0, start - 3) : start + length], rough.publish, rough.reject)
        except Killed:
            continue
    distinct = {alert.alert_id: alert for alert in rough.alerts}
    assert list(distinct.values()) == calm.alerts
    assert rough_table == table


def test_keys_of_names_with_slashes_do_not_meet() -> None:
    verdict = Verdict("data_drift", "features", "clear")
    keys = {state_key(drift_report(model=m, model_version=v), verdict) for m, v in (("a/b", "c"), ("a", "b/c"))}
    assert len(keys) == 2
    assert state_key(drift_report(), verdict) == "income/3/data_drift/features"


def test_a_run_is_judged_without_touching_the_table() -> None:
    table = dict[str, bytes]()
    run = agent(table).run(0, records_of([bad(1), bad(2)]))
    assert (len(run.alerts), run.next_offset, table) == (2, 2, {})
