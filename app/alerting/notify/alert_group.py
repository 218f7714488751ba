"""State of a group of alerts and of its channels, with pure steps from one immutable state to the next.

`group_evaluation.py` decides what is sent. `outcomes.py` applies the result of a delivery. `rerouting.py` applies
changed routes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from msgspec import Struct
from msgspec.structs import replace

from app.alerting.notify.decision import NotificationState, Reason, only
from app.alerting.notify.routing import Policy
from topics.events import AlertEvent

Muted = Callable[[AlertEvent], Reason | None]
"""Function that returns the reason why an alert is muted now; None where the alert is not muted."""
Elsewhere = Callable[[str, str], bool]
"""Predicate of a channel name and a fingerprint: true where another group notifies the channel (see `rerouting.py`)."""


def nowhere_else(_channel: str, _fingerprint: str) -> bool:
    """Return False: no other group notifies the channel of the alert."""
    return False


class ChannelState(Struct, frozen=True, kw_only=True):
    """State of one channel of a group.

    `told`: the notification state, in which a notification under way counts as sent. `changed_at`: epoch seconds since
    which there has been something to send. `sequence`: number of notifications so far. `pending`: id of the
    notification under way. `heard`: fingerprints that the channel knew to be firing before the pending notification.
    `root`: first notification of the incident, which lasts while the channel knows a firing alert. `backlog`:
    transitions that a journal channel has not received, and that later transitions of the same alerts have replaced.
    `letters`: ids of notifications that were given up, until all of their alerts are sent or resolved. `gone`: the
    route no longer names the channel, which is notified only of alerts that it knows. `closing`: fingerprints of alerts
    of which only the resolution is sent.
    """

    policy: Policy
    told: NotificationState | None = None
    changed_at: float | None = None
    sequence: int = 0
    pending: str = ""
    heard: tuple[str, ...] = ()
    backlog: tuple[AlertEvent, ...] = ()
    root: str = ""
    letters: tuple[str, ...] = ()
    gone: bool = False
    closing: tuple[str, ...] = ()


class AlertGroup(Struct, frozen=True, kw_only=True):
    """Alerts that are notified together: the newest transition of each, by fingerprint.

    `mark`: hash of the routing that made the group. `left`: members that are routed elsewhere now; only channels that
    know them are notified of them. `flapping`: flapping members, in the form that is sent to channels.
    """

    labels: dict[str, str]
    members: dict[str, AlertEvent]
    tellers: dict[str, ChannelState]
    mark: str = ""
    left: tuple[str, ...] = ()
    flapping: dict[str, AlertEvent] = {}

    @property
    def over(self) -> bool:
        """Return whether the group can be removed: no members, nothing pending, no backlog and no letters."""
        return not self.members and not any(t.pending or t.backlog or t.letters for t in self.tellers.values())


def with_channels(group: AlertGroup, channels: Mapping[str, Policy]) -> AlertGroup:
    """Return the group with these channels added. The state of channels that the group already has is kept."""
    tellers = {
        name: replace(group.tellers[name], policy=policy, gone=False)
        if name in group.tellers
        else ChannelState(policy=policy)
        for name, policy in channels.items()
    }
    return replace(group, tellers=group.tellers | tellers)


def arrive(group: AlertGroup, alert: AlertEvent, muted: Muted, elsewhere: Elsewhere = nowhere_else) -> AlertGroup:
    """Add a transition to the group. A transition that was added before changes nothing."""
    name, before = alert.fingerprint, group.members.get(alert.fingerprint)
    if before is not None and before.alert_id == alert.alert_id:
        return group
    members = {**group.members, name: alert}
    if before is None:
        return replace(group, members=members)
    tellers = {
        channel: _superseded(teller, before, muted)
        if teller.policy.every_transition and is_for(group, channel, name, elsewhere)
        else teller
        for channel, teller in group.tellers.items()
    }
    return replace(group, members=members, tellers=tellers)


def is_for(group: AlertGroup, channel: str, name: str, elsewhere: Elsewhere) -> bool:
    """Return whether this group notifies a channel of an alert."""
    teller = group.tellers[channel]
    if teller.gone or name in group.left:
        return knows(teller, name)
    return not elsewhere(channel, name)


def _superseded(teller: ChannelState, before: AlertEvent, muted: Muted) -> ChannelState:
    """Add a replaced transition to a journal channel's backlog, unless the channel has received or does not want it."""
    name = before.fingerprint
    if before.status == "firing":
        told = teller.told is not None and teller.told.firing.get(name) == before.alert_id
        wanted = not told and name not in teller.closing and muted(before) is None
    else:
        wanted = knows(teller, name)
    return replace(teller, backlog=(*teller.backlog, before)) if wanted else teller


