"""Notifications of a group that were given up: what is notified again, and what is not."""

from __future__ import annotations

from app.alerting.notify.decision import MOST_SECONDS, Reason
from app.alerting.notify.routing import ELSEWHERE
from tests.support.alert_group import INTERVAL, REPEAT, WAIT, World, ids, slack


def test_a_root_that_was_given_up_is_no_root() -> None:
    world = slack()
    world.turn("data_drift")
    world.now += 100
    world.look(delivers=False)
    world.now += 100
    world.look(delivers=False)
    world.settle(delivered=False)
    world.turn("performance")
    world.wait(100)
    assert [telling.root for telling in world.told("slack")] == ["", ""]


def test_the_end_of_what_was_given_up_is_not_told() -> None:
    world = slack()
    world.turn("data_drift")
    world.now += WAIT
    world.look(delivers=False)
    world.now += WAIT
    world.look(delivers=False)
    world.settle(delivered=False)
    world.turn("data_drift")
    world.wait(200)
    assert [telling.reason for telling in world.told("slack")] == [Reason.FIRST]
    assert world.group.over
    assert world.taken_back == ["1"], "nobody is to send the beginning of what is over"


def away(world: World, *, then: float = 0.0) -> None:
    """What is decided on now is given up an hour later."""
    world.now += WAIT + INTERVAL
    world.look(delivers=False)
    world.now += WAIT
    world.look(delivers=False)
    world.now += then
    world.settle(delivered=False)


def test_an_end_that_was_given_up_is_told_after_the_repeat_interval_until_it_is_heard_and_once() -> None:
    world = slack()
    world.turn("data_drift")
    world.wait(10)
    world.turn("data_drift")
    away(world)
    given_up = world.now
    world.wait(REPEAT - 2 * WAIT)
    assert len(world.sent) == 2
    away(world)
    world.wait(3 * REPEAT)
    tellings = world.told("slack")
    assert [telling.reason for telling in tellings] == [
        Reason.FIRST, Reason.ALL_RESOLVED, Reason.GIVEN_UP, Reason.GIVEN_UP
    ]  # fmt: skip
    assert [ids(telling.resolved) for telling in tellings] == [[], ["2"], ["2"], ["2"]]
    assert world.sent[2][0] - given_up >= REPEAT - 2 * WAIT
    assert (world.group.over, world.taken_back) == (True, ["2", "3"])


def test_an_end_that_was_given_up_goes_with_the_next_message_of_its_group() -> None:
    world = slack()
    world.turn("data_drift")
    world.wait(10)
    world.turn("data_drift")
    away(world)
    world.turn("performance")
    world.wait(INTERVAL + WAIT + 2)
    last = world.told("slack")[-1]
    assert (last.reason, ids(last.firing), ids(last.resolved)) == (Reason.NEW_ALERTS, ["3"], ["2"])


def test_what_fires_again_before_its_end_was_heard_is_told_to_be_over_once() -> None:
    world = slack()
    world.turn("data_drift")
    world.wait(10)
    world.turn("data_drift")
    away(world)
    world.turn("data_drift")
    world.wait(1)
    world.turn("data_drift")
    world.wait(REPEAT)
    last = world.told("slack")[-1]
    assert (ids(last.firing), ids(last.resolved)) == ([], ["4"])
    assert world.known("slack") == {}


def test_a_level_that_was_given_up_is_told_to_a_channel_that_repeats_nothing() -> None:
    world = World({"alertmanager": ELSEWHERE})
    world.turn("data_drift")
    world.look()
    world.worsen("data_drift")
    world.look(delivers=False)
    world.settle(delivered=False)
    world.now += MOST_SECONDS
    world.look()
    world.look()
    assert [ids(telling.firing) for telling in world.told("alertmanager")] == [["1"], ["2"], ["2"]]
