"""A group of alerts and what each of its channels has been told: pure steps, from one immutable state to the next."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from msgspec import Struct
from msgspec.structs import replace

from app.alerting.routing import Policy
from app.alerting.telling import Decision, Reason, Told, after_telling, decide, only
from topics.events import AlertEvent

Muted = Callable[[AlertEvent], Reason | None]
"""Why an alert is not to be told now."""


class Teller(Struct, frozen=True, kw_only=True):
    """One channel of a group.

    `told` counts what is under way as told. `changed_at`: since when there has been something to tell. `sequence`
    counts notifications; `pending` names the one under way, `heard` the alerts that were known to fire before it,
    `root` the first notification of the incident, which lasts while the channel knows anything to fire.
    `backlog`: transitions that a journal has not been told of, and that later ones have taken the place of. `letters`:
    notifications that were given up, until all that they said is told, or over.
    """

    policy: Policy
    told: Told | None = None
    changed_at: float | None = None
    sequence: int = 0
    pending: str = ""
    heard: tuple[str, ...] = ()
    backlog: tuple[AlertEvent, ...] = ()
    root: str = ""
    letters: tuple[str, ...] = ()


class Group(Struct, frozen=True, kw_only=True):
    """Alerts that are told together, by fingerprint: each one's newest transition."""

    labels: dict[str, str]
    members: dict[str, AlertEvent]
    tellers: dict[str, Teller]

    @property
    def over(self) -> bool:
        """Whether nothing is left to be remembered."""
        return not self.members and not any(t.pending or t.backlog or t.letters for t in self.tellers.values())


@dataclass(frozen=True, slots=True)
class Telling:
    """A channel that is to be told now, of which transitions, and why; `sequence` is new for each, `root` of before."""

    channel: str
    reason: Reason
    firing: tuple[AlertEvent, ...]
    resolved: tuple[AlertEvent, ...]
    sequence: int
    root: str = ""


def with_channels(group: Group, channels: Mapping[str, Policy]) -> Group:
    """The group with these channels; what those that stay have been told is kept."""
    tellers = {
        name: replace(group.tellers[name], policy=policy) if name in group.tellers else Teller(policy=policy)
        for name, policy in channels.items()
    }
    under_way = {name: teller for name, teller in group.tellers.items() if name not in tellers and teller.pending}
    return replace(group, tellers=tellers | under_way)


def arrive(group: Group, alert: AlertEvent, muted: Muted) -> Group:
    """Take a transition. Taken again it changes nothing."""
    before = group.members.get(alert.fingerprint)
    if before is not None and before.alert_id == alert.alert_id:
        return group
    members = {**group.members, alert.fingerprint: alert}
    if before is None:
        return replace(group, members=members)
    tellers = {name: _superseded(teller, before, muted) for name, teller in group.tellers.items()}
    return replace(group, members=members, tellers=tellers)


def _superseded(teller: Teller, before: AlertEvent, muted: Muted) -> Teller:
    """A journal keeps the transition that it has not been told of."""
    if not teller.policy.journal:
        return teller
    name = before.fingerprint
    if before.status == "firing":
        told = teller.told is not None and teller.told.firing.get(name) == before.alert_id
        wanted = not told and muted(before) is None
    else:
        wanted = knows(teller, name)
    return replace(teller, backlog=(*teller.backlog, before)) if wanted else teller


def knows(teller: Teller, fingerprint: str) -> bool:
    """Whether the channel has heard that it fires, or is about to."""
    later = [alert.status for alert in teller.backlog if alert.fingerprint == fingerprint]
    return later[-1] == "firing" if later else teller.told is not None and teller.told.knows(fingerprint)


