"""The alerts agent without Kafka: transitions, dead letters, watermarks, crashes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import ClassVar
from zlib import crc32

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.alerts.agent import AlertsAgent, state_key
from agents.alerts.store import key_of, names_of
from agents.loop_slices import at_once
from app.alerting.rules.lifecycle import RuleState
from app.alerting.rules.model_rules import Verdict
from app.core.config.monitoring import Alerting, Monitoring, Rule
from app.faust_batches.batch import Batch
from app.ingest.decoding import Rejected
from app.kafka.producer import Outgoing
from tests.support.reports import drift_report, end_of, feature, metric, performance_report, records_of
from topics.events import AlertEvent, AnyReport, Cause, MonitorReport, PartitionStanding, ScaleFinding, Scales, Shape
from topics.registry import ALERTS, REPORTS, Topic

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

    partitions: ClassVar[int] = 4

    async def publish(self, topic: Topic, records: Sequence[Outgoing]) -> None:
        assert topic is ALERTS
        for record in records:
            if not self.sends_left:
                raise Killed
            self.sends_left -= 1
            alert = msgspec.json.decode(record.value or b"", type=AlertEvent)
            about = alert.labels.get("model", ""), alert.labels.get("model_version", "")
            assert (record.key, record.partition) == (alert.fingerprint.encode(), crc32("/".join(about).encode()) % 4)
            self.alerts.append(alert)

    async def dead_letter(self, batch: Batch, rejected: Sequence[Rejected]) -> None:
        assert batch.topic is REPORTS
        self.rejected += rejected


def agent(table: dict[str, bytes], monitoring: Monitoring | None = MONITORING) -> AlertsAgent:
    return AlertsAgent(table, lambda model, version: monitoring, now=lambda: NOW)


def bad(window: int, revision: int = 1) -> AnyReport:
    return drift_report(window, features=[feature("age", 0.6), feature("sex")], revision=revision)


def good(window: int, revision: int = 1) -> AnyReport:
    return drift_report(window, features=[feature("age"), feature("sex")], revision=revision)


async def test_two_bad_windows_fire_and_two_good_ones_resolve() -> None:
    broker, table = Broker(), dict[str, bytes]()
    reports = [good(0), bad(1), bad(2), good(3), good(4)]
    await agent(table).handle(Batch(REPORTS, 0, records_of(reports)), broker)
    assert [(a.status, a.rule) for a in broker.alerts] == [
        ("firing", "data_drift"), ("firing", "critical_feature"),
        ("resolved", "data_drift"), ("resolved", "critical_feature"),
    ]  # fmt: skip
    assert len({a.alert_id for a in broker.alerts}) == 4
    assert len({(a.fingerprint, a.started_at) for a in broker.alerts}) == 2


@pytest.mark.parametrize("with_values", [True, False])
async def test_alerts_name_values_of_categories_unless_they_may_not(with_values: bool) -> None:
    broker = Broker()
    shape = Shape(at=("Aino", "others"), reference=(0.5, 0.5), current=(0.9, 0.1))
    column = feature(
        "customer", 0.6, kind="categorical", test="jensen-shannon", shape=shape, unseen_names={"Aino": 3},
        reference="Aino: 50.0%", current="Aino: 90.0%", direction="more Aino",
        cause=Cause(kind="new category", words="a new category: Aino"),
    )  # fmt: skip
    of_labels = {"unknown_actuals": {"Aino": 2}, "unknown_predictions": {"Aino": 1}}
    worse = [msgspec.structs.replace(performance_report(i, metric("accuracy", 0.2)), **of_labels) for i in (1, 2)]
    alerts = AlertsAgent({}, lambda *_: MONITORING, now=lambda: NOW, with_values=with_values)
    reports = [*(drift_report(i, features=[column, feature("sex")]) for i in (1, 2)), *worse]
    await alerts.handle(Batch(REPORTS, 0, records_of(reports)), broker)
    assert {alert.rule for alert in broker.alerts} >= {"data_drift", "performance"}
    named = [alert.rule for alert in broker.alerts if "Aino" in msgspec.json.encode(alert).decode()]
    assert (set(named) >= {"data_drift", "performance"}) if with_values else not named
    assert "customer" in str(broker.alerts)


async def test_each_metric_is_an_alert_of_its_own() -> None:
    broker = Broker()
    drops = ((0.2, 0.0), (0.2, 0.3), (0.0, 0.3), (0.0, 0.3))
    reports = [performance_report(i, metric("accuracy", a), metric("f1", f)) for i, (a, f) in enumerate(drops)]
    await agent({}).handle(Batch(REPORTS, 0, records_of(reports)), broker)
    assert [(a.status, a.labels["metric"], a.labels["subject"]) for a in broker.alerts] == [
        ("firing", "accuracy", "accuracy"), ("firing", "f1", "f1"), ("resolved", "accuracy", "accuracy"),
    ]  # fmt: skip
    assert len({a.fingerprint for a in broker.alerts}) == 2


async def test_a_metric_that_the_report_no_longer_has_resolves_its_alert_once() -> None:
    broker, table = Broker(), dict[str, bytes]()
    guess = (metric("f1", value=0.8, low=0.79, high=0.81, degraded=False),)
    both = [performance_report(i, metric("accuracy", 0.2), metric("f1", 0.3), estimated=guess) for i in (1, 2)]
    only = [performance_report(i, metric("accuracy", 0.2)) for i in (3, 4)]
    await agent(table).handle(Batch(REPORTS, 0, records_of([*both, *only])), broker)
    assert [(a.status, a.rule, a.labels["metric"]) for a in broker.alerts] == [
        ("firing", "performance", "accuracy"), ("firing", "performance", "f1"),
        ("firing", "performance_estimate", "f1"),
        ("resolved", "performance", "f1"), ("resolved", "performance_estimate", "f1"),
    ]  # fmt: skip
    assert "it is not among the report's metrics any more" in broker.alerts[-1].message


async def closed_by(monitoring: Monitoring, *reports: AnyReport) -> Broker:
    """What is told once an alert fires on `age` and on the data, and the model is registered anew."""
    broker, table = Broker(), dict[str, bytes]()
    await agent(table).handle(Batch(REPORTS, 0, records_of([bad(1), bad(2)])), broker)
    assert [a.status for a in broker.alerts] == ["firing", "firing"]
    broker.alerts.clear()
    anew = agent(msgspec.json.decode(msgspec.json.encode(table), type=dict[str, bytes]), monitoring)
    await anew.handle(Batch(REPORTS, 0, records_of(reports, 2)), broker)
    return broker


async def test_a_rule_that_is_disabled_while_its_alert_fires_resolves_it_once() -> None:
    for report in (bad(3), good(3), msgspec.structs.replace(bad(3), sufficient=False)):
        off = Monitoring(alerting=replace(MONITORING.alerting, data_drift=Rule(enabled=False)))
        told = (await closed_by(off, report, bad(4))).alerts
        assert [(a.status, a.rule) for a in told] == [("resolved", "data_drift")]
        assert told[0].ended_at == report.window_end
        assert "the rule data_drift is switched off" in told[0].message


@pytest.mark.parametrize(
    ("alerting", "report", "words"),
    [
        (Alerting(), bad(3), "it is not in alerting.critical_features any more"),
        (MONITORING.alerting, drift_report(3, features=[feature("sex")]), "the profile has no such feature"),
        (
            Alerting(critical_features=("age",), critical_feature=Rule(enabled=False)),
            bad(3),
            "the rule critical_feature is switched off",
        ),
        (Alerting(critical_features=("sex",)), bad(3), "not in alerting.critical_features"),
    ],
    ids=["nothing named", "gone from the profile", "disabled", "another named"],
)
async def test_a_feature_that_is_critical_no_more_resolves_its_alert(
    alerting: Alerting, report: AnyReport, words: str
) -> None:
    broker = await closed_by(Monitoring(alerting=alerting), report, bad(4))
    told = [a for a in broker.alerts if a.rule == "critical_feature"]
    assert [a.status for a in told] == ["resolved"]
    assert words in told[0].message


async def test_critical_features_alert_though_data_drift_is_disabled() -> None:
    broker = Broker()
    monitoring = Monitoring(alerting=replace(MONITORING.alerting, data_drift=Rule(enabled=False)))
    await agent({}, monitoring).handle(Batch(REPORTS, 0, records_of([bad(1), bad(2)])), broker)
    assert [(a.status, a.rule) for a in broker.alerts] == [("firing", "critical_feature")]


async def test_an_alert_becomes_critical_when_the_drop_goes_beyond_degradation() -> None:
    broker = Broker()
    drops = (0.06, 0.07, 0.12, 0.2, 0.3, 0.0, 0.0)
    reports = [performance_report(i, metric("accuracy", drop)) for i, drop in enumerate(drops)]
    await agent({}).handle(Batch(REPORTS, 0, records_of(reports)), broker)
    assert [(a.status, a.level) for a in broker.alerts] == [
        ("firing", "error"), ("firing", "critical"), ("resolved", "critical"),
    ]  # fmt: skip
    assert len({a.alert_id for a in broker.alerts}) == 3
    assert len({(a.fingerprint, a.started_at) for a in broker.alerts}) == 1


async def test_versions_do_not_share_state() -> None:
    broker = Broker()
    reports = [bad(1), msgspec.structs.replace(bad(2), model_version="4")]
    await agent({}).handle(Batch(REPORTS, 0, records_of(reports)), broker)
    assert broker.alerts == []


async def test_records_below_the_watermark_are_skipped_and_it_never_falls() -> None:
    broker, table = Broker(), dict[str, bytes]()
    records = records_of([bad(1), bad(2)], first=7)
    alerts = agent(table)
    assert alerts.position(REPORTS, 0) == 0
    await alerts.handle(Batch(REPORTS, 0, records), broker)
    before = dict(table)
    await alerts.handle(Batch(REPORTS, 0, records[:1]), broker)
    await alerts.handle(Batch(REPORTS, 0, []), broker)
    assert (table, alerts.position(REPORTS, 0), alerts.position(REPORTS, 1)) == (before, 9, 0)
    assert len(broker.alerts) == 2


async def test_what_cannot_be_read_is_a_dead_letter_and_the_rest_is_judged() -> None:
    broker = Broker()
    naive = msgspec.json.encode(bad(5)).replace(b"05:00:00Z", b"05:00:00")
    wrong = msgspec.json.encode(bad(5)).replace(b'"n":1000', b'"n":"x"', 1)
    values = [bad(1), b"{", None, b"\xff", wrong, naive, b'{"kind":"other"}', bad(2)]
    await agent({}).handle(Batch(REPORTS, 0, records_of(values)), broker)
    assert [r.record.offset for r in broker.rejected] == [1, 2, 3, 4, 5, 6]
    assert [r.record.value for r in broker.rejected][:2] == [b"{", None]
    reasons = [r.reason for r in broker.rejected]
    assert reasons[1] == "the record has no value"
    assert "Expected `datetime` with a timezone component - at `window_end`" in reasons
    assert reasons[3] == "Expected `int`, got `str` - at `n`"
    assert [a.status for a in broker.alerts] == ["firing", "firing"]


async def test_an_unregistered_model_is_looked_for_once_and_then_a_dead_letter() -> None:
    known: dict[tuple[str, str], Monitoring] = {}
    asked: list[int] = []

    def alerts_with(arrives: bool) -> AlertsAgent:
        async def catch_up() -> None:
            asked.append(1)
            if arrives:
                known["income", "3"] = MONITORING

        return AlertsAgent({}, lambda *key: known.get(key), catch_up=catch_up)

    broker = Broker()
    await alerts_with(arrives=False).handle(Batch(REPORTS, 0, records_of([bad(1), bad(2)])), broker)
    assert [r.reason for r in broker.rejected] == [
        "model 'income' version '3' is not registered: run `driftline register`"
    ] * 2
    await alerts_with(arrives=True).handle(Batch(REPORTS, 0, records_of([bad(1), bad(2)])), broker)
    assert (len(asked), len(broker.rejected), len(broker.alerts)) == (2, 2, 2)


async def test_state_is_written_only_after_the_alerts_are_out() -> None:
    broker, table = Broker(sends_left=1), dict[str, bytes]()
    records = records_of([bad(1), bad(2)])
    with pytest.raises(Killed):
        await agent(table).handle(Batch(REPORTS, 0, records), broker)
    assert table == {}
    broker.sends_left = 10
    await agent(table).handle(Batch(REPORTS, 0, records), broker)
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
    await agent(table).handle(Batch(REPORTS, 0, records), calm)
    rough, rough_table = Broker(), dict[str, bytes]()
    for length, sends in [*steps, *[(len(records), 1_000_000)]]:
        alerts = agent(rough_table)
        start = alerts.position(REPORTS, 0)
        rough.sends_left = sends
        try:
            await alerts.handle(Batch(REPORTS, 0, records[max(0, start - 3) : start + length]), rough)
        except Killed:
            continue
    distinct = {alert.alert_id: alert for alert in rough.alerts}
    assert list(distinct.values()) == calm.alerts
    assert rough_table == table


def test_keys_of_names_with_slashes_do_not_meet() -> None:
    verdict = Verdict("data_drift", "features", "clear")
    versions = (("a/b", "c"), ("a", "b/c"))
    keys = {key_of(*state_key(drift_report(model=m, model_version=v), verdict)) for m, v in versions}
    assert len(keys) == 2
    assert key_of(*state_key(drift_report(), verdict)) == "income/3/data_drift/features"


@given(st.lists(st.text(alphabet="a/%2F5", max_size=6), min_size=1))
def test_names_come_back_from_their_key(names: list[str]) -> None:
    assert names_of(key_of(*names)) == names


def test_a_run_is_judged_without_touching_the_table() -> None:
    table = dict[str, bytes]()
    run = at_once(agent(table).run(0, records_of([bad(1), bad(2)])))
    assert (len(run.alerts), run.next_offset, table) == (2, 2, {})


async def test_a_drift_alert_tells_how_the_model_performs_though_the_worker_died_in_between() -> None:
    broker, table = Broker(), dict[str, bytes]()
    worse = performance_report(1, metric("recall", 0.2))
    await agent(table).handle(Batch(REPORTS, 0, records_of([bad(1), worse])), broker)
    await agent(table).handle(Batch(REPORTS, 0, records_of([bad(2)], 2)), broker)
    drift = next(alert for alert in broker.alerts if alert.rule == "data_drift")
    assert "recall 0.64 (95 % interval 0.63 to 0.65), baseline 0.8: 20.0% worse" in drift.message
    assert drift.evidence["metrics"]
    await agent(table).handle(Batch(REPORTS, 0, records_of([performance_report(2, metric("recall", 0.2))], 3)), broker)
    fallen = next(alert for alert in broker.alerts if alert.rule == "performance")
    assert "1 of its 2 features differs from the reference" in fallen.message
    assert "age: ks 0.6" in fallen.message
    over = [performance_report(window, metric("recall")) for window in (3, 4)]
    await agent(table).handle(Batch(REPORTS, 0, records_of(over, 4)), broker)
    assert "reference" not in broker.alerts[-1].message
    assert "beside" in {names_of(key)[-1] for key in table}
    assert {(rule, stage) for _, _, rule, stage in agent(table).stages()} == {
        ("data_drift", "firing"), ("critical_feature", "firing"),
    }  # fmt: skip
    newest = {alert.fingerprint: alert for alert in broker.alerts}.values()
    assert {(rule, level) for _, _, rule, _, level in agent(table).levels()} == {
        (alert.rule, alert.level) for alert in newest if alert.status == "firing"
    }


async def test_an_alert_is_pending_then_fires_then_is_calm_and_only_its_turns_are_told() -> None:
    broker, table = Broker(), dict[str, bytes]()
    monitoring = Monitoring(alerting=Alerting(data_drift=Rule(for_windows=3, clear_windows=2)))
    stages = []
    insufficient = msgspec.structs.replace(bad(3), sufficient=False)
    for offset, report in enumerate([good(0), bad(1), bad(2), insufficient, bad(4), good(5), good(6), bad(7), good(8)]):
        await agent(table, monitoring).handle(Batch(REPORTS, 0, records_of([report], offset)), broker)
        stages.append([stage for _, _, rule, stage in agent(table, monitoring).stages() if rule == "data_drift"])
    assert stages == [[], *[["pending"]] * 3, *[["firing"]] * 2, [], ["pending"], []]
    assert [alert.status for alert in broker.alerts if alert.rule == "data_drift"] == ["firing", "resolved"]


async def test_a_feature_that_nobody_named_has_a_state_once_it_has_drifted() -> None:
    broker, table = Broker(), dict[str, bytes]()
    names = [f"f{i}" for i in range(100)]
    seen = Scales(spans=(1,), chance=1e-5)
    for window in range(5):
        found = (found_at(names[7], window),) if window == 1 else ()
        calm = {"distribution": dict.fromkeys(names, 1)} if window > 1 else {}
        scales = msgspec.structs.replace(seen, found=found, calm=calm)
        report = drift_report(window, features=[feature(name) for name in names], scales=scales)
        await agent(table, Monitoring()).handle(Batch(REPORTS, 0, records_of([report], window)), broker)
    assert [(a.status, a.rule, a.level, a.title) for a in broker.alerts] == [
        ("firing", "feature_drift", "warning", "income 3: f7 has drifted"),
        ("resolved", "feature_drift", "warning", "income 3: f7 no longer drifts"),
    ]
    assert [key for key in table if "feature_drift" in key] == [key_of("income", "3", "feature_drift", "f7")]


def found_at(name: str, window: int) -> ScaleFinding:
    return ScaleFinding(
        name=name, fault="distribution", panes=1, shortest=1, n=80, effect_size=0.5, threshold=0.1, p_value=1e-9,
        since_panes=1, earliest_panes=1, latest_panes=1, since=end_of(window), column=feature(name, 0.5),
    )  # fmt: skip


def monitor_report(second: float, behind: dict[str, float], worker: str = "w1") -> MonitorReport:
    """A worker's report on its partitions: by how many seconds each is behind."""
    end = datetime.fromtimestamp(1_600_000_000 + second, UTC)
    return MonitorReport(
        model="driftline", model_version="group", profile_id="", window_start=end, window_end=end, revision=1, n=100,
        sufficient=True, emitted_at=end, worker=worker, lag={}, behind_seconds=0.0, dead_letters={},
        partitions={
            name: PartitionStanding(n=50, lag={"predictions": 5}, behind_seconds=seconds, dead_letters=0)
            for name, seconds in behind.items()
        },
    )  # fmt: skip


