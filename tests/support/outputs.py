"""What an agent has sent, read back."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from agents.join.pane_events import key_of
from app.kafka.producer import Outgoing
from topics.events import PaneEvent
from topics.partition import partition_of

_panes: msgspec.json.Decoder[PaneEvent] = msgspec.json.Decoder(PaneEvent)


def pane_events(records: Sequence[Outgoing], partitions: int) -> list[PaneEvent]:
    """The pane events of records, each with its key and in the partition of its model version."""
    events = [_panes.decode(record.value or b"") for record in records]
    for record, event in zip(records, events, strict=True):
        assert record.key == key_of(event)
        assert record.partition == partition_of(event.model, event.model_version, partitions)
    return events