def knows(teller: ChannelState, fingerprint: str) -> bool:
    """Return whether the channel knows that an alert fires, or will know it after its backlog."""
    later = [alert.status for alert in teller.backlog if alert.fingerprint == fingerprint]
    return later[-1] == "firing" if later else teller.told is not None and teller.told.knows(fingerprint)


def tidied(group: AlertGroup, notified: Collection[str] = ()) -> AlertGroup:
    """Return the group without finished alerts and without channels that left and know nothing.

    An alert is finished once it is resolved or routed elsewhere, no channel knows it, and no notification about it is
    under way. Flapping alerts are kept, and so are the channels that are `notified` now.
    """
    over = [name for name, alert in group.members.items() if alert.status == "resolved" or name in group.left]
    under_way = {
        name for channel, one in group.tellers.items() if one.pending or channel in notified for name in one.heard
    }
    known = {name for name in over for teller in group.tellers.values() if knows(teller, name)}
    gone = set(over) - known - under_way - group.flapping.keys()
    if gone:
        members = {name: member for name, member in group.members.items() if name not in gone}
        tellers = {name: _forgetting(teller, gone) for name, teller in group.tellers.items()}
        left = tuple(name for name in group.left if name not in gone)
        group = replace(group, members=members, tellers=tellers, left=left)
    if any(teller.gone for teller in group.tellers.values()):
        tellers = {channel: _leaving(teller) for channel, teller in group.tellers.items()}
        group = replace(
            group,
            tellers={
                channel: teller for channel, teller in tellers.items() if channel in notified or not _left(teller)
            },
        )
    return group


def _leaving(teller: ChannelState) -> ChannelState:
    """Forget the given-up alerts of a channel that left: they will not be sent to that channel."""
    if not teller.gone or teller.told is None or not teller.told.lost:
        return teller
    return _forgetting(teller, set(teller.told.lost))


def _left(teller: ChannelState) -> bool:
    return teller.gone and not (teller.pending or teller.backlog or teller.letters) and not (
        teller.told is not None and teller.told.firing
    )  # fmt: skip


def _forgetting(teller: ChannelState, gone: set[str]) -> ChannelState:
    if not gone.isdisjoint(teller.closing):
        teller = replace(teller, closing=tuple(name for name in teller.closing if name not in gone))
    told = teller.told
    if told is None or gone.isdisjoint(told.firing):
        return teller
    firing = {name: alert_id for name, alert_id in told.firing.items() if name not in gone}
    return replace(teller, told=only(replace(told, firing=firing), firing))


def waits(group: AlertGroup) -> bool:
    """Return whether a channel waits until its next notification is due."""
    return any(teller.changed_at is not None or teller.backlog for teller in group.tellers.values())


def under_way(group: AlertGroup, channel: str, notification_id: str) -> AlertGroup:
    """Record the id of the notification that was built for a channel."""
    teller = group.tellers[channel]
    teller = replace(teller, pending=notification_id, root=teller.root or notification_id)
    return replace(group, tellers={**group.tellers, channel: teller})


def without_evidence(group: AlertGroup) -> AlertGroup:
    """Return the group with only the titles and messages of its alerts: evidence and summaries are removed."""
    members = {name: replace(alert, evidence={}, summary=None) for name, alert in group.members.items()}
    flapping = {name: replace(alert, evidence={}, summary=None) for name, alert in group.flapping.items()}
    return replace(group, members=members, flapping=flapping)
