"""Effect of a notification's result on its group: pure steps, as in `alert_group.py`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from msgspec.structs import replace

from app.alerting.notify.alert_group import AlertGroup, ChannelState, tidied
from app.alerting.notify.decision import NotificationState, only
from app.alerting.notify.flapping import plain
from topics.events import AlertEvent


def finished(
    group: AlertGroup, channel: str, notification_id: str, firing: Sequence[AlertEvent],
    resolved: Sequence[AlertEvent] = (), *, delivered: bool, withdrawn: bool = False,
) -> AlertGroup:  # fmt: skip
    """Record the result of a notification in its group.

    After a notification was given up, its firing alerts count as not known to the channel. Its resolutions remain to be
    sent: at once where the notification was only withdrawn.
    """
    teller = group.tellers.get(channel)
    if teller is None or teller.pending != notification_id:
        return group
    teller = replace(teller, pending="")
    if not delivered:
        told = teller.told
        group, teller = _given_up(group, teller, firing, resolved)
        if not withdrawn:
            teller = replace(teller, letters=(*teller.letters, notification_id))
        elif teller.told is not None:
            teller = replace(teller, told=replace(teller.told, untold=() if told is None else told.untold))
    return tidied(replace(group, tellers={**group.tellers, channel: teller}))


def _given_up(
    group: AlertGroup, teller: ChannelState, firing: Sequence[AlertEvent], resolved: Sequence[AlertEvent]
) -> tuple[AlertGroup, ChannelState]:
    if teller.told is None:
        return group, teller
    known, members = dict(teller.told.firing), dict(group.members)
    begins = {alert.fingerprint for alert in firing if plain(known.get(alert.fingerprint, "")) == alert.alert_id}
    lost, untold = begins.difference(teller.heard), set(begins)
    for end in resolved:
        name = end.fingerprint
        if name not in teller.heard or name in begins:
            continue
        newest = members.setdefault(name, end)
        moved = (teller.gone or name in group.left) and name not in teller.closing
        if moved and newest.status == "firing":
            continue  # another group notifies of this alert from its start
        if newest.status == "resolved":
            untold.add(name)
        known[name] = newest.alert_id if newest.status == "resolved" else end.alert_id
    told = replace(
        teller.told,
        firing=known,
        lost=tuple(sorted(lost.union(teller.told.lost))),
        untold=tuple(sorted(untold.union(teller.told.untold))),
    )
    backlog = _without_ends(teller.backlog, {alert.fingerprint for alert in firing}.difference(teller.heard))
    return replace(group, members=members), replace(teller, told=told, backlog=backlog)


def _without_ends(backlog: Sequence[AlertEvent], lost: set[str]) -> tuple[AlertEvent, ...]:
    """Return the backlog without the resolutions of `lost` alerts: the channel never received that these fired."""
    unheard, kept = set(lost), list[AlertEvent]()
    for alert in backlog:
        if alert.status == "firing" or alert.fingerprint not in unheard:
            kept.append(alert)
        unheard.discard(alert.fingerprint)
    return tuple(kept)


def mark_redelivered(group: AlertGroup, heard: Callable[[str], Mapping[str, str]]) -> AlertGroup:
    """Record notifications that channels received after they had been given up.

    `heard`: function from a channel's name to the fingerprints and alert_ids of the redelivered transitions.
    """
    tellers = {}
    for channel, teller in group.tellers.items():
        if teller.told is not None and (teller.told.lost or teller.told.untold):
            told = _after_all(group, teller.told, heard(channel))
            if told != teller.told:
                tellers[channel] = replace(teller, told=told)
    return tidied(replace(group, tellers={**group.tellers, **tellers})) if tellers else group


def _after_all(group: AlertGroup, told: NotificationState, again: Mapping[str, str]) -> NotificationState:
    heard = {name for name in (*told.lost, *told.untold) if again.get(name) == plain(told.firing[name])}
    over = {name for name in heard if _is_end(group, name, told.firing[name])}
    firing = {name: alert_id for name, alert_id in told.firing.items() if name not in over}
    return only(replace(told, firing=firing), firing.keys() - heard)


def _is_end(group: AlertGroup, name: str, alert_id: str) -> bool:
    member = group.members.get(name)
    return member is not None and member.status == "resolved" and member.alert_id == alert_id


def obsolete_letters(group: AlertGroup) -> tuple[AlertGroup, list[tuple[str, str]]]:
    """Return the group without its obsolete letters, and these letters as channel and notification_id.

    A letter is obsolete once all of its alerts are sent or resolved.
    """
    found, tellers = list[tuple[str, str]](), {}
    for channel, teller in group.tellers.items():
        told = teller.told
        if teller.letters and not teller.pending and (told is None or not (told.lost or told.untold)):
            found += [(channel, letter) for letter in teller.letters]
            tellers[channel] = replace(teller, letters=())
    return (replace(group, tellers={**group.tellers, **tellers}), found) if found else (group, found)
