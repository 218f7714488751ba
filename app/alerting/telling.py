"""Whether a channel is told of a group of alerts now, and why: a pure function with a named reason."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from msgspec import Struct


class Reason(StrEnum):
    """Why a channel is told, or is not."""

    FIRST = "first notification"
    NEW_ALERTS = "new alerts in group"
    SOME_RESOLVED = "alerts resolved"
    ALL_RESOLVED = "all resolved"
    REPEAT = "repeat interval elapsed"
    WAITING = "waiting for the group"
    UNDER_WAY = "a notification is under way"
    SILENCED = "silenced"
    MAINTENANCE = "muted by maintenance window"
    INHIBITED = "inhibited"
    NEVER_TOLD = "resolved before it was told"
    NOTHING_NEW = "nothing new"


class Told(Struct, frozen=True, kw_only=True):
    """What a channel was last told of a group.

    `at`: when, in epoch seconds. `firing`: the alerts that fire as far as the channel knows, each fingerprint with
    the transition (alert_id) that it was told of. `lost`: those of them whose telling was given up.
    """

    at: float
    firing: dict[str, str]
    lost: tuple[str, ...] = ()

    def knows(self, fingerprint: str) -> bool:
        """Whether the channel has heard that it fires."""
        return fingerprint in self.firing and fingerprint not in self.lost


@dataclass(frozen=True, slots=True)
class Decision:
    """The reason, and of what to tell (fingerprints; of nothing, where not to). `new`: those of `firing` that are."""

    reason: Reason
    firing: tuple[str, ...] = ()
    new: tuple[str, ...] = ()
    resolved: tuple[str, ...] = ()

    @property
    def tells(self) -> bool:
        """Whether there is something to tell."""
        return bool(self.firing or self.resolved)


def decide(
    told: Told | None,
    firing: Mapping[str, str],
    resolved: Iterable[str],
    muted: Mapping[str, Reason],
    repeat: float | None,
    now: float,
) -> Decision:
    """Whether to tell, all waits aside.

    `firing`: fingerprint and alert_id of what fires and is not muted; `resolved`: what no longer fires; `muted`: what
    fires and is not to be told, each with its reason. `repeat`: seconds after which the same is told again; None:
    never. An end is told of whatever the channel knows to fire, muted or not: it takes back what people have read.
    """
    known = {} if told is None else told.firing
    new = tuple(name for name, alert_id in firing.items() if known.get(name) != alert_id)
    over = tuple(resolved)
    ended = tuple(name for name in over if told is not None and told.knows(name))
    if new:
        return Decision(Reason.NEW_ALERTS if known else Reason.FIRST, tuple(firing), new, ended)
    if ended:
        some = firing or muted or any(name not in over for name in known)
        return Decision(Reason.SOME_RESOLVED if some else Reason.ALL_RESOLVED, tuple(firing), (), ended)
    if firing and told is not None and repeat is not None and now >= told.at + repeat:
        return Decision(Reason.REPEAT, tuple(firing))
    for reason in (Reason.SILENCED, Reason.MAINTENANCE, Reason.INHIBITED):
        if reason in muted.values():
            return Decision(reason)
    return Decision(Reason.NEVER_TOLD if over and not firing else Reason.NOTHING_NEW)


def after_telling(told: Told | None, decision: Decision, firing: Mapping[str, str], now: float) -> Told:
    """What the channel knows once it has been told."""
    known = {} if told is None else dict(told.firing)
    for name in decision.resolved:
        known.pop(name, None)
    known |= {name: firing[name] for name in decision.firing}
    lost = () if told is None else told.lost
    return Told(
        at=now, firing=known, lost=tuple(name for name in lost if name in known and name not in decision.firing)
    )
