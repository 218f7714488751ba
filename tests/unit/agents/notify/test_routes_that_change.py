"""Routes that change while alerts fire and channels are away, held against a plain reading of what each one took."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from app.alerting.notify.channel import Outcome, Permanent, Retryable
from app.alerting.notify.notification import Notification
from app.alerting.notify.retry_policy import RetryPolicy
from app.alerting.notify.routing import Policy, Routing
from app.core.config.routes import Route
from tests.support.alert_events import of_rule, resolved
from tests.support.notify_world import Killed, StubChannel, Worker
from topics.events import AlertEvent

WAIT, INTERVAL, REPEAT = 5.0, 30.0, 600.0
POLICY = Policy(wait=WAIT, interval=INTERVAL, repeat=REPEAT)
NAMES = ("slack", "email", "pager", "file")
ROUTES: dict[str, tuple[Route, ...]] = {
    "none": (),
    "one": (Route(channels=("slack", "email")),),
    "more": (Route(channels=("slack", "email", "pager")),),
    "by rule": (Route(channels=("slack", "file"), group_by=("rule",)),),
    "split": (Route(matchers=("rule=data_drift",), channels=("pager",)), Route(channels=("slack", "file"))),
    "by level": (Route(channels=("pager", "email"), min_level="critical"), Route(channels=("slack",))),
}
"""No alert goes to one channel by two routes: that is two messages, as it is written."""


@dataclass
class Named(StubChannel):
    """Takes nothing while it is away."""

    away: Outcome | None = None

    async def deliver(self, notification: Notification) -> Outcome:
        if self.away is not None:
            self.attempts += 1
            return self.away
        return await super().deliver(notification)


class Courses(RuleBasedStateMachine):
    """Alerts, channels, restarts and routes in any order. The model: what each channel has read."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.channels = {name: Named(name) for name in NAMES}
        self.worker = Worker(
            list(self.channels.values()), wanted=("slack", "file"), routing=Routing(policy=POLICY),
            patience=RetryPolicy(budget_seconds=200.0, first_wait=5.0, longest_wait=50.0),
        )  # fmt: skip
        self.current: dict[str, AlertEvent] = {}
        self.read: dict[str, dict[str, str]] = {name: {} for name in NAMES}
        self.at: dict[tuple[str, str], float] = {}
        self.now_set = (self.worker.routing, self.worker.wanted)
        self.latest: dict[str, AlertEvent] = {}
        self.ways: dict[str, set[str]] = {}
        self.seen = dict.fromkeys(NAMES, 0)
        self.count = 0

    def teardown(self) -> None:
        try:
            self._settles()
        finally:
            self.loop.close()

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        self.loop.run_until_complete(work)

    # What happens

    def _alert(self, name: str, version: str, **changes: Any) -> AlertEvent:
        self.count += 1
        return of_rule(name, f"{self.count}", version=version, **changes)

    @rule(name=st.sampled_from(["data_drift", "performance"]), version=st.sampled_from("34"), level=st.booleans())
    def fires_or_ends(self, name: str, version: str, level: bool) -> None:
        """It fires; where it does, it is over."""
        alert = self._alert(name, version, level="critical" if level else "error")
        if (known := self.current.get(alert.fingerprint)) is not None:
            alert = resolved(known, f"{self.count}")
            del self.current[alert.fingerprint]
        else:
            self.current[alert.fingerprint] = alert
            self.ways[alert.fingerprint] = self._wanted(alert)
        self.latest[alert.fingerprint] = alert
        self._run(self.worker.run(alert))
        self._check()

    @precondition(lambda self: self.current)
    @rule(data=st.data())
    def worsens(self, data: st.DataObject) -> None:
        known = self.current[data.draw(st.sampled_from(sorted(self.current)))]
        self.count += 1
        worse = msgspec.structs.replace(known, alert_id=f"{self.count}", level="critical")
        self.current[known.fingerprint] = self.latest[known.fingerprint] = worse
        self.ways[known.fingerprint] |= self._wanted(worse)
        self._run(self.worker.run(worse))
        self._check()

    @rule(name=st.sampled_from(NAMES), for_good=st.booleans())
    def goes_away(self, name: str, for_good: bool) -> None:
        self.channels[name].away = Permanent("no") if for_good else Retryable("not now")

    @rule(name=st.sampled_from(NAMES))
    def comes_back(self, name: str) -> None:
        self.channels[name].away = None

    @rule(seconds=st.sampled_from([1.0, 6.0, 40.0, 250.0, 700.0]))
    def waits(self, seconds: float) -> None:
        for step in (1.0, *[(seconds - 1.0) / 4] * 4):
            self._run(self.worker.tick(step))
            self._check()

    @rule()
    def restarts(self) -> None:
        """What is under way is recorded first, as on SIGTERM: what a kill doubles is bounded elsewhere."""
        self._run(self._stopped())
        self.worker.restart()

    async def _stopped(self) -> None:
        stopping = asyncio.create_task(self.worker.agent.stop())
        await asyncio.sleep(0)  # it begins
        await self.worker.handle()
        await stopping

    @rule(routes=st.sampled_from(sorted(ROUTES)), disabled=st.sampled_from([(), (), ("email",), ("slack",)]))
    def settings_change(self, routes: str, disabled: tuple[str, ...]) -> None:
        self.worker.routing = Routing(ROUTES[routes], policy=POLICY, disabled=frozenset(disabled))
        self.restarts()
        for name in disabled:
            self.read[name] = {}
        self._evaluated_anew()

    @rule(by_rule=st.booleans())
    def grouping_changes(self, by_rule: bool) -> None:
        self.worker.routing = replace(self.worker.routing, group_by=("rule",) if by_rule else ())
        self.restarts()
        self._evaluated_anew()

    def _evaluated_anew(self) -> None:
        self._run(self.worker.tick(0.25))
        if self.now_set == (before := (self.worker.routing, self.worker.wanted)):
            return
        self.now_set = before
        self.ways = {name: self._wanted(alert) for name, alert in self.latest.items()}
        self._check()

    @rule(names=st.sets(st.sampled_from(NAMES), min_size=1))
    def registers_other_channels(self, names: set[str]) -> None:
        """Without a restart: the worker knows of it with its next look."""
        self.worker.register(tuple(sorted(names)))
        self._evaluated_anew()

    # What is so

    def _check(self) -> None:
        now = self.worker.now.timestamp()
        for name, channel in self.channels.items():
            new, self.seen[name] = channel.told[self.seen[name] :], len(channel.told)
            assert not (new and name in self.worker.routing.disabled), f"{name} is disabled"
            for notification in new:
                self._read(name, notification, now)

    def _read(self, name: str, notification: Notification, now: float) -> None:
        read, fresh = self.read[name], bool(notification.resolved)
        transitions = sorted((*notification.firing, *notification.resolved), key=lambda a: int(a.alert_id))
        for alert in transitions:
            if alert.status == "resolved":
                assert alert.fingerprint in read, f"{name}: an end without a beginning, or once more"
                del read[alert.fingerprint]
                continue
            new = read.get(alert.fingerprint) != alert.alert_id
            assert alert.fingerprint in read or name in self.ways[alert.fingerprint], f"{name}: no route leads there"
            fresh = fresh or new
            read[alert.fingerprint] = alert.alert_id
        its_own = any(name in self.ways[alert.fingerprint] for alert in notification.firing)
        assert notification.resolved or its_own, f"{name}: there is nothing but what no route leads there for"
        if not fresh:
            last = max(self.at[name, alert.fingerprint] for alert in notification.firing)
            assert now - last >= REPEAT - 201.0, f"{name}: the same again"
        self.at |= {(name, alert.fingerprint): now for alert in notification.firing}

    @invariant()
    def nothing_is_routed_by_accident(self) -> None:
        assert self.worker.rejected == []

    def _wanted(self, alert: AlertEvent) -> set[str]:
        """The channels of the first route that fits, read from the settings again."""
        levels = ["info", "warning", "error", "critical"]
        for route in self.worker.routing.routes:
            fits = all(matcher == f"rule={alert.rule}" for matcher in route.matchers)
            if fits and levels.index(alert.level) >= levels.index(route.min_level):
                return set(route.channels) - self.worker.routing.disabled
        return set(self.worker.wanted or ()) - self.worker.routing.disabled

    def _settles(self) -> None:
        """All are back: after the repeat interval everybody knows what is so by the routes as they are."""
        for channel in self.channels.values():
            channel.away = None
        self._run(self.worker.tick(0.25))
        for seconds in (300.0, 1.0, 4 * 3600.0, 60.0, 60.0, 60.0):
            self._run(self.worker.tick(seconds))
            self._run(self.worker.tick(6.0))
            self._check()
        for name in NAMES:
            firing = {alert.fingerprint: alert for alert in self.current.values() if name in self._wanted(alert)}
            for fingerprint in firing:
                assert fingerprint in self.read[name], f"{name} does not know that {fingerprint} fires"
            over = self.read[name].keys() - self.current.keys()
            assert not over, f"{name} does not know that {over} are over"
        assert not [key for key in self.worker.table if "/pending/" in key]