def evaluate(group: Group, muted: Muted, now: float) -> tuple[Group, list[Telling], dict[str, Reason]]:
    """Decide for each channel: the group after it, what is to be told, and every channel's reason.

    A channel is told of one thing at a time: while a notification is under way it is not asked.
    """
    fires = {name: alert.alert_id for name, alert in group.members.items() if alert.status == "firing"}
    quiet = {name: reason for name in fires if (reason := muted(group.members[name])) is not None}
    firing = {name: alert_id for name, alert_id in fires.items() if name not in quiet}
    resolved = [name for name in group.members if name not in fires]
    tellers, tellings, reasons = dict(group.tellers), list[Telling](), dict[str, Reason]()
    for channel, teller in group.tellers.items():
        if teller.pending:
            reasons[channel] = Reason.UNDER_WAY
            continue
        decision = decide(_heard(teller), firing, resolved, quiet, teller.policy.repeat, now)
        if teller.policy.journal:  # it is told of what is new alone
            decision = dataclasses.replace(decision, firing=decision.new)
        tellers[channel], reasons[channel] = _timed(teller, decision, now)
        if reasons[channel] is Reason.WAITING or not (decision.tells or teller.backlog):
            continue
        told = (*decision.firing, *decision.resolved)
        heard = () if teller.told is None else tuple(filter(teller.told.knows, teller.told.firing))
        root = teller.root if heard else ""
        transitions = (*teller.backlog, *(group.members[name] for name in told))
        tellings.append(
            Telling(
                channel,
                reasons[channel],
                tuple(alert for alert in transitions if alert.status == "firing"),
                tuple(alert for alert in transitions if alert.status == "resolved"),
                teller.sequence + 1,
                root,
            )
        )
        tellers[channel] = replace(
            teller, heard=heard, told=after_telling(_heard(teller), decision, firing, now), changed_at=None,
            sequence=teller.sequence + 1, backlog=(), root=root,
        )  # fmt: skip
    return tidied(replace(group, tellers=tellers)), tellings, reasons


def _heard(teller: Teller) -> Told | None:
    """What the channel knows once it has read its backlog."""
    if not teller.backlog:
        return teller.told
    told = teller.told or Told(at=0.0, firing={})
    known = dict(told.firing)
    for alert in teller.backlog:
        known.pop(alert.fingerprint, None)
        if alert.status == "firing":
            known[alert.fingerprint] = alert.alert_id
    return only(replace(told, firing=known), {name for name in known if known[name] == told.firing.get(name)})


def _timed(teller: Teller, decision: Decision, now: float) -> tuple[Teller, Reason]:
    """Whether the time has come; a clock that was set back delays nothing."""
    if not decision.tells and not teller.backlog:
        return (teller if teller.changed_at is None else replace(teller, changed_at=None)), decision.reason
    if decision.reason in (Reason.REPEAT, Reason.GIVEN_UP):
        return teller, decision.reason
    since = now if teller.changed_at is None else min(teller.changed_at, now)
    due = since + teller.policy.wait
    if teller.told is not None and teller.told.at <= now:
        due = max(due, teller.told.at + teller.policy.interval)
    if now < due:
        return (teller if teller.changed_at == since else replace(teller, changed_at=since)), Reason.WAITING
    return teller, decision.reason if decision.tells else Reason.NEW_ALERTS


def tidied(group: Group) -> Group:
    """Without the resolved alerts that no channel is still to hear of, and that none is said to know."""
    over = [name for name, alert in group.members.items() if alert.status == "resolved"]
    gone = {name for name in over if not any(knows(teller, name) for teller in group.tellers.values())}
    if not gone:
        return group
    members = {name: member for name, member in group.members.items() if name not in gone}
    tellers = {name: _forgetting(teller, gone) for name, teller in group.tellers.items()}
    return replace(group, members=members, tellers=tellers)


def _forgetting(teller: Teller, gone: set[str]) -> Teller:
    told = teller.told
    if told is None or gone.isdisjoint(told.firing):
        return teller
    firing = {name: alert_id for name, alert_id in told.firing.items() if name not in gone}
    return replace(teller, told=only(replace(told, firing=firing), firing))


def waits(group: Group) -> bool:
    """Whether a channel waits for the time to be told."""
    return any(teller.changed_at is not None or teller.backlog for teller in group.tellers.values())


def under_way(group: Group, channel: str, notification_id: str) -> Group:
    """Note the notification that a telling has become."""
    teller = group.tellers[channel]
    teller = replace(teller, pending=notification_id, root=teller.root or notification_id)
    return replace(group, tellers={**group.tellers, channel: teller})


def lightened(group: Group) -> Group:
    """The same group without its alerts' evidence."""
    members = {name: replace(alert, evidence={}) for name, alert in group.members.items()}
    return replace(group, members=members)
