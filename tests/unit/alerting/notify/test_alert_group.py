"""A group and its channels: when alerts are notified together, repeated, held back and forgotten."""

from __future__ import annotations

from itertools import pairwise

import msgspec
from msgspec.structs import replace

from app.alerting.notify.alert_group import AlertGroup
from app.alerting.notify.decision import Reason
from app.alerting.notify.routing import IMMEDIATE
from tests.support.alert_group import INTERVAL, POLICY, REPEAT, STEP, WAIT, World, ids, in_order, slack


def test_one_windows_alerts_travel_together_after_the_wait() -> None:
    world = slack()
    for rule in ("data_drift", "prediction_drift", "performance"):
        world.turn(rule)
        world.wait(1)
    assert world.sent == []
    world.wait(WAIT)
    ((when, telling),) = world.sent
    assert (when, telling.reason, len(telling.firing)) == (1000 + 1 + WAIT, Reason.FIRST, 3)


def test_the_first_notification_of_an_incident_is_the_root_of_the_others_until_all_is_over() -> None:
    world = slack()
    world.turn("data_drift")
    world.wait(100)
    world.turn("performance")
    world.wait(100)
    world.turn("data_drift")
    world.wait(100)
    world.turn("performance")
    world.wait(100)
    world.turn("data_drift")
    world.wait(100)
    assert [telling.root for telling in world.told("slack")] == ["", "1", "1", "1", ""]


def test_what_comes_later_waits_for_the_interval_and_brings_what_fires_already() -> None:
    world = slack()
    world.turn("data_drift")
    world.wait(10)
    world.turn("performance")
    world.wait(2 * INTERVAL)
    (first, _), (second, two) = world.sent
    assert second - first == INTERVAL
    assert (two.reason, ids(two.firing)) == (Reason.NEW_ALERTS, ["1", "2"])


def test_after_a_long_calm_one_windows_alerts_still_travel_together() -> None:
    world = slack()
    world.turn("data_drift")
    world.wait(300)
    world.turn("performance")
    world.look()
    world.wait(2)
    world.turn("data_quality")
    world.wait(10)
    assert [ids(telling.firing) for telling in world.told("slack")] == [["1"], ["1", "2", "3"]]


def test_what_fires_on_is_told_again_after_the_repeat_interval_and_not_before() -> None:
    world = slack()
    world.turn("data_drift")
    world.wait(3 * REPEAT)
    times = [when for when, _ in world.sent]
    assert [b - a for a, b in pairwise(times)] == [REPEAT, REPEAT]
    assert [telling.reason for telling in world.told("slack")][1:] == [Reason.REPEAT] * 2


def test_what_is_over_before_it_was_told_is_not_told() -> None:
    world = slack()
    world.turn("data_drift")
    world.look()
    world.turn("data_drift")
    world.wait(100)
    assert world.sent == []
    assert Reason.RESOLVED_UNSENT in [reasons["slack"] for reasons in world.reasons]
    assert world.group.over


def test_an_end_is_told_though_it_is_silenced_and_then_the_group_is_forgotten() -> None:
    world = slack()
    world.turn("data_drift")
    world.wait(10)
    world.mute("3/data_drift/features")
    world.turn("data_drift")
    world.wait(100)
    assert [telling.reason for telling in world.told("slack")] == [Reason.FIRST, Reason.ALL_RESOLVED]
    assert world.group.over


def test_while_one_is_under_way_the_next_waits_and_then_tells_what_is_so_by_then() -> None:
    world = slack()
    world.turn("data_drift")
    world.now += WAIT
    world.look()
    world.now += WAIT
    world.look(delivers=False)
    world.turn("performance")
    world.turn("data_drift")
    for _ in range(500):
        world.now += STEP
        world.look(delivers=False)
    assert world.reasons[-1] == {"slack": Reason.UNDER_WAY}
    world.settle()
    world.wait(WAIT + 2)
    last = world.told("slack")[-1]
    assert (ids(last.firing), ids(last.resolved)) == (["2"], ["3"])


def test_a_clock_that_is_set_back_delays_nothing() -> None:
    world = slack()
    world.turn("data_drift")
    world.wait(10)
    world.now -= 10_000
    world.turn("performance")
    world.wait(INTERVAL + WAIT)
    assert [ids(telling.firing) for telling in world.told("slack")] == [["1"], ["1", "2"]]


def test_a_journal_is_told_of_every_transition_at_once_and_never_again() -> None:
    world = World({"file": IMMEDIATE, "slack": POLICY})
    for _ in range(3):
        world.turn("data_drift")
        world.turn("performance")
    world.look()
    world.worsen("data_drift")
    world.look()
    world.wait(2 * REPEAT)
    told = [alert.alert_id for telling in world.told("file") for alert in in_order(telling)]
    assert told == [f"{i}" for i in range(1, 8)]


def test_a_journal_that_was_silenced_has_no_end_without_its_beginning() -> None:
    world = World({"file": IMMEDIATE})
    world.mute("3/data_drift/features")
    world.turn("data_drift")
    world.look()
    world.turn("data_drift")
    world.look()
    assert world.sent == []
    world.mute("3/data_drift/features")
    world.turn("data_drift")
    world.look()
    assert [ids(telling.firing) for telling in world.told("file")] == [["3"]]


def test_a_group_survives_the_wire() -> None:
    world = World({"slack": POLICY, "file": IMMEDIATE})
    world.turn("data_drift")
    world.look(delivers=False)
    group = world.group
    assert msgspec.json.decode(msgspec.json.encode(group), type=AlertGroup) == group
    assert replace(group, members={}) != group
