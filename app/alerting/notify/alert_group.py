"""A group of alerts and what each of its channels has been told: pure steps, from one immutable state to the next.

What is decided on is in `evaluating.py`, what came of it in `outcomes.py`, and routes that change in `rerouting.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from msgspec import Struct
from msgspec.structs import replace

from app.alerting.notify.decision import NotificationState, Reason, only
from app.alerting.notify.routing import Policy
from topics.events import AlertEvent

Muted = Callable[[AlertEvent], Reason | None]
"""Why an alert is not to be told now."""
Elsewhere = Callable[[str, str], bool]
"""Whether a channel, by its name, is notified of an alert, by its fingerprint, in another group: see `rerouting.py`."""


def nowhere_else(_channel: str, _fingerprint: str) -> bool:
    """Return that it is not."""
    return False


class ChannelState(Struct, frozen=True, kw_only=True):
    """One channel of a group.

    `told` counts what is under way as told. `changed_at`: since when there has been something to tell. `sequence`
    counts notifications; `pending` names the one under way, `heard` the alerts that were known to fire before it,
    `root` the first notification of the incident, which lasts while the channel knows anything to fire.
    `backlog`: transitions that a journal has not been told of, and that later ones have taken the place of. `letters`:
    notifications that were given up, until all that they said is told, or over. `gone`: the route does not name the
    channel any more, which is notified of what it knows alone; `closing`: of these alerts' ends alone.
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
    """Alerts that are told together, by fingerprint: each one's newest transition.

    `mark`: the routing that it was made by. `left`: members that are routed elsewhere now, and that only those channels
    are notified of which know them. `flapping`: members that flap, as channels are notified of them.
    """

    labels: dict[str, str]
    members: dict[str, AlertEvent]
    tellers: dict[str, ChannelState]
    mark: str = ""
    left: tuple[str, ...] = ()
    flapping: dict[str, AlertEvent] = {}

    @property
    def over(self) -> bool:
        """Whether nothing is left to be remembered."""
        return not self.members and not any(t.pending or t.backlog or t.letters for t in self.tellers.values())


def with_channels(group: AlertGroup, channels: Mapping[str, Policy]) -> AlertGroup:
    """The group with these channels too; what is known of those that are there is kept."""
    tellers = {
        name: replace(group.tellers[name], policy=policy, gone=False)
        if name in group.tellers
        else ChannelState(policy=policy)
        for name, policy in channels.items()
    }
    return replace(group, tellers=group.tellers | tellers)


def arrive(group: AlertGroup, alert: AlertEvent, muted: Muted, elsewhere: Elsewhere = nowhere_else) -> AlertGroup:
    """Take a transition. Taken again it changes nothing."""
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
    """Whether a channel is notified of an alert here."""
    teller = group.tellers[channel]
    if teller.gone or name in group.left:
        return knows(teller, name)
    return not elsewhere(channel, name)


def _superseded(teller: ChannelState, before: AlertEvent, muted: Muted) -> ChannelState:
    """A journal keeps the transition that it has not been told of."""
    name = before.fingerprint
    if before.status == "firing":
        told = teller.told is not None and teller.told.firing.get(name) == before.alert_id
        wanted = not told and name not in teller.closing and muted(before) is None
    else:
        wanted = knows(teller, name)
    return replace(teller, backlog=(*teller.backlog, before)) if wanted else teller


def knows(teller: ChannelState, fingerprint: str) -> bool:
    """Whether the channel has heard that it fires, or is about to."""
    later = [alert.status for alert in teller.backlog if alert.fingerprint == fingerprint]
    return later[-1] == "firing" if later else teller.told is not None and teller.told.knows(fingerprint)


def tidied(group: AlertGroup, notified: Collection[str] = ()) -> AlertGroup:
    """Without the alerts that no channel is still to hear of here, and that none is said to know, and without the
    channels that are gone and know nothing, but for those that are `notified` now."""
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
    """What was given up is nothing that it is to hear of, once it is gone."""
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
    """Whether a channel waits for the time to be told."""
    return any(teller.changed_at is not None or teller.backlog for teller in group.tellers.values())


def under_way(group: AlertGroup, channel: str, notification_id: str) -> AlertGroup:
    """Note the notification that a telling has become."""
    teller = group.tellers[channel]
    teller = replace(teller, pending=notification_id, root=teller.root or notification_id)
    return replace(group, tellers={**group.tellers, channel: teller})


def without_evidence(group: AlertGroup) -> AlertGroup:
    """The same group with its alerts' titles and messages alone."""
    members = {name: replace(alert, evidence={}, summary=None) for name, alert in group.members.items()}
    flapping = {name: replace(alert, evidence={}, summary=None) for name, alert in group.flapping.items()}
    return replace(group, members=members, flapping=flapping)
