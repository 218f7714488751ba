"""Whether a channel is told of a group of alerts now, and why: a pure function with a named reason."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace


class Reason(StrEnum):
    """Why a channel is told, or is not."""

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
    RESOLVED_UNSENT = "resolved before it was told"
    NOTHING_NEW = "nothing new"


MOST_SECONDS = 4 * 3600.0
"""What was given up is sent again after the repeat interval; after so long, where that is longer or there is none."""


class NotificationState(Struct, frozen=True, kw_only=True):
    """What a channel was last told of a group.

    `at`: when, in epoch seconds. `firing`: the alerts that fire as far as the channel knows, each fingerprint with
    the transition (alert_id) that it was told of; with the end, where that was given up. `lost`: those of them of which
    nothing has reached the channel. `untold`: those of which the newest transition was given up.
    """

    at: float
    firing: dict[str, str]
    lost: tuple[str, ...] = ()
    untold: tuple[str, ...] = ()

    def knows(self, fingerprint: str) -> bool:
        """Whether the channel has heard that it fires."""
        return fingerprint in self.firing and fingerprint not in self.lost


@dataclass(frozen=True, slots=True)
class NotificationDecision:
    """The reason, and of what to tell (fingerprints; of nothing, where not to). `new`: those of `firing` that are."""

    reason: Reason
    firing: tuple[str, ...] = ()
    new: tuple[str, ...] = ()
    resolved: tuple[str, ...] = ()

    @property
    def should_send(self) -> bool:
        """Whether there is something to tell."""
        return bool(self.firing or self.resolved)


def decide_notification(
    told: NotificationState | None,
    firing: Mapping[str, str],
    resolved: Iterable[str],
    muted: Mapping[str, Reason],
    repeat: float | None,
    now: float,
) -> NotificationDecision:
    """Whether to tell, all waits aside.

    `firing`: fingerprint and alert_id of what fires and is not muted; `resolved`: what no longer fires; `muted`: what
    fires and is not to be told, each with its reason. `repeat`: seconds after which the same is told again; None:
    never. An end is told of whatever the channel knows to fire, muted or not: it takes back what people have read.
    What was given up is sent with whatever else there is to send, or else after the repeat interval.
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
    """What the channel knows once it has been told."""
    known = {} if told is None else dict(told.firing)
    for name in decision.resolved:
        known.pop(name, None)
    known |= {name: firing[name] for name in decision.firing}
    if told is None:
        return NotificationState(at=now, firing=known)
    left = known.keys() - set(decision.firing)
    return only(NotificationState(at=now, firing=known, lost=told.lost, untold=told.untold), left)


def only(told: NotificationState, given_up: Collection[str]) -> NotificationState:
    """Return the same, with these alone as given up, as far as they were."""
    return replace(
        told,
        lost=tuple(name for name in told.lost if name in given_up),
        untold=tuple(name for name in told.untold if name in given_up),
    )
