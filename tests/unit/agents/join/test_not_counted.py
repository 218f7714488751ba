"""What is not counted: noted by model version over the newest records, reported, and judged over all partitions."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import generate_latest

from agents.alerts.agent import AlertsAgent
from agents.join.not_counted import EVERY, IntakeMonitor
from agents.join.recent_counts import RECENT_MS, SETTLED, NotCountedThresholds, RecentRecords
from agents.join.store import JoinStore
from app.commands.top.not_counted import not_counted_lines
from app.core.config.monitoring import Monitoring
from app.faust_batches.batch import Batch
from app.ingest.decoding import Rejected, ids_of, unregistered
from app.ingest.naming import version_in
from app.read_model.not_counted import IntakeView
from app.telemetry.metrics import WORKER
from app.telemetry.stream import StreamMetrics
from tests.support.outputs import KeptOutput
from tests.support.reports import StubRecord, records_of
from topics.events import AlertEvent, IntakeReport
from topics.registry import ALERTS, REPORTS

NOW = datetime(2026, 6, 1, tzinfo=UTC)
MODEL = ("shop", "3")
NAMED = b'{"model": "shop", "model_version": "3", "timestamp": "?"}'


class Clock:
    """Wall clock and steady clock of a test."""

    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


def monitor(table: dict[str, bytes], clock: Clock, **shares: Any) -> IntakeMonitor:
    return IntakeMonitor(
        JoinStore(table), "workers", lambda model, version: "abc" if (model, version) == MODEL else None,
        thresholds=NotCountedThresholds(**{"window": 100, **shares}), wall=clock, now=clock,
    )  # fmt: skip


def records(n: int, value: bytes = b"{", timestamp: int = 0) -> list[StubRecord]:
    return [StubRecord(i, value, b"k%d" % i, timestamp) for i in range(n)]


def rejected(found: Sequence[StubRecord], reason: str = "`timestamp`: not one") -> list[Rejected]:
    return [Rejected(record, reason) for record in found]


@given(st.lists(st.tuples(st.integers(1, 60), st.integers(0, 60)), min_size=1, max_size=30), st.integers(1, 100))
def test_the_newest_records_are_as_a_recount_of_whole_runs_says(runs: list[tuple[int, int]], window: int) -> None:
    counted, log = RecentRecords(window), list[tuple[int, int]]()
    for n, most in runs:
        dead = min(n, most)
        counted.add(n, dead, 0, 0)
        log.append((n, dead))
        kept: list[tuple[int, int]] = []
        for one in reversed(log):
            if sum(n for n, _ in kept) >= window:
                break
            kept.append(one)
        assert (counted.recent, counted.dead) == (sum(n for n, _ in kept), sum(d for _, d in kept))


def test_what_the_broker_took_long_before_the_newest_no_longer_matters() -> None:
    counted = RecentRecords(1000)
    counted.add(10, 10, 0, 0)
    counted.add(1, 0, 0, RECENT_MS + 1)
    assert (counted.recent, counted.dead) == (1, 0)


def test_a_model_is_reported_at_once_when_too_much_of_it_is_set_aside_and_others_are_not() -> None:
    table, clock = dict[str, bytes](), Clock()
    intake = monitor(table, clock)
    run = records(20, NAMED)
    intake.note(0, 0, records(60), rejected(run), {("other", "1"): 40}, ())
    (report,) = intake.due(0, 0, ())
    assert (report.model, report.model_version, report.topic, report.partition) == (*MODEL, "predictions", 0)
    assert (report.n, report.recent, report.recent_dead, report.dead_letters) == (20, 20, 20, {"`timestamp`": 20})
    assert (report.last_offset, report.last_reason, report.profile_id) == (19, "`timestamp`", "abc")
    assert intake.due(0, 0, ()) == []
    assert sorted(intake.shares()) == [("predictions", MODEL, 1.0)]


def test_whoever_has_the_partition_next_reports_it_until_it_is_sound() -> None:
    table, clock = dict[str, bytes](), Clock()
    first = monitor(table, clock)
    first.note(0, 0, records(20), rejected(records(20, NAMED)), {}, ())
    assert len(first.due(0, 0, ())) == 1
    second = monitor(table, clock)
    second.note(0, 0, records(30), [], {MODEL: 30}, ())
    assert second.due(0, 0, ()) == []
    clock.at += EVERY
    (report,) = second.due(0, 0, ())
    assert (report.model, report.recent, report.recent_dead) == ("shop", 30, 0)
    clock.at += EVERY
    second.note(0, 0, records(30), [], {MODEL: 30}, ())
    assert second.due(0, 0, ()) == []


def test_what_names_no_registered_model_is_of_the_topic_and_strangers_are_named() -> None:
    table, clock = dict[str, bytes](), Clock()
    intake = monitor(table, clock)
    strangers = [Rejected(r, unregistered("who", str(i % 30)), True) for i, r in enumerate(records(60))]
    broken = rejected(records(10, b"\xff"), "malformed JSON: x")
    invented = rejected(records(5, b'{"model":"made up","model_version":"1"}'))
    intake.note(1, 0, records(100), [*strangers, *broken, *invented], {MODEL: 25}, ())
    (report,) = intake.due(1, 0, ())
    assert (report.model, report.model_version, report.profile_id) == ("driftline", "workers", "")
    assert (report.recent, report.recent_dead, report.recent_unregistered) == (100, 15, 60)
    assert report.dead_letters["malformed JSON"] == 10
    assert sum(report.unregistered.values()) == 60
    assert report.unregistered["other"] == 20


def test_feedback_without_a_prediction_counts_once_it_had_its_time() -> None:
    table, clock = dict[str, bytes](), Clock()
    intake = monitor(table, clock)
    run = records(50)
    keys = ids_of([record.key or b"" for record in run]).view("V16").ravel().tolist()
    waiting = dict.fromkeys(keys[:30])
    intake.note(0, 1, run, [], {}, waiting)
    clock.at += SETTLED - 1
    assert intake.due(0, 1, waiting) == []
    clock.at += EVERY
    del waiting[keys[0]]  # its prediction has come
    (report,) = intake.due(0, 1, waiting)
    assert (report.topic, report.settled, report.unmatched) == ("feedback", 50, 29)


def test_the_newest_settled_feedback_is_kept_while_newer_comes() -> None:
    table, clock = dict[str, bytes](), Clock()
    intake = monitor(table, clock)
    for _ in range(200):
        intake.note(0, 1, records(50), [], {}, ())
        clock.at += 1
    reports = list(intake.due(0, 1, ()))
    part = intake._parts[0, 1].unmatched
    assert reports == []
    assert part is not None
    assert part.count(clock.at, ())[0] >= 100
    assert len(part.blocks) <= SETTLED + 4


def test_the_ids_that_wait_to_be_settled_are_bounded_however_fast_feedback_comes() -> None:
    table, clock = dict[str, bytes](), Clock()
    intake = monitor(table, clock)
    run = records(100)
    waiting = dict.fromkeys(ids_of([record.key or b"" for record in run]).view("V16").ravel().tolist())
    for _ in range(2000):
        intake.note(0, 1, run, [], {}, waiting)
        clock.at += 0.05
    part = intake._parts[0, 1].unmatched
    assert part is not None
    assert sum(len(ids) for _, _, ids in part.blocks) <= (SETTLED + 3) * 2 * len(run)
    settled, unmatched = part.count(clock.at, waiting)
    assert settled == unmatched >= 100


def a_report(partition: int, second: int, **changes: Any) -> IntakeReport:
    end = datetime.fromtimestamp(NOW.timestamp() + second, UTC)
    fields: dict[str, Any] = {
        "model": MODEL[0], "model_version": MODEL[1], "profile_id": "abc", "window_start": end, "window_end": end,
        "revision": second, "n": 10, "sufficient": True, "emitted_at": end, "topic": "predictions",
        "partition": partition, "dead_letters": {}, "unregistered": {}, "recent": 100, "recent_dead": 0,
        "recent_unregistered": 0, "settled": 0, "unmatched": 0, "threshold": 0.5, "unregistered_threshold": 0.01,
        "unmatched_threshold": 0.5,
    }  # fmt: skip
    return IntakeReport(**fields | changes)


async def told(reports: Sequence[IntakeReport], cut: int) -> list[AlertEvent]:
    """The alerts of reports, by two agents of which the second goes on where the first was cut off."""
    table, sent, all_ = dict[str, bytes](), KeptOutput(), records_of(reports)
    for part in (all_[:cut], all_[cut:]):
        agent = AlertsAgent(table, lambda model, version: Monitoring(), now=lambda: NOW)
        await agent.handle(Batch(REPORTS, 0, part), sent)
    assert (len(sent.of(ALERTS)), sent.rejected) == (len(sent.records), [])
    return sent.alerts()


@pytest.mark.parametrize("cut", range(5))
async def test_an_alert_is_of_all_partitions_and_over_when_their_share_is(cut: int) -> None:
    reports = [
        a_report(0, 1, recent_dead=100),
        a_report(1, 2, recent_dead=10),  # 110 of 200
        a_report(2, 3, recent_dead=0),  # 110 of 300
        a_report(0, 4, recent_dead=0),
    ]
    alerts = await told(reports, cut)
    assert [(a.status, a.level, a.rule, a.labels["subject"]) for a in alerts] == [
        ("firing", "critical", "dead_letters", "predictions"), ("resolved", "critical", "dead_letters", "predictions"),
    ]  # fmt: skip
    assert alerts[0].title == "shop 3: 100% of its newest predictions are dead letters"
    assert alerts[0].labels["model"] == "shop"


async def test_a_few_records_are_no_alert_however_large_their_share() -> None:
    assert await told([a_report(0, 1, recent=19, recent_dead=19)], 0) == []


async def test_strangers_and_truth_without_a_prediction_have_rules_of_their_own() -> None:
    itself: dict[str, Any] = {"model": "driftline", "model_version": "workers", "profile_id": ""}
    reports = [
        a_report(0, 1, **itself, recent=1000, recent_unregistered=30, unregistered={"who 1": 30}),
        a_report(0, 2, **itself, topic="feedback", settled=100, unmatched=60),
        a_report(0, 3, **itself, recent=1000),
        a_report(0, 4, **itself, topic="feedback", settled=100, unmatched=20),
    ]
    alerts = await told(reports, 2)
    assert [(a.status, a.level, a.rule) for a in alerts] == [
        ("firing", "error", "unregistered"), ("firing", "warning", "unmatched"),
        ("resolved", "error", "unregistered"), ("resolved", "warning", "unmatched"),
    ]  # fmt: skip
    assert "who 1: 30 dead letters" in alerts[0].message


NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)


@given(NAMES, NAMES, st.binary(max_size=40), st.integers(0, 200))
def test_a_record_that_is_cut_or_wrong_still_names_its_model(model: str, version: str, tail: bytes, cut: int) -> None:
    value = msgspec.json.encode({"model": model, "model_version": version, "features": {"model": "no"}})
    assert version_in(value) == (model, version)
    begin = len(msgspec.json.encode({"model": model, "model_version": version})) - 1
    assert version_in(value[: begin + cut % 5] + b",\xff" + tail) == (model, version)
    version_in(value[:cut] + tail)  # whatever it is, it is no error


def test_numbers_are_names_too_and_what_is_none_is_none() -> None:
    assert version_in(b'{"model":"m","model_version":3}') == ("m", "3")
    assert [version_in(one) for one in (None, b"", b"null", b"[1]", b"[" * 30_000, b'{"model":"m"}')] == [None] * 6


def test_a_report_says_the_reasons_without_values_and_names_not_too_many() -> None:
    table, clock = dict[str, bytes](), Clock()
    intake = monitor(table, clock)
    run = records(50, NAMED)
    rng = random.Random(1)
    reasons = [f"reason {rng.randrange(40)}: secret" for _ in run]
    intake.note(0, 0, run, [Rejected(r, reason) for r, reason in zip(run, reasons, strict=True)], {}, ())
    (report,) = intake.due(0, 0, ())
    wanted = Counter(reason.partition(":")[0] for reason in reasons)
    assert sum(report.dead_letters.values()) == 50
    assert all(wanted[name] == n for name, n in report.dead_letters.items() if name != "other")
    assert "secret" not in msgspec.json.encode(report).decode()


def test_the_page_and_top_have_the_newest_of_all_partitions() -> None:
    view = IntakeView()
    view.take(a_report(0, 1, recent_dead=100, last_reason="late"))
    view.take(a_report(1, 2, recent_dead=20))
    view.take(a_report(0, 3, recent_dead=60))
    itself: dict[str, Any] = {"model": "driftline", "model_version": "workers", "profile_id": ""}
    view.take(a_report(0, 4, **itself, unregistered={"who 1": 3}))
    view.take(a_report(1, 5, **itself, unregistered={"who 1": 2}, recent_dead=100, last_reason="malformed JSON"))
    view.take(a_report(0, 6, **itself, topic="feedback", settled=100, unmatched=30))
    found = view.now()
    assert [(one.model, one.recent, one.dead, one.beyond, one.reason) for one in found.set_aside] == [
        ("driftline", 200, 100, False, "malformed JSON"), ("shop", 200, 80, False, "late")
    ]  # fmt: skip
    assert [(one.name, one.count) for one in found.unregistered] == [("who 1", 5)]
    assert found.unmatched is not None
    assert (found.unmatched.unmatched, found.unmatched.settled, found.unmatched.beyond) == (30, 100, False)
    assert view.share("shop", "3") == 0.4
    assert view.share("shop", "4") is None
    assert not_counted_lines(found) == [
        "not registered: who 1 (5): driftline register", "truth without a prediction: 30 of the newest 100",
    ]  # fmt: skip
    view.take(a_report(2, 7, recent=500, recent_dead=500, last_reason="late"))
    (beyond,) = [one for one in view.now().set_aside if one.beyond]
    assert (beyond.model, beyond.registered) == ("shop", True)
    assert not_counted_lines(view.now())[0] == "dead letters: shop 3 83% (late): driftline dead-letters list"
    view.take(a_report(2, 8, recent=500))
    view.take(a_report(0, 9))
    view.take(a_report(1, 10))
    assert view.share("shop", "3") is None


def test_the_metrics_have_the_share_of_each_model_version_and_the_strangers() -> None:
    metrics = StreamMetrics()
    metrics.set_aside([("predictions", MODEL, 0.75)])
    metrics.intake(a_report(0, 1, unregistered={"a stranger 1": 3}))
    text = generate_latest(WORKER).decode()
    assert 'driftline_dead_letter_share_ratio{model="shop",model_version="3",topic="predictions"} 0.75' in text
    assert 'driftline_unregistered_records_total{model="a stranger",model_version="1"} 3.0' in text
    metrics.set_aside([])
    assert "driftline_dead_letter_share_ratio{" not in generate_latest(WORKER).decode()
