"""Copies of the agents' tables under another prefix: the place of each entry for another number of partitions.

Only entries about model versions are copied. Entries about the partitions of the old prefix are left there: applied
offsets, the join's rows, and the alerts about the partitions themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

import msgspec
from msgspec.structs import replace

from agents.alerts.store import version_of
from agents.join.pane_events import key_of, of_the_prefix_before
from agents.join.store import reported_entry, reported_in
from agents.notify.state import entry_key, entry_of
from agents.windows.pane_retention import version_of_note
from app.alerting.events.self_monitoring import SELF
from app.alerting.notify.alert_group import AlertGroup
from app.alerting.notify.retry_policy import PendingNotification
from topics.events import AlertEvent, PaneEvent, Progress
from topics.partition import partition_of

Entry = tuple[int, str, bytes]
"""Partition, key and value of a table."""

Table = Mapping[str, bytes]
"""Newest value of each key, over all partitions."""

_groups = msgspec.json.Decoder(AlertGroup)
_pendings = msgspec.json.Decoder(PendingNotification)


def alert_entries(table: Table, partitions: int) -> Iterator[Entry]:
    """Yield the states of the rules, and what the newest windows showed, of every model version."""
    for key, value in table.items():
        version = version_of(key)
        if version is not None and version[0] != SELF:
            yield partition_of(*version, partitions), key, value


def window_entries(table: Table, partitions: int) -> Iterator[Entry]:
    """Yield the notes of the windows whose reports were issued."""
    for key, value in table.items():
        version = version_of_note(key)
        if version is not None:
            yield partition_of(*version, partitions), key, value


def intake_entries(table: Table, partitions: int) -> Iterator[Entry]:
    """Yield, for every partition, the model versions whose records were set aside, so that reports on them go on.

    `table`: the join's.
    """
    told = {one for one in reported_in(table.items()) if one[1] != SELF}
    if told:
        for partition in range(partitions):
            yield partition, *reported_entry(partition, told)


def notify_entries(table: Table, alerts: Mapping[str, int], partitions: int) -> Iterator[Entry]:
    """Yield the groups, the notifications under way and the transitions that were taken.

    `alerts`: the partition of each transition that is in the log, by `alert_id`; others do not come again.
    """
    for key, value in table.items():
        entry = entry_of(key)
        if entry is None or entry[0] == "flap":
            continue
        kind, name = entry
        if kind == "taken":
            partition = alerts.get(name)
            if partition is None:
                continue
        else:
            group = _groups.decode(value) if kind == "group" else _pendings.decode(value).notification
            partition = partition_of(group.labels.get("model", ""), group.labels.get("model_version", ""), partitions)
        yield partition, entry_key(partition, kind, name), value


def ended_with_its_group(table: Table, group: str, now: datetime) -> Iterator[AlertEvent]:
    """Yield a resolved event for each alert that fires about the partitions of the old prefix.

    `table`: the notify agent's. The new prefix detects problems of its own partitions, which are separate alerts.
    """
    ended: dict[str, AlertEvent] = {}
    for key, value in table.items():
        entry = entry_of(key)
        if entry is not None and entry[0] == "group":
            for alert in _groups.decode(value).members.values():
                if alert.status == "firing" and alert.labels.get("model") == SELF:
                    ended[alert.fingerprint] = alert
    for alert in ended.values():
        yield replace(
            alert, status="resolved", alert_id=f"{alert.alert_id}-copied", ended_at=now, emitted_at=now,
            message=f"the alert was about the partitions of an old prefix; group {group} reads new ones",
        )  # fmt: skip


def copied_pane(event: PaneEvent, partitions: int) -> tuple[bytes, PaneEvent]:
    """Return a pane event and its key as of a partition of the earlier prefix. `partitions`: the number of that prefix.

    The event's progress holds back no watermark: the worker that drains the old prefix publishes the progress from then
    on.
    """
    moved = of_the_prefix_before(event, partitions)
    if isinstance(moved, Progress):
        moved = replace(moved, idle=True)
    return key_of(moved), moved
