"""Properties of a group over any course of events, held against a plain reading of what was notified."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from app.alerting.notify.decision import MOST_SECONDS, Reason
from app.alerting.notify.routing import IMMEDIATE
from tests.support.alert_group import INTERVAL, POLICY, REPEAT, STEP, WAIT, World, ids, in_order, slack

RULES = st.sampled_from(["data_drift", "performance", "traffic"])
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("turn"), RULES),
        st.tuples(st.just("worsen"), RULES),
        st.tuples(st.just("mute"), RULES),
        st.tuples(st.just("wait"), st.sampled_from([1.0, 3.0, 7.0, 30.0, 70.0, 610.0])),
        st.tuples(st.sampled_from(["hang", "settle", "fail"]), st.none()),
    ),
    max_size=15,
)


def play(world: World, events: Sequence[tuple[str, object]]) -> None:
    """A course of events, a look after each, and looks while time passes."""
    hangs = False
    for what, on in events:
        if what == "turn":
            world.turn(str(on))
        elif what == "worsen":
            world.worsen(str(on))
        elif what == "mute":
            world.mute(f"3/{on}/features")
        elif what in ("settle", "fail"):
            world.settle(delivered=what == "settle")
            hangs = False
        hangs = hangs or what == "hang"
        for _ in range(int(on / STEP) if isinstance(on, float) else 1):
            world.now += STEP if isinstance(on, float) else 0.0
            world.look(delivers=not hangs)
            if not hangs:
                check_nothing_waits_too_long(world)
    world.settle()


def check_nothing_waits_too_long(world: World) -> None:
    """What fires unmuted, unchanged while the channel was free for so long, has been told there (and maybe lost)."""
    for channel, policy in world.policies.items():
        told = {alert.alert_id for telling in world.told(channel) for alert in telling.firing}
        for name, alert_id in world.firing.items():
            last = max(world.since[name], world.freed.get(channel, 0.0))
            if world.now - last > policy.wait + policy.interval + 2 * STEP:
                assert alert_id in told, (channel, name)


@given(EVENTS)
def test_any_course_of_events_ends_with_everybody_knowing_what_fires(events: list[tuple[str, object]]) -> None:
    world = World({"slack": POLICY, "file": IMMEDIATE})
    play(world, events)
    world.wait(WAIT + INTERVAL + 3)
    for seconds in (REPEAT, MOST_SECONDS):  # what was given up has been told by then, beginnings and ends
        world.now += seconds
        world.look()
    for channel in world.policies:
        known = world.known(channel)
        assert set(known) - {name for name, a in world.current.items() if a.status == "firing"} == set()
        for name, alert_id in world.firing.items():
            assert known.get(name) == alert_id
    assert not any(teller.letters for teller in world.group.tellers.values()) or world.muted


@given(EVENTS)
def test_no_end_is_told_of_what_was_not_told(events: list[tuple[str, object]]) -> None:
    world = World({"slack": POLICY, "file": IMMEDIATE})
    play(world, events)
    for channel in world.policies:
        read: set[str] = set()
        for telling in world.told(channel):
            got_through = telling not in world.lost
            for alert in in_order(telling):
                if alert.status == "resolved":
                    assert alert.fingerprint in read, (channel, alert.alert_id)
                    if got_through:
                        read.discard(alert.fingerprint)
                elif got_through:
                    read.add(alert.fingerprint)


@given(EVENTS)
def test_nothing_is_told_twice_within_the_repeat_interval_without_a_change(events: list[tuple[str, object]]) -> None:
    world = World({"slack": POLICY, "file": IMMEDIATE})
    play(world, events)
    for channel in world.policies:
        last: dict[str, float] = {}
        for when, telling in world.sent:
            if telling.channel != channel:
                continue
            if telling in world.lost:
                last = {name: at for name, at in last.items() if name not in ids((*telling.firing, *telling.resolved))}
                continue
            new = [a for a in (*telling.firing, *telling.resolved) if a.alert_id not in last]
            if not new:
                assert telling.reason is Reason.REPEAT
                assert all(when - last[a.alert_id] >= REPEAT for a in telling.firing if a.alert_id in last)
            last |= {a.alert_id: when for a in (*telling.firing, *telling.resolved)}
    heard = [telling for telling in world.told("file") if telling not in world.lost]
    every_transition = [a.alert_id for telling in heard for a in (*telling.firing, *telling.resolved)]
    assert len(every_transition) == len(set(every_transition))


@given(EVENTS)
def test_messages_keep_their_distance(events: list[tuple[str, object]]) -> None:
    world = slack()
    play(world, events)
    for (before, _), (when, telling) in pairwise(world.sent):
        assert when - before >= INTERVAL or telling.reason is Reason.FIRST
