"""Evaluation of a group: the notifications that its channels are to receive now."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from msgspec.structs import replace

from app.alerting.notify.alert_group import AlertGroup, ChannelState, Elsewhere, Muted, is_for, nowhere_else, tidied
from app.alerting.notify.decision import (
    NotificationDecision,
    NotificationState,
    Reason,
    after_sending,
    decide_notification,
    only,
)
from app.alerting.notify.flapping import MARK, as_settled
from topics.events import AlertEvent


@dataclass(frozen=True, slots=True)
class PlannedNotification:
    """A notification to send to a channel now: its transitions and its reason.

    `sequence` is new for each notification. `root` is the incident's first notification; empty where this is the first.
    """

    channel: str
    reason: Reason
    firing: tuple[AlertEvent, ...]
    resolved: tuple[AlertEvent, ...]
    sequence: int
    root: str = ""


def evaluate(
    group: AlertGroup, muted: Muted, now: float, elsewhere: Elsewhere = nowhere_else
) -> tuple[AlertGroup, list[PlannedNotification], dict[str, Reason]]:
    """Decide for each channel. Return the new group, the planned notifications and the reason of every channel.

    A channel gets one notification at a time: a channel with a notification under way is skipped.
    """
    fires = {name: alert.alert_id for name, alert in group.members.items() if alert.status == "firing"}
    quiet = {name: reason for name in fires if (reason := muted(group.members[name])) is not None}
    flaps = {name: alert.alert_id + MARK for name, alert in group.flapping.items()}
    quiet |= {name: reason for name in flaps if (reason := muted(group.flapping[name])) is not None}
    tellers, tellings, reasons = dict(group.tellers), list[PlannedNotification](), dict[str, Reason]()
    for channel, teller in group.tellers.items():
        if teller.pending:
            reasons[channel] = Reason.UNDER_WAY
            continue
        shown = {**fires, **flaps} if teller.policy.damped else fires
        here = {name: alert_id for name, alert_id in shown.items() if is_for(group, channel, name, elsewhere)}
        tellers[channel], reasons[channel], telling = _asked(group, channel, here, quiet, now)
        if telling is not None:
            tellings.append(telling)
    return tidied(replace(group, tellers=tellers), [one.channel for one in tellings]), tellings, reasons


def _asked(
    group: AlertGroup, channel: str, fires: Mapping[str, str], quiet: Mapping[str, Reason], now: float
) -> tuple[ChannelState, Reason, PlannedNotification | None]:
    """Decide for one channel. `fires`: firing alerts of which this group notifies the channel; `quiet`: muted
    alerts.
    """
    teller = group.tellers[channel]
    known = _heard(teller)
    muted = {name: reason for name, reason in quiet.items() if name in fires}
    firing = {name: alert_id for name, alert_id in fires.items() if name not in muted}
    if teller.closing and known is not None:  # alerts that are closing never count as new
        firing |= {name: known.firing[name] for name in teller.closing if name in firing and name in known.firing}
        known = only(known, known.firing.keys() - set(teller.closing).intersection(fires))
    flapping = group.flapping if teller.policy.damped else {}
    resolved = [name for name, a in group.members.items() if a.status == "resolved" and name not in flapping]
    repeat = None if firing and {*teller.closing, *flapping}.issuperset(firing) else teller.policy.repeat
    decision = decide_notification(known, firing, resolved, muted, repeat, now)
    if teller.policy.every_transition:  # a journal receives only new alerts
        decision = dataclasses.replace(decision, firing=decision.new)
    teller, reason = _timed(teller, decision, now)
    if reason is Reason.WAITING or not (decision.should_send or teller.backlog):
        return teller, reason, None
    told = (*decision.firing, *decision.resolved)
    heard = () if teller.told is None else tuple(filter(teller.told.knows, teller.told.firing))
    root = teller.root if heard else ""
    as_known = {} if known is None else known.firing
    settled = {name for name, alert_id in as_known.items() if alert_id.endswith(MARK)} - flapping.keys()
    alerts = {**group.members, **{name: as_settled(group.members[name]) for name in settled & set(told)}, **flapping}
    transitions = (*teller.backlog, *(alerts[name] for name in told))
    turned = {*decision.new, *decision.resolved}
    if turned and turned <= settled:
        reason = Reason.SETTLED
    elif turned and turned <= flapping.keys():
        reason = Reason.FLAPPING
    telling = PlannedNotification(
        channel,
        reason,
        tuple(alert for alert in transitions if alert.status == "firing"),
        tuple(alert for alert in transitions if alert.status == "resolved"),
        teller.sequence + 1,
        root,
    )
    teller = replace(
        teller, heard=heard, told=after_sending(known, decision, firing, now), changed_at=None,
        sequence=teller.sequence + 1, backlog=(), root=root,
    )  # fmt: skip
    return teller, reason, telling


def _heard(teller: ChannelState) -> NotificationState | None:
    """Return what the channel will know once its backlog is sent."""
    if not teller.backlog:
        return teller.told
    told = teller.told or NotificationState(at=0.0, firing={})
    known = dict(told.firing)
    for alert in teller.backlog:
        known.pop(alert.fingerprint, None)
        if alert.status == "firing":
            known[alert.fingerprint] = alert.alert_id
    return only(replace(told, firing=known), {name for name in known if known[name] == told.firing.get(name)})


def _timed(teller: ChannelState, decision: NotificationDecision, now: float) -> tuple[ChannelState, Reason]:
    """Apply the channel's waiting times: the reason is WAITING until the notification is due.

    A clock that was set back delays nothing.
    """
    if not decision.should_send and not teller.backlog:
        return (teller if teller.changed_at is None else replace(teller, changed_at=None)), decision.reason
    if decision.reason in (Reason.REPEAT, Reason.GIVEN_UP):
        return teller, decision.reason
    since = now if teller.changed_at is None else min(teller.changed_at, now)
    due = since + teller.policy.wait
    if teller.told is not None and teller.told.at <= now:
        due = max(due, teller.told.at + teller.policy.interval)
    if now < due:
        return (teller if teller.changed_at == since else replace(teller, changed_at=since)), Reason.WAITING
    return teller, decision.reason if decision.should_send else Reason.NEW_ALERTS
