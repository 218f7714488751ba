"""Decision whether to notify a channel of a group of alerts now: a pure function that returns a named reason."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace


class Reason(StrEnum):
    """Reason for notifying a channel, or for not notifying it."""

    FIRST = "first notification"
    NEW_ALERTS = "new alerts in group"
    SOME_RESOLVED = "alerts resolved"
    ALL_RESOLVED = "all resolved"
    REPEAT = "repeat interval elapsed"
    GIVEN_UP = "given up before"
    FLAPPING = "flapping"
    SETTLED = "settled after flapping"
    DIGEST = "many groups at once"
    WAITING = "waiting for the group"
    UNDER_WAY = "a notification is under way"
    SILENCED = "silenced"
    MAINTENANCE = "muted by maintenance window"
    INHIBITED = "inhibited"
    RESOLVED_UNSENT = "resolved before it was sent"
    NOTHING_NEW = "nothing new"


MOST_SECONDS = 4 * 3600.0
"""Longest time, in seconds, before a notification that was given up is sent again. A shorter repeat interval comes
first.
"""


class NotificationState(Struct, frozen=True, kw_only=True):
    """A channel's last notification of a group, and what the channel knows since.

    `at`: time of the notification, in epoch seconds. `firing`: alerts that fire as far as the channel knows, as
    fingerprint and alert_id of the last transition sent. An alert whose resolution was given up stays in `firing`, with
    the resolution's alert_id. `lost`: alerts in `firing` of which nothing has reached the channel. `untold`: alerts in
    `firing` whose newest transition was given up.
    """

    at: float
    firing: dict[str, str]
    lost: tuple[str, ...] = ()
    untold: tuple[str, ...] = ()

    def knows(self, fingerprint: str) -> bool:
        """Return whether the channel has received that an alert fires."""
        return fingerprint in self.firing and fingerprint not in self.lost


@dataclass(frozen=True, slots=True)
class NotificationDecision:
    """A reason and the fingerprints to send; no fingerprints where nothing is sent. `new`: the new ones in `firing`."""

    reason: Reason
    firing: tuple[str, ...] = ()
    new: tuple[str, ...] = ()
    resolved: tuple[str, ...] = ()

    @property
    def should_send(self) -> bool:
        """Return whether there is something to send."""
        return bool(self.firing or self.resolved)


def decide_notification(
    told: NotificationState | None,
    firing: Mapping[str, str],
    resolved: Iterable[str],
    muted: Mapping[str, Reason],
    repeat: float | None,
    now: float,
) -> NotificationDecision:
    """Decide whether to notify a channel, without regard to waiting times.

    `firing`: fingerprint and alert_id of alerts that fire and are not muted. `resolved`: fingerprints of alerts that no
    longer fire. `muted`: fingerprints of alerts that fire and are muted, each with its reason. `repeat`: seconds after
    which the same notification is sent again; None for never. A resolution is sent for every alert that the channel
    knows to fire, even a muted one: it takes back what people have read. What was given up is sent with the next
    notification, or else after the repeat interval.
    """
    known = {} if told is None else told.firing
    new = tuple(name for name, alert_id in firing.items() if known.get(name) != alert_id)
    over = tuple(resolved)
    ended = tuple(name for name in over if told is not None and told.knows(name))
    if new:
        return NotificationDecision(Reason.NEW_ALERTS if known else Reason.FIRST, tuple(firing), new, ended)
    given_up = frozenset() if told is None else frozenset((*told.lost, *told.untold))
    if not given_up.issuperset(ended):
        some = firing or muted or any(name not in over for name in known)
        return NotificationDecision(Reason.SOME_RESOLVED if some else Reason.ALL_RESOLVED, tuple(firing), (), ended)
    again = tuple(name for name in firing if name in given_up)
    elapsed = -1.0 if told is None else now - told.at
    if firing and repeat is not None and elapsed >= repeat:
        return NotificationDecision(Reason.REPEAT, tuple(firing), again, ended)
    if (again or ended) and elapsed >= min(MOST_SECONDS, MOST_SECONDS if repeat is None else repeat):
        return NotificationDecision(Reason.GIVEN_UP, tuple(firing), again, ended)
    for reason in (Reason.SILENCED, Reason.MAINTENANCE, Reason.INHIBITED):
        if reason in muted.values():
            return NotificationDecision(reason)
    return NotificationDecision(Reason.RESOLVED_UNSENT if over and not firing else Reason.NOTHING_NEW)


def after_sending(
    told: NotificationState | None, decision: NotificationDecision, firing: Mapping[str, str], now: float
) -> NotificationState:
    """Return the channel's state after the notification of a decision."""
    known = {} if told is None else dict(told.firing)
    for name in decision.resolved:
        known.pop(name, None)
    known |= {name: firing[name] for name in decision.firing}
    if told is None:
        return NotificationState(at=now, firing=known)
    left = known.keys() - set(decision.firing)
    return only(NotificationState(at=now, firing=known, lost=told.lost, untold=told.untold), left)


def only(told: NotificationState, given_up: Collection[str]) -> NotificationState:
    """Return the state in which only the alerts in `given_up` still count as given up, if they did before."""
    return replace(
        told,
        lost=tuple(name for name in told.lost if name in given_up),
        untold=tuple(name for name in told.untold if name in given_up),
    )
