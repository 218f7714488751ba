"""A group and its channels through any course of events, held against a plain reading of what was told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from app.alerting.notify.alert_group import AlertGroup, ChannelState, arrive, under_way
from app.alerting.notify.decision import MOST_SECONDS, Reason
from app.alerting.notify.group_evaluation import PlannedNotification, evaluate
from app.alerting.notify.outcomes import finished, obsolete_letters
from app.alerting.notify.routing import ELSEWHERE, IMMEDIATE, Policy
from tests.support.alert_events import of_rule, resolved
from topics.events import AlertEvent

WAIT, INTERVAL, REPEAT = 5.0, 60.0, 600.0
POLICY = Policy(wait=WAIT, interval=INTERVAL, repeat=REPEAT)
STEP = 1.0
"""Seconds between looks; every bound on time is meant give or take one look."""


@dataclass
class World:
    """One group with its clock: what fires, what is muted, what each channel was told, and whether it got through."""

    policies: dict[str, Policy]
    now: float = 1000.0
    muted: set[str] = field(default_factory=set)
    sent: list[tuple[float, PlannedNotification]] = field(default_factory=list)
    lost: list[PlannedNotification] = field(default_factory=list)
    busy: dict[str, tuple[str, PlannedNotification]] = field(default_factory=dict)
    current: dict[str, AlertEvent] = field(default_factory=dict)
    since: dict[str, float] = field(default_factory=dict)
    freed: dict[str, float] = field(default_factory=dict)
    reasons: list[dict[str, Reason]] = field(default_factory=list)
    taken_back: list[str] = field(default_factory=list)
    count: int = 0

    def __post_init__(self) -> None:
        tellers = {name: ChannelState(policy=policy) for name, policy in self.policies.items()}
        self.group = AlertGroup(labels={}, members={}, tellers=tellers)

    def _muted(self, alert: AlertEvent) -> Reason | None:
        return Reason.SILENCED if alert.fingerprint in self.muted else None

    def turn(self, rule: str) -> AlertEvent:
        """The rule's alert fires, or, where it does, is resolved."""
        self.count += 1
        alert = of_rule(rule, f"{self.count}")
        known = self.current.get(alert.fingerprint)
        if known is not None and known.status == "firing":
            alert = resolved(alert, f"{self.count}")
        return self._arrive(alert)

    def worsen(self, rule: str) -> None:
        """The rule's alert fires (again)."""
        self.count += 1
        self._arrive(of_rule(rule, f"{self.count}", level="critical"))

    def _arrive(self, alert: AlertEvent) -> AlertEvent:
        self.current[alert.fingerprint] = alert
        self.since[alert.fingerprint] = self.now
        self.group = arrive(self.group, alert, self._muted)
        return alert

    def mute(self, name: str) -> None:
        """Silence an alert, or end that."""
        self.muted ^= {name}
        self.since[name] = self.now

    def look(self, *, delivers: bool = True) -> list[PlannedNotification]:
        """Decide, and begin what is to be told; what is under way ends, well or not, with `settle`."""
        self.group, tellings, reasons = evaluate(self.group, self._muted, self.now)
        self.group = msgspec.json.decode(msgspec.json.encode(self.group), type=AlertGroup)
        self.reasons.append(reasons)
        for telling in tellings:
            assert telling.channel not in self.busy
            self.group = under_way(self.group, telling.channel, f"{telling.sequence}")
            self.busy[telling.channel] = f"{telling.sequence}", telling
            self.sent.append((self.now, telling))
        if delivers:
            self.settle()
        self.group, letters = obsolete_letters(self.group)
        self.taken_back += [letter for _, letter in letters]
        return tellings

    def settle(self, *, delivered: bool = True) -> None:
        """What is under way is over."""
        for channel, (notification_id, telling) in self.busy.items():
            self.group = finished(
                self.group, channel, notification_id, telling.firing, telling.resolved, delivered=delivered
            )
            self.freed[channel] = self.now
            if not delivered:
                self.lost.append(telling)
        self.busy.clear()

    def wait(self, seconds: float) -> None:
        """Time passes, with looks."""
        for _ in range(int(seconds / STEP)):
            self.now += STEP
            self.look()

    def told(self, channel: str) -> list[PlannedNotification]:
        """What a channel was told, in order."""
        return [telling for _, telling in self.sent if telling.channel == channel]

    def known(self, channel: str) -> dict[str, str]:
        """What fires, as a reader of the channel would say who reads all that got through."""
        read: dict[str, str] = {}
        for telling in self.told(channel):
            for alert in () if telling in self.lost else in_order(telling):
                read.pop(alert.fingerprint, None)
                if alert.status == "firing":
                    read[alert.fingerprint] = alert.alert_id
        return read

    @property
    def firing(self) -> dict[str, str]:
        """What fires in truth, and is not muted."""
        return {
            name: alert.alert_id for name, alert in self.current.items()
            if alert.status == "firing" and name not in self.muted
        }  # fmt: skip


def in_order(telling: PlannedNotification) -> list[AlertEvent]:
    return sorted((*telling.firing, *telling.resolved), key=lambda alert: int(alert.alert_id))


def ids(alerts: Sequence[AlertEvent]) -> list[str]:
    return [alert.alert_id for alert in alerts]


def slack() -> World:
    return World({"slack": POLICY})


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


def test_a_group_survives_the_wire() -> None:
    world = World({"slack": POLICY, "file": IMMEDIATE})
    world.turn("data_drift")
    world.look(delivers=False)
    group = world.group
    assert msgspec.json.decode(msgspec.json.encode(group), type=AlertGroup) == group
    assert replace(group, members={}) != group