Courses.TestCase.settings = settings(max_examples=50, stateful_step_count=14, deadline=None)
test_any_course_of_alerts_channels_restarts_and_routes = Courses.TestCase
test_any_course_of_alerts_channels_restarts_and_routes.pytestmark = pytest.mark.slow  # type: ignore[attr-defined]


def quiet(*names: str, **changes: Any) -> tuple[Worker, dict[str, Named]]:
    channels = {name: Named(name) for name in names}
    return Worker(list(channels.values()), routing=Routing(policy=POLICY), **changes), channels


async def test_a_change_sends_nothing_before_its_time() -> None:
    """Alertmanager sent a part of a group at once when its configuration was read again."""
    worker, channels = quiet("slack", "email")
    worker.register(("slack",))
    await worker.run(of_rule("data_drift"))
    await worker.ticks(6)
    await worker.run(of_rule("performance"))
    worker.routing = replace(worker.routing, policy=replace_policy(interval=100.0))
    worker.register(("slack", "email"))
    worker.restart()
    await worker.ticks(90, every=3)
    assert channels["slack"].ids == ["3/data_drift/features"]
    assert sorted(channels["email"].ids) == ["3/data_drift/features", "3/performance/features"]
    await worker.ticks(20, every=1)
    assert [len(told.firing) for told in channels["slack"].told] == [1, 2]


