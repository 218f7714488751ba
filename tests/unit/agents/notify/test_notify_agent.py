"""The notify agent without Kafka: groups and channels, retries, silences, what came of it, crashes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import msgspec
import pytest

from agents.notify.agent import AT_ONCE
from app.alerting.notify.channel import Delivered, Outcome, Permanent, Retryable
from app.alerting.notify.notification import Notification
from app.alerting.notify.retry_policy import RetryPolicy
from app.alerting.notify.routing import Policy, Routing
from app.core.config.routes import DEFAULT_INHIBIT, Route
from tests.support.alert_events import alert_event, of_rule, resolved, silence
from tests.support.notify_world import AT_ONCE_POLICY, Killed, StubChannel, Worker
from tests.support.reports import START
from topics.events import AlertEvent, Hours
from topics.registry import REPORTS


@dataclass
class HangingChannel(StubChannel):
    """Answers when it is let go."""

    def __post_init__(self) -> None:
        self.asked, self.let_go = asyncio.Event(), asyncio.Event()

    async def deliver(self, notification: Notification) -> Outcome:
        self.asked.set()
        await self.let_go.wait()
        return await super().deliver(notification)


def other(alert_id: str, **changes: object) -> AlertEvent:
    """An alert of its own."""
    return alert_event(alert_id, fingerprint=alert_id, **changes)


async def test_each_channel_is_told_once_though_the_alert_comes_again() -> None:
    a, b = StubChannel("a"), StubChannel("b")
    worker = Worker([a, b])
    await worker.run(other("1"), other("2"), other("1"))
    await worker.run(other("1"))
    await worker.tick()
    assert a.ids == b.ids == ["1", "2"]
    assert {(e.alert_id, e.channel, e.outcome, e.attempts, e.reason) for e in worker.sent} == {
        (alert, channel, "delivered", 1, "first notification") for alert in "12" for channel in "ab"
    }
    assert worker.table["@0"] == b"4"


async def test_one_incident_is_one_message_with_its_name_and_one_more_when_it_is_over() -> None:
    channel = StubChannel("slack")
    worker = Worker([channel], routing=Routing(policy=Policy(wait=5, interval=10, repeat=3600)))
    alerts = [of_rule(rule) for rule in ("performance", *(f"critical_feature:f{i}" for i in range(14)))]
    await worker.run(*alerts)
    await worker.ticks(10)
    await worker.run(*map(resolved, alerts))
    await worker.ticks(20)
    first, last = channel.told
    assert (len(first.firing), first.status, first.reason) == (15, "firing", "first notification")
    assert first.title == (
        "income 3: 3/performance/features; 3/critical_feature:f0/features; 3/critical_feature:f1/features and 12 more"
    )
    assert first.labels == {"model": "income", "model_version": "3", "subject": "features"}
    assert (len(last.resolved), last.status, last.reason) == (15, "resolved", "all resolved")
    assert len({first.notification_id, last.notification_id}) == 2


async def test_records_below_the_watermark_are_skipped() -> None:
    channel = StubChannel("a")
    worker = Worker([channel])
    await worker.run(other("1"), other("2"))
    worker.offset = 0
    await worker.run(other("1"), other("2"))
    await worker.tick()
    assert len(worker.sent) == 2


async def test_what_may_work_later_is_tried_again_and_its_state_survives_a_restart() -> None:
    channel = StubChannel("a", [Retryable("busy")] * 3)
    worker = Worker([channel], patience=RetryPolicy(first_wait=4.0, longest_wait=8.0))
    await worker.run(other("1"))
    for _ in range(60):
        await worker.tick(0.5)
        await worker.handle()  # what has come of it is recorded, and nothing later has begun
        worker.restart()
    assert [(e.outcome, e.attempts, e.detail) for e in worker.sent] == [("delivered", 4, "there")]
    assert not any("/pending/" in key for key in worker.table)


async def test_what_the_channel_asks_to_wait_is_waited_and_nothing_else_goes_there() -> None:
    channel = StubChannel("a", [Retryable("slow down", after=30.0)])
    worker = Worker([channel])
    await worker.run(of_rule("data_drift"))
    await worker.tick()
    await worker.run(of_rule("data_drift", version="4"))
    await worker.ticks(29)
    assert channel.attempts == 1
    await worker.ticks(3)
    assert sorted(channel.ids) == ["3/data_drift/features", "4/data_drift/features"]


async def test_after_the_budget_it_is_a_dead_letter_that_holds_all_and_the_others_are_told() -> None:
    bad, good = StubChannel("bad", [Retryable("busy")] * 999), StubChannel("good")
    worker = Worker([bad, good], patience=RetryPolicy(budget_seconds=60.0, first_wait=1.0, longest_wait=10.0))
    await worker.run(other("1"), other("2"))
    await worker.ticks(90)
    assert {(e.alert_id, e.channel, e.outcome, e.detail) for e in worker.sent} == {
        (alert, *what) for alert in "12" for what in (("bad", "failed", "busy"), ("good", "delivered", "there"))
    }
    (letter,) = worker.undelivered
    assert (letter.channel, letter.reason, letter.attempts) == ("bad", "busy", bad.attempts)
    assert letter.attempts > 6
    assert 50 <= (letter.failed_at - letter.since).total_seconds() <= 61
    told = msgspec.json.decode(letter.notification, type=Notification)
    assert told.firing == (other("1"), other("2"))
    assert told.notification_id == letter.notification_id == worker.sent[-1].notification_id


async def test_what_will_never_work_is_tried_once() -> None:
    channel = StubChannel("a", [Permanent("no such address")])
    worker = Worker([channel])
    await worker.run(other("1"))
    await worker.ticks(100)
    assert [(e.outcome, e.attempts) for e in worker.sent] == [("failed", 1)]
    assert channel.attempts == 1


async def test_a_channel_that_raises_stops_nothing_and_its_words_stay_secret(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    channel = StubChannel("a", [RuntimeError("https://hooks/secret")])
    worker = Worker([channel, StubChannel("b")])
    await worker.run(other("1"))
    await worker.tick()
    assert {(e.channel, e.outcome, e.detail) for e in worker.sent} == {
        ("a", "failed", "the channel failed with RuntimeError"), ("b", "delivered", "there"),
    }  # fmt: skip
    assert "secret" not in caplog.text


async def test_a_channel_that_does_not_answer_is_asked_again() -> None:
    worker = Worker([HangingChannel("a")], patience=RetryPolicy(budget_seconds=0.5, attempt_seconds=0.01))
    await worker.run(other("1"))
    await worker.ticks(3)
    ((outcome, detail),) = [(e.outcome, e.detail) for e in worker.sent]
    assert (outcome, detail) == ("failed", "no answer in 0.01 s")


async def test_a_channel_that_hangs_delays_no_other_and_not_the_stream() -> None:
    slow, quick = HangingChannel("slow"), StubChannel("quick")
    worker = Worker([slow, quick])
    for i in range(30):
        await worker.handle(of_rule("data_drift", version=str(i)))
    await slow.asked.wait()
    while len(quick.told) < 30:
        await worker.handle()
        await asyncio.sleep(0)
    assert slow.told == []
    assert worker.table["@0"] == b"30"
    assert len(worker.agent._deliveries._tasks) <= AT_ONCE
    slow.let_go.set()
    while len(slow.told) < 30:
        await worker.run()


async def test_no_more_is_under_way_than_may_be_told_twice() -> None:
    slow = HangingChannel("slow")
    worker = Worker([slow])
    await worker.handle(*(of_rule("data_drift", version=str(i)) for i in range(3 * AT_ONCE)))
    assert len(worker.agent._deliveries._tasks) == AT_ONCE
    slow.let_go.set()
    await worker.rest()
    assert len(slow.told) == AT_ONCE, "none begins before those that are over are recorded"
    await worker.handle()
    assert len(worker.sent) == AT_ONCE


async def test_an_unknown_channel_fails_with_the_name_of_the_setting() -> None:
    worker = Worker([StubChannel("a")], wanted=("a", "pigeon"))
    await worker.run(other("1"))
    await worker.tick()
    assert {(e.channel, e.outcome) for e in worker.sent} == {("a", "delivered"), ("pigeon", "failed")}
    assert worker.undelivered[0].reason == "alerting.channels: there is no 'pigeon', only a"


async def test_after_a_crash_nothing_that_was_recorded_is_told_again_and_what_came_of_it_is_published() -> None:
    channel = StubChannel("a")
    worker = Worker([channel])
    await worker.run(other("1"))
    worker.killed = True
    with pytest.raises(Killed):
        await worker.tick()
    worker.killed = False
    worker.restart()
    await worker.ticks(3)
    assert channel.ids == ["1"]
    assert [e.outcome for e in worker.sent] == ["delivered"]


async def test_a_kill_before_it_was_recorded_tells_again_under_the_same_id() -> None:
    channel = StubChannel("a")
    worker = Worker([channel])
    await worker.run(other("1"))
    worker.restart()
    await worker.ticks(3)
    first, again = channel.told
    assert first == again
    assert len(worker.sent) == 1


@pytest.mark.parametrize("writes", range(13))
async def test_a_kill_after_any_write_loses_nothing(writes: int) -> None:
    a, b = StubChannel("a"), StubChannel("b", [Retryable("busy")])
    worker = Worker([a, b], patience=RetryPolicy(first_wait=0.1))
    alerts = [other("1"), other("2")]
    worker.table.writes_left = writes
    try:
        await worker.run(*alerts)
        await worker.ticks(3)
    except Killed:
        worker.table.writes_left = 1_000_000
        worker.offset = int(worker.table.get("@0", b"0"))
        worker.restart()
        await worker.tick()  # a tick may come before the record that was being taken
        await worker.run(*alerts[worker.offset :])
    await worker.ticks(5)
    for channel in (a, b):
        assert set(channel.ids) == {"1", "2"}
        assert len(channel.told) <= 2
    await worker.run(resolved(other("1")), resolved(other("2")))
    await worker.ticks(5)
    for channel in (a, b):
        assert channel.ids[-2:] == ["1-over", "2-over"]
    assert not any("/group/" in key or "/pending/" in key for key in worker.table)


async def test_what_cannot_be_read_is_a_dead_letter_and_the_rest_is_told() -> None:
    channel = StubChannel("a")
    worker = Worker([channel])
    await worker.run(b"{", None, b'{"alert_id":1}', other("1"))
    assert [r.record.offset for r in worker.rejected] == [0, 1, 2]
    assert channel.ids == ["1"]
    assert worker.table["@0"] == b"4"


async def test_what_fires_on_is_told_again_after_a_restart_and_the_repeat_interval() -> None:
    channel = StubChannel("a")
    worker = Worker([channel])
    await worker.run(other("1"))
    await worker.tick()
    worker.restart()
    await worker.ticks(3500, every=100)
    assert len(channel.told) == 1
    await worker.ticks(200, every=100)
    assert [told.reason for told in channel.told] == ["first notification", "repeat interval elapsed"]
    assert channel.told[0].notification_id != channel.told[1].notification_id


async def test_a_silence_holds_an_alert_back_until_it_is_over(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "agents")
    channel = StubChannel("a")
    worker = Worker(
        [channel], silences=[silence("rule=data_drift", starts_at=START, ends_at=START + timedelta(hours=1))]
    )
    await worker.run(of_rule("data_drift"), of_rule("performance"))
    await worker.ticks(3)
    assert channel.ids == ["3/performance/features"]
    await worker.run(resolved(of_rule("performance")))
    await worker.ticks(3590, every=10)
    assert "silenced" in caplog.text
    assert channel.ids[1:] == ["3/performance/features-over"]
    await worker.ticks(20, every=10)
    assert channel.ids[2:] == ["3/data_drift/features"]


async def test_a_silence_takes_effect_within_a_second_of_being_known() -> None:
    channel = StubChannel("a")
    worker = Worker([channel], routing=Routing(policy=Policy(wait=5, interval=5, repeat=20)))
    await worker.run(of_rule("data_drift"))
    await worker.ticks(10)
    worker.silences.append(silence("rule=data_drift", starts_at=START, ends_at=START + timedelta(hours=1)))
    await worker.ticks(60)
    assert len(channel.told) == 1
    worker.silences.clear()
    await worker.tick(1)
    assert [told.reason for told in channel.told] == ["first notification", "repeat interval elapsed"]


async def test_the_end_of_an_alert_goes_wherever_its_beginning_went() -> None:
    pager, chat = StubChannel("pager"), StubChannel("chat")
    routes = (Route(channels=("pager",), min_level="critical"), Route(channels=("chat",)))
    worker = Worker([pager, chat], routing=Routing(routes, policy=AT_ONCE_POLICY))
    alert = of_rule("performance", "1")
    worse = msgspec.structs.replace(alert, alert_id="2", level="critical")
    for event in (alert, worse, resolved(worse, "3")):
        await worker.run(event)
        await worker.tick()
        await worker.tick()
    assert (pager.ids, chat.ids) == (["2", "3"], ["1", "2", "3"])


async def test_a_partition_that_moves_away_and_comes_back_is_read_anew() -> None:
    channel = StubChannel("a")
    worker = Worker([channel])
    await worker.run(other("1"))
    await worker.tick()
    worker.agent.forget()
    await worker.run(resolved(other("1")))
    assert channel.ids == ["1", "1-over"]


async def test_nothing_is_begun_and_all_is_recorded_before_partitions_change_hands() -> None:
    channel = HangingChannel("a")
    worker = Worker([channel])
    await worker.handle(other("1"))
    pausing = asyncio.create_task(worker.agent.pause())
    await asyncio.sleep(0)  # it begins
    await worker.handle()
    await worker.handle(of_rule("data_drift", version="4"))
    assert not pausing.done()
    channel.let_go.set()
    await worker.rest()
    await worker.ticks(3)
    await pausing
    assert (channel.ids, [e.outcome for e in worker.sent]) == (["1"], ["delivered"])
    worker.agent.forget([1, 2])
    await worker.ticks(3)
    assert len(channel.ids) == 2


async def test_what_is_under_way_in_a_partition_that_stays_is_recorded_when_others_move() -> None:
    channel = HangingChannel("a")
    worker = Worker([channel])
    await worker.handle(other("1"))
    for _ in range(3):
        worker.agent.forget([1, 2])
        await worker.agent.prepare(0)
    channel.let_go.set()
    await worker.rest()
    for _ in range(3):
        worker.agent.forget([1, 2])
    await worker.ticks(3)
    assert channel.ids == ["1"]
    assert [e.outcome for e in worker.sent] == ["delivered"]


async def test_what_is_under_way_while_partitions_move_is_recorded_when_they_come_back() -> None:
    channel = HangingChannel("a")
    worker = Worker([channel])
    await worker.handle(other("1"))
    worker.agent.forget()
    await worker.handle()
    channel.let_go.set()
    await worker.rest()
    await worker.ticks(3)
    assert channel.ids == ["1"]
    assert [e.outcome for e in worker.sent] == ["delivered"]


async def test_a_worker_that_stops_records_what_is_under_way_and_begins_nothing() -> None:
    channel = HangingChannel("a")
    worker = Worker([channel])
    await worker.handle(other("1"))
    stopping = asyncio.create_task(worker.agent.stop())
    await asyncio.sleep(0)  # it has begun
    await worker.handle(of_rule("performance", version="4"))
    channel.let_go.set()
    await worker.rest()
    assert not stopping.done()
    await worker.handle()
    await stopping
    assert channel.ids == ["1"]
    assert [e.alert_id for e in worker.sent] == ["1"]


async def test_an_alert_is_not_told_twice_as_long_as_its_report_can_be_judged_again() -> None:
    channel = StubChannel("a")
    worker = Worker([channel])
    await worker.run(other("1"), resolved(other("1")))
    week = timedelta(days=7)  # a log is cut a segment at a time
    worker.now += timedelta(days=REPORTS.retention_days) + week
    await worker.run(other("2"))
    await worker.tick()
    await worker.run(other("1"))
    await worker.tick()
    assert channel.ids == ["2"]


async def test_the_table_does_not_grow_with_the_alerts_ever_told() -> None:
    worker = Worker([StubChannel("a"), StubChannel("b")])
    sizes = []
    for day in range(200):
        worker.now = START + timedelta(days=day)
        alerts = [other(f"{day}-{i}") for i in range(3)]
        await worker.run(*alerts)
        await worker.tick()
        await worker.run(*map(resolved, alerts))
        await worker.tick()
        sizes.append(len(worker.table))
    assert sizes[199] == sizes[100] <= 1 + 6 * (2 * REPORTS.retention_days + 2)
    assert worker.table["@0"] == b"1200"
    assert any("/199-0" in key for key in worker.table)


async def test_a_partition_forgets_only_what_it_wrote_itself() -> None:
    worker = Worker([StubChannel("a")])
    await worker.run(other("1"), resolved(other("1")), partition=1)
    await worker.run(other("2"), resolved(other("2")), partition=10)
    worker.now += timedelta(days=365)
    await worker.run(other("3"), partition=1)
    kept = sorted(key for key in worker.table if "taken" in key)
    assert kept == ["1/taken/3", "10/taken/2", "10/taken/2-over"]


@pytest.mark.parametrize(("again", "told"), [("1", ["1-over"]), ("", []), ("another transition", [])])
async def test_the_end_of_what_was_given_up_is_told_once_it_was_sent_again(again: str, told: list[str]) -> None:
    slack = StubChannel("slack", answers=[Permanent("no such channel")])
    worker = Worker([slack])
    await worker.run(other("1"))
    await worker.tick()
    (letter,) = worker.undelivered
    notification = msgspec.json.decode(letter.notification, type=Notification)
    if again:
        worker.redelivered[notification.group, "slack"] = {"1": again}
    await worker.run(resolved(other("1")))
    await worker.tick()
    assert slack.ids == told


async def test_an_end_that_was_sent_again_by_hand_is_not_sent_once_more() -> None:
    slack = StubChannel("slack", answers=[Delivered(), Permanent("no such channel")])
    worker = Worker([slack])
    await worker.run(other("1"))
    await worker.run(resolved(other("1")))
    await worker.tick()
    (letter,) = worker.undelivered
    notification = msgspec.json.decode(letter.notification, type=Notification)
    worker.redelivered[notification.group, "slack"] = {"1": "1-over"}
    await worker.ticks(7300, every=100)
    assert slack.ids == ["1"]
    assert worker.taken_back == [f"{letter.notification_id}/slack".encode()]
    assert not any("/group/" in key for key in worker.table)


async def test_a_traffic_stop_keeps_drift_quiet_and_what_drifts_on_is_told_once_traffic_is_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "agents")
    channel = StubChannel("a")
    worker = Worker([channel], inhibit=DEFAULT_INHIBIT)
    stop, drift = of_rule("traffic", subject="stopped"), of_rule("data_drift")
    await worker.run(stop, drift, of_rule("data_drift", version="4"))
    await worker.ticks(3)
    assert sorted(channel.ids) == ["3/traffic/stopped", "4/data_drift/features"]
    await worker.run(resolved(stop))
    await worker.ticks(3)
    assert channel.ids[2:] == ["3/data_drift/features", "3/traffic/stopped-over"]


async def test_a_maintenance_window_keeps_quiet_until_it_is_over(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "agents")
    channel = StubChannel("a")
    hours = Hours(weekdays=("mon",), start="00:00", end="01:00", zone="UTC")
    worker = Worker([channel], silences=[silence("model=income", starts_at=START, ends_at=None, hours=hours)])
    await worker.run(of_rule("data_drift"))
    await worker.ticks(3500, every=100)
    assert (START.weekday(), channel.ids) == (0, [])
    assert "muted by maintenance window" in caplog.text
    await worker.ticks(200, every=100)
    assert channel.ids == ["3/data_drift/features"]


@dataclass
class KeepingChannel(StubChannel):
    """Takes what fires, each time that it is asked to."""

    kept: dict[int, list[str]] = field(default_factory=dict)

    def keep(self, partition: int, firing: Callable[[], Sequence[AlertEvent]]) -> None:
        self.kept[partition] = sorted(alert.alert_id for alert in firing())


async def test_what_a_channel_keeps_is_what_it_knows_to_fire_after_a_restart_too() -> None:
    channel = KeepingChannel("alertmanager")
    worker = Worker([channel], silences=[silence("model=quiet", starts_at=START, ends_at=START + timedelta(hours=1))])
    quiet = other("quiet", labels={**other("1").labels, "model": "quiet"})
    await worker.run(other("1"), other("2"), quiet)
    await worker.tick()
    assert channel.kept == {0: ["1", "2"]}
    # it is known to fire, and Alertmanager has silences of its own
    worker.silences.append(silence("model=income", starts_at=START, ends_at=START + timedelta(hours=1)))
    worker.restart()
    channel.kept.clear()
    await worker.tick()
    assert channel.kept == {0: ["1", "2"]}
    await worker.run(resolved(other("1")))
    await worker.tick()
    assert channel.kept == {0: ["2"]}


async def test_a_level_that_changes_is_kept_once_it_was_told() -> None:
    channel = KeepingChannel("alertmanager", answers=[Delivered(), Retryable("not now", 60.0)])
    worker = Worker([channel])
    await worker.run(other("1"))
    await worker.run(alert_event("1b", fingerprint="1", level="critical"))
    assert channel.kept == {0: ["1b"]}


async def test_alertmanager_waits_for_no_group_and_repeats_nothing() -> None:
    slow = Policy(wait=30.0, interval=300.0, repeat=600.0)
    alertmanager, slack = StubChannel("alertmanager"), StubChannel("slack")
    worker = Worker([alertmanager, slack], routing=Routing(policy=slow))
    await worker.run(other("1"))
    assert (alertmanager.ids, slack.ids) == (["1"], [])
    await worker.run(resolved(other("1")))
    await worker.run(other("2"))
    assert len(alertmanager.told) == 3
    await worker.ticks(1300, every=100)
    assert len(alertmanager.told) == 3
    assert len(slack.told) > 1


async def test_an_alert_that_is_over_by_itself_is_resolved_once_unless_it_is_sent_again() -> None:
    channel = StubChannel("slack")
    worker = Worker([channel])
    until = START + timedelta(seconds=60)
    alert = alert_event("a", rule="external", started_at=START, expires_at=until)
    await worker.run(alert)
    worker.now = START + timedelta(seconds=50)
    await worker.run(msgspec.structs.replace(alert, expires_at=until + timedelta(seconds=60)))  # it says nothing new
    worker.restart()
    worker.now = until + timedelta(seconds=30)
    await worker.run()
    assert (channel.ids, worker.alerts) == (["a"], [])
    worker.now = until + timedelta(seconds=60)
    await worker.run()
    (end,) = worker.alerts
    assert (end.alert_id, end.status, end.ended_at) == ("a-expired", "resolved", worker.now)
    worker.now += timedelta(seconds=2)
    await worker.run(end)
    assert channel.ids == ["a", "a-expired"]
    worker.now += timedelta(days=1)
    await worker.run()
    assert worker.alerts == [end]


async def test_an_alert_that_was_over_before_anybody_was_notified_is_notified_first() -> None:
    channel = StubChannel("slack")
    worker = Worker([channel], routing=Routing(policy=Policy(wait=5.0, interval=0.0)))
    worker.now = START + timedelta(hours=2)  # no worker was there
    await worker.run(alert_event("a", rule="external", started_at=START, expires_at=START + timedelta(hours=1)))
    await worker.tick(4.0)
    assert (channel.ids, worker.alerts) == ([], [])
    await worker.ticks(3.0)
    (end,) = {alert.alert_id: alert for alert in worker.alerts}.values()
    assert (channel.ids, end.alert_id, end.ended_at) == (["a"], "a-expired", START + timedelta(hours=1))
    await worker.run(end)
    await worker.ticks(6.0)
    assert channel.ids == ["a", "a-expired"]
