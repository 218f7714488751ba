"""Alerts that flap: what each channel is notified of, by the clock that the agent is given."""

from __future__ import annotations

from datetime import timedelta

import pytest

from app.alerting.notify.routing import Policy, Routing
from tests.support.alert_events import of_rule, resolved
from tests.support.notify_world import StubChannel, Worker

POLICY = Policy(wait=5.0, interval=10.0, repeat=1800.0)
MOST = 5


async def minutes(worker: Worker, number: int, *, firing: int = 30) -> None:
    """Each minute the alert fires, for so many seconds of it."""
    for _ in range(number):
        worker.count += 1
        alert = of_rule("data_drift", f"{worker.count}")
        await worker.run(alert)
        await worker.ticks(firing, every=6)
        await worker.run(resolved(alert))
        await worker.ticks(60 - firing, every=6)


def flapping(*names: str) -> tuple[Worker, list[StubChannel]]:
    channels = [StubChannel(name) for name in names]
    worker = Worker(channels, routing=Routing(policy=POLICY), flapping=MOST)
    return worker, channels


async def test_an_alert_that_flaps_is_notified_once_as_flapping_and_once_when_it_has_settled() -> None:
    worker, (slack, log) = flapping("slack", "log")
    await minutes(worker, 60)
    said = [(told.reason, told.status) for told in slack.told]
    assert len(said) == 2 * MOST + 1
    assert said[-1] == ("flapping", "firing")
    assert slack.told[-1].title == "3/data_drift/features (flapping)"
    assert "more than 5 times within an hour" in slack.told[-1].firing[0].message
    worker.restart()
    await worker.ticks(3000, every=100)
    assert len(slack.told) == 2 * MOST + 1, "neither repeated nor settled yet"
    await worker.ticks(1200, every=100)
    (last,) = slack.told[2 * MOST + 1 :]
    assert (last.reason, last.status, last.title) == (
        "settled after flapping", "resolved", "3/data_drift/features (settled)"
    )  # fmt: skip
    assert len(log.ids) == 120, "a journal has all of it"
    assert [key for key in worker.table if "taken" not in key] == ["@0"]


async def test_one_that_has_settled_as_firing_is_notified_as_that_repeated_and_ended() -> None:
    worker, (slack,) = flapping("slack")
    await minutes(worker, 7)
    before = len(slack.told)
    alert = of_rule("data_drift", "last")
    await worker.run(alert)
    await worker.ticks(3500, every=100)
    assert len(slack.told) == before
    await worker.ticks(2100, every=100)
    await worker.run(resolved(alert))
    await worker.ticks(60, every=10)
    assert [(told.reason, told.status) for told in slack.told[before:]] == [
        ("settled after flapping", "firing"), ("repeat interval elapsed", "firing"), ("all resolved", "resolved")
    ]  # fmt: skip


async def test_faster_than_the_group_waits_it_is_notified_as_flapping_though_it_is_over_when_asked() -> None:
    worker, (slack,) = flapping("slack")
    await minutes(worker, 10, firing=3)
    assert [told.reason for told in slack.told] == ["flapping"]
    worker.now += timedelta(hours=1)
    await worker.ticks(20)
    assert [told.reason for told in slack.told] == ["flapping", "settled after flapping"]


@pytest.mark.parametrize("gap", [timedelta(minutes=13), timedelta(hours=2)])
async def test_as_often_as_the_setting_says_is_not_flapping(gap: timedelta) -> None:
    worker, (slack,) = flapping("slack")
    for _ in range(12):
        await minutes(worker, 1)
        worker.now += gap
    await worker.ticks(30)
    assert [told.status for told in slack.told] == ["firing", "resolved"] * 12


async def test_what_flaps_hides_nothing_else_of_its_group() -> None:
    worker, (slack,) = flapping("slack")
    await minutes(worker, 7)
    before = len(slack.told)
    other = of_rule("performance", "other")
    await worker.run(other)
    await minutes(worker, 3)
    await worker.run(resolved(other))
    await minutes(worker, 3)
    one, two = slack.told[before:]
    assert (one.reason, sorted(a.rule for a in one.firing)) == ("new alerts in group", ["data_drift", "performance"])
    assert (two.reason, [a.rule for a in two.resolved], two.status) == ("alerts resolved", ["performance"], "firing")