def replace_policy(**changes: Any) -> Policy:
    return msgspec.structs.replace(POLICY, **changes)


@pytest.mark.parametrize("writes", range(1, 12))
async def test_a_kill_while_routes_change_loses_nothing_and_sends_nothing_twice(writes: int) -> None:
    worker, channels = quiet("slack", "email", "pager", wanted=("slack", "email", "pager"))
    worker.register(("slack", "email"))
    channels["email"].away = Retryable("not now")
    alert = of_rule("data_drift")
    await worker.run(alert)
    await worker.ticks(8)
    worker.routing = Routing((Route(channels=("slack", "pager"), name="new"),), policy=POLICY)
    worker.restart()
    worker.table.writes_left = writes
    try:
        await worker.ticks(8)
    except Killed:
        worker.table.writes_left = 1_000_000
        worker.restart()
    worker.table.writes_left = 1_000_000
    channels["email"].away = None
    await worker.ticks(40)
    await worker.run(resolved(alert))
    await worker.ticks(80)
    for name in ("slack", "pager"):
        assert list(dict.fromkeys(channels[name].ids)) == [alert.alert_id, f"{alert.alert_id}-over"]
        assert len({told.notification_id for told in channels[name].told}) == 2
    assert channels["email"].ids == [], "it was withdrawn: no route leads there"
    assert not worker.undelivered
    assert {(e.channel, e.outcome) for e in worker.sent if "withdrawn" in e.detail} == {("email", "failed")}
    assert not [key for key in worker.table if "/group/" in key or "/pending/" in key]


async def test_what_is_withdrawn_while_an_attempt_is_under_way_is_not_tried_again() -> None:
    worker, channels = quiet("slack", "email")
    worker.register(("slack", "email"))
    channels["email"].away = Retryable("not now")
    await worker.run(of_rule("data_drift"))
    await worker.tick(6)
    await worker.tick(0.25)
    before = channels["email"].attempts
    worker.register(("slack",))
    await worker.ticks(60, every=5)
    assert channels["email"].attempts == before
    assert [e.detail for e in worker.sent if e.channel == "email"] == [
        "withdrawn: no route leads to this channel any more"
    ]


async def test_alerts_of_a_model_that_is_registered_no_more_stay_where_they_are() -> None:
    worker, channels = quiet("slack", "email")
    worker.register(("slack",))
    await worker.run(of_rule("data_drift"))
    await worker.ticks(7)
    worker.monitoring = None  # type: ignore[assignment]
    await worker.ticks(7)
    await worker.run(resolved(of_rule("data_drift")))
    await worker.ticks(70, every=5)
    assert channels["slack"].ids == ["3/data_drift/features", "3/data_drift/features-over"]
    assert channels["email"].told == []