async def test_an_alert_about_a_partition_is_resolved_by_whoever_has_it_and_one_about_a_worker_is_closed() -> None:
    table: dict[str, bytes] = {}
    old = key_of("driftline", "group", "monitor", "lag of gone:4711")
    table[old] = msgspec.json.encode(RuleState(firing=True, started_at=1.5e9))
    broker = Broker()
    alerts = AlertsAgent(table, lambda *_: MONITORING, now=lambda: NOW)
    reports = [monitor_report(i, {"0": 90.0, "1": 90.0}) for i in range(2)]
    reports += [monitor_report(2 + i, {"1": 0.0}, "w2") for i in range(2)]  # the first is gone, and so is its report
    await alerts.handle(Batch(REPORTS, 0, records_of(reports)), broker)
    assert [(alert.labels["subject"], alert.status) for alert in broker.alerts] == [
        ("lag of gone:4711", "resolved"), ("lag of partition 0", "firing"), ("lag of partition 1", "firing"),
        ("lag of partition 1", "resolved"),
    ]  # fmt: skip
    assert "Reported by w2." in broker.alerts[-1].message


def tidying(table: dict[str, bytes], *, registered: bool) -> AlertsAgent:
    monitoring = MONITORING if registered else None
    return AlertsAgent(table, lambda *_: monitoring, now=lambda: NOW, partitions=1, is_registered=lambda *_: registered)


async def test_what_fires_of_a_version_that_is_gone_is_resolved_and_nothing_is_kept_of_it() -> None:
    broker, table = Broker(), dict[str, bytes]()
    await agent(table).handle(Batch(REPORTS, 0, records_of([bad(0), bad(1), good(2)])), broker)
    kept, tick = dict(table), Batch(REPORTS, 0, ())
    await tidying(table, registered=True).handle(tick, broker)
    assert table == kept
    broker.alerts.clear()
    broker.sends_left = 1
    with pytest.raises(Killed):
        await tidying(table, registered=False).handle(tick, broker)
    first, broker.alerts, broker.sends_left = broker.alerts, [], 9
    assert table == kept
    await tidying(table, registered=False).handle(tick, broker)
    assert [(a.status, a.rule) for a in broker.alerts] == [("resolved", "data_drift"), ("resolved", "critical_feature")]
    assert first[0].alert_id == broker.alerts[0].alert_id
    assert "not registered any more" in broker.alerts[0].message
    assert table == {"@0": kept["@0"]}
