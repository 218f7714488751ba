"""Records that an agent sends, kept in memory and read back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from agents.join.pane_events import key_of
from app.faust_batches.batch import Batch
from app.ingest.decoding import Rejected
from app.kafka.producer import Outgoing
from topics.events import AlertEvent, PaneEvent
from topics.partition import partition_of
from topics.registry import ALERTS, Topic

_panes: msgspec.json.Decoder[PaneEvent] = msgspec.json.Decoder(PaneEvent)


@dataclass
class KeptOutput:
    """An output that keeps sent records, and the offsets of records sent to the dead letters."""

    partitions: int = 1
    records: list[tuple[Topic, Outgoing]] = field(default_factory=list)
    rejected: list[int] = field(default_factory=list)

    async def publish(self, topic: Topic, records: Sequence[Outgoing]) -> None:
        self.records += [(topic, record) for record in records]

    async def dead_letter(self, batch: Batch, rejected: Sequence[Rejected]) -> None:
        self.rejected += [one.record.offset for one in rejected]

    def of(self, topic: Topic) -> list[Outgoing]:
        """Return the records of a topic, in order."""
        return [record for name, record in self.records if name is topic]

    def alerts(self) -> list[AlertEvent]:
        """Return the alerts, in order."""
        return [msgspec.json.decode(one.value or b"", type=AlertEvent) for one in self.of(ALERTS)]


def pane_events(records: Sequence[Outgoing], partitions: int) -> list[PaneEvent]:
    """The pane events of records, each with its key and in the partition of its model version."""
    events = [_panes.decode(record.value or b"") for record in records]
    for record, event in zip(records, events, strict=True):
        assert record.key == key_of(event)
        assert record.partition == partition_of(event.model, event.model_version, partitions)
    return events
