"""State of the notify agent for one partition, decoded, with the changes since it was written."""

from __future__ import annotations

from collections.abc import Generator, Iterator, MutableMapping
from datetime import timedelta

import msgspec
from msgspec.structs import replace

from app.alerting.notify.alert_group import AlertGroup, without_evidence
from app.alerting.notify.flapping import Flap
from app.alerting.notify.retry_policy import PendingNotification
from topics.events import AlertEvent
from topics.registry import REPORTS

KEPT = timedelta(days=2 * REPORTS.retention_days).total_seconds()
"""Seconds for which a transition is remembered after it was taken.

A transition is sent again only if its report is judged again. The report has left the log by then: it is kept for the
retention, and a segment (a week) longer at most.
"""
LARGEST_GROUP = 16 << 20
AT_ONCE = 20
"""Entries that are decoded before other coroutines may get the loop."""

_group = msgspec.json.Decoder(AlertGroup)
_flap = msgspec.json.Decoder(Flap)
_pending = msgspec.json.Decoder(PendingNotification)


class NotifyState:
    """One partition's share of the table. Every key starts with the partition, so each key has one writer.

    The changelog keeps the order of the writes, but may lose the last of them. So `write` begins with what must not be
    lost: notifications, then the groups that count them as sent, those that routes have led to first, then the taken
    transitions.
    """

    def __init__(self, table: MutableMapping[str, bytes], partition: int) -> None:
        self._table = table
        self._start = f"{partition}/"
        self.groups: dict[str, AlertGroup] = {}
        self.pending: dict[str, PendingNotification] = {}
        self.flaps: dict[str, Flap] = {}
        self._groups: dict[str, AlertGroup] = {}
        self._flaps: dict[str, Flap] = {}
        self._pending: dict[str, PendingNotification] = {}
        self._taken: dict[str, int] = {}

    @classmethod
    def read(cls, table: MutableMapping[str, bytes], partition: int) -> Generator[None, None, NotifyState]:
        """Decode the entries of a partition, in slices."""
        state = cls(table, partition)
        for number, (key, rest) in enumerate(list(state._keys())):
            if number % AT_ONCE == 0:
                yield
            kind, _, name = rest.partition("/")
            if kind == "group":
                state.groups[name] = _group.decode(table[key])
            elif kind == "pending":
                state.pending[name] = _pending.decode(table[key])
            elif kind == "flap":
                state.flaps[name] = _flap.decode(table[key])
        state._groups, state._pending, state._flaps = dict(state.groups), dict(state.pending), dict(state.flaps)
        return state

    def _keys(self) -> Iterator[tuple[str, str]]:
        for key in list(self._table):
            if key.startswith(self._start):
                yield key, key.removeprefix(self._start)

    def groups_of(self, fingerprint: str) -> dict[str, AlertGroup]:
        """Return the groups that have an alert."""
        return {name: group for name, group in self.groups.items() if fingerprint in group.members}

    def firing(self) -> list[AlertEvent]:
        """Return the firing alerts, each once."""
        members = {name: alert for group in self.groups.values() for name, alert in group.members.items()}
        return [alert for alert in members.values() if alert.status == "firing"]

    def taken(self, alert_id: str) -> bool:
        """Return whether a transition has been taken."""
        return alert_id in self._taken or self._table.get(f"{self._start}taken/{alert_id}") is not None

    def take(self, alert_id: str, now: float) -> None:
        """Note that a transition is taken."""
        self._taken[alert_id] = int(now)

    def extend(self, alert: AlertEvent) -> None:
        """Update the expiry of a taken transition that was sent again; nothing else of it is new."""
        for name, group in self.groups_of(alert.fingerprint).items():
            member = group.members[alert.fingerprint]
            if member.alert_id == alert.alert_id and member.expires_at != alert.expires_at:
                members = {**group.members, alert.fingerprint: replace(member, expires_at=alert.expires_at)}
                self.groups[name] = replace(group, members=members)

    def write(self) -> None:
        """Write the changes. Remove ended groups, and notifications that are no longer pending."""
        for name, pending in self.pending.items():
            if self._pending.get(name) is not pending:
                self._table[f"{self._start}pending/{name}"] = msgspec.json.encode(pending)
        for name in [name for name, group in self.groups.items() if group.over]:
            del self.groups[name]
        changed = [
            (name, group)
            for name, group in self.groups.items()
            if self._groups.get(name) is not group and self._groups.get(name) != group
        ]
        for name, group in sorted(changed, key=lambda one: one[0] in self._groups):
            encoded = msgspec.json.encode(group)
            if len(encoded) > LARGEST_GROUP:
                encoded = msgspec.json.encode(without_evidence(group))
            self._table[f"{self._start}group/{name}"] = encoded
        for name, flap in self.flaps.items():
            if self._flaps.get(name) is not flap:
                self._table[f"{self._start}flap/{name}"] = msgspec.json.encode(flap)
        kinds = (
            ("group", self._groups, self.groups),
            ("pending", self._pending, self.pending),
            ("flap", self._flaps, self.flaps),
        )
        for kind, before, now in kinds:
            for name in before.keys() - now.keys():
                del self._table[f"{self._start}{kind}/{name}"]
        for alert_id, moment in self._taken.items():
            self._table[f"{self._start}taken/{alert_id}"] = b"%d" % moment
        self._groups, self._pending, self._taken = dict(self.groups), dict(self.pending), {}
        self._flaps = dict(self.flaps)

    def prune(self, now: float) -> None:
        """Forget the transitions that are too old to come again."""
        for key, rest in self._keys():
            if rest.startswith("taken/") and now - int(self._table[key]) > KEPT:
                del self._table[key]


def entry_of(key: str) -> tuple[str, str] | None:
    """Return the kind of an entry (`group`, `pending`, `flap` or `taken`) and its name; None for any other entry.

    The name is a group's or a notification's own, a transition's alert_id, or a flapping alert's fingerprint.
    """
    partition, _, rest = key.partition("/")
    kind, _, name = rest.partition("/")
    return (kind, name) if partition.isdigit() else None


def entry_key(partition: int, kind: str, name: str) -> str:
    """Return the key of an entry."""
    return f"{partition}/{kind}/{name}"
