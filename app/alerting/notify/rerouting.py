"""Rerouting of firing alerts after routes have changed: each alert goes where it would go if it fired now.

An alert that a channel knows stays in its group there until it is resolved. The group's name is the key of its incident
and of its thread. So no alert is sent twice, and a resolution goes where the firing alert was sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from msgspec.structs import replace

from app.alerting.notify.alert_group import AlertGroup, ChannelState, Elsewhere, knows, tidied
from app.alerting.notify.routing import Destination, Policy, Routing
from app.core.config.monitoring import Alerting
from topics.events import AlertEvent

NO_ROUTE = "withdrawn: no route leads to this channel any more"
DISABLED = "withdrawn: the channel is in disabled_channels"


@dataclass(frozen=True, slots=True)
class Rerouted:
    """Groups of one model version by the current routes.

    `wanted`: the channels of each alert, by fingerprint. `disabled`: channels that are switched off. `letters`: channel
    and notification_id of given-up notifications that nobody is to receive any more.
    """

    groups: dict[str, AlertGroup]
    wanted: dict[str, frozenset[str]]
    disabled: frozenset[str]
    letters: list[tuple[str, str]]

    def withdrawn(self, channel: str, firing: Iterable[str]) -> str:
        """Return why a notification of these alerts is withdrawn; empty where it is still to be sent."""
        if channel in self.disabled:
            return DISABLED
        names = list(firing)
        wanted = any(channel in self.wanted.get(name, (channel,)) for name in names)
        return NO_ROUTE if names and not wanted else ""


def rerouted(groups: Mapping[str, AlertGroup], routing: Routing, alerting: Alerting) -> Rerouted:
    """Return all groups of one model version by the current routes."""
    alerts = {name: alert for group in groups.values() for name, alert in group.members.items()}
    to = {name: {one.group: one for one in routing.destinations(a, alerting)} for name, a in alerts.items()}
    wanted = {name: frozenset(c for one in found.values() for c in one.channels) for name, found in to.items()}
    policies = {
        channel: policy for found in to.values() for one in found.values() for channel, policy in one.channels.items()
    }
    flapping = {name: alert for group in groups.values() for name, alert in group.flapping.items()}
    after = dict(groups)
    for name, found in to.items():
        if alerts[name].status == "firing":
            for one in found.values():
                group = after.get(one.group) or AlertGroup(labels=one.labels, members={}, tellers={})
                flaps = {name: flapping[name], **group.flapping} if name in flapping else group.flapping
                after[one.group] = replace(group, members={name: alerts[name], **group.members}, flapping=flaps)
    mark, letters = routing.mark(alerting), list[tuple[str, str]]()
    for key, group in after.items():
        here = [found[key] for name, found in to.items() if name in group.members and key in found]
        changed = _with_routes(group, key, here, to, wanted, policies, mark)
        off = {channel: one for channel, one in group.tellers.items() if channel in routing.disabled}
        letters += [(channel, letter) for channel, one in off.items() for letter in one.letters]
        tellers = {channel: one for channel, one in changed.tellers.items() if channel not in off}
        after[key] = tidied(replace(changed, tellers=tellers))
    return Rerouted(after, wanted, routing.disabled, letters)


def _with_routes(
    group: AlertGroup, key: str, here: Iterable[Destination], to: Mapping[str, Mapping[str, Destination]],
    wanted: Mapping[str, frozenset[str]], policies: Mapping[str, Policy], mark: str,
) -> AlertGroup:  # fmt: skip
    channels = {channel: policy for one in here for channel, policy in one.channels.items()}
    tellers = {}
    for channel, policy in channels.items():
        tellers[channel] = replace(group.tellers.get(channel) or ChannelState(policy=policy), policy=policy, gone=False)
    for channel, teller in group.tellers.items():
        if channel not in channels:
            tellers[channel] = replace(teller, policy=policies.get(channel, teller.policy), gone=True)
    left = tuple(name for name in group.members if key not in to[name])
    for channel, before in tellers.items():
        teller = replace(before, backlog=_still_wanted(before, channel, wanted))
        closing = tuple(name for name in group.members if channel not in wanted[name] and knows(teller, name))
        tellers[channel] = replace(teller, closing=closing)
    return replace(group, tellers=tellers, left=left, mark=mark)


def _still_wanted(
    teller: ChannelState, channel: str, wanted: Mapping[str, frozenset[str]]
) -> tuple[AlertEvent, ...]:  # fmt: skip
    """Return a journal's backlog without alerts that are no longer routed to it, and without their resolutions."""
    kept, known = list[AlertEvent](), set(filter(teller.told.knows, teller.told.firing)) if teller.told else set[str]()
    for alert in teller.backlog:
        name = alert.fingerprint
        if alert.status == "firing" and channel in wanted.get(name, ()):
            kept.append(alert)
            known.add(name)
        elif alert.status == "resolved" and (name in known or teller.pending):
            kept.append(alert)
            known.discard(name)
    return tuple(kept)


def elsewhere(groups: Mapping[str, AlertGroup]) -> dict[tuple[str, str], str]:
    """Return the group that keeps notifying a channel of an alert that is routed elsewhere now.

    The key is the channel and the fingerprint.
    """
    return {
        (channel, name): key
        for key, group in groups.items()
        for channel, teller in group.tellers.items()
        if teller.gone or group.left
        for name in (group.members if teller.gone else group.left)
        if knows(teller, name)
    }


def apart_from(key: str, owners: Mapping[tuple[str, str], str]) -> Elsewhere:
    """Return a predicate: whether a group other than `key` notifies a channel of an alert."""
    return lambda channel, name: owners.get((channel, name), key) != key
