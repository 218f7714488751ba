"""A group of alerts and its channels, with a clock of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from app.alerting.notify.alert_group import AlertGroup, ChannelState, arrive, under_way
from app.alerting.notify.decision import Reason
from app.alerting.notify.group_evaluation import PlannedNotification, evaluate
from app.alerting.notify.outcomes import finished, obsolete_letters
from app.alerting.notify.routing import Policy
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
