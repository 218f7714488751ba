"""Output of agents to topics, and the records that several agents send."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from app.faust_batches.batch import Batch
from app.faust_batches.quarantine import Quarantined
from app.ingest.decoding import Rejected
from app.kafka.producer import NotSent, Outgoing
from topics.events import AlertEvent
from topics.partition import partition_of
from topics.registry import Topic


class TooLarge(Exception):
    """Records were too large to be sent. `refused`: these records and the reasons; all others have been sent."""

    def __init__(self, topic: Topic, refused: Sequence[NotSent]) -> None:
        self.refused = tuple(refused)
        super().__init__(f"{topic.name}: {refused[0].reason}")


class Output(Protocol):
    """Topics of one prefix, as an agent sends to them."""

    @property
    def partitions(self) -> int:
        """Return the number of partitions of each topic."""
        ...

    async def publish(self, topic: Topic, records: Sequence[Outgoing]) -> None:
        """Send records in order. Return once Kafka has acknowledged them. Raises TooLarge, BrokerUnavailable."""

    async def dead_letter(self, batch: Batch, rejected: Sequence[Rejected]) -> None:
        """Send records of a batch to the dead letters, with the reasons. Return once Kafka has acknowledged them."""


def alert_record(alert: AlertEvent, partitions: int) -> Outgoing:
    """Return an alert as a record, in the partition of its model version, as the report that led to it."""
    return Outgoing(alert.fingerprint.encode(), msgspec.json.encode(alert), partition_of_alert(alert, partitions))


def partition_of_alert(alert: AlertEvent, partitions: int) -> int:
    """Return the partition of `alerts` that an alert belongs to."""
    return partition_of(alert.labels.get("model", ""), alert.labels.get("model_version", ""), partitions)


def dead_letter(topic: str, partition: int, rejected: Rejected) -> Outgoing:
    """Return the dead letter of a record: the original bytes and key, with the reason and the origin in headers."""
    record, reason = rejected.record, rejected.reason
    if isinstance(record, Quarantined):
        record, reason = record.original, record.reason
    headers = [
        ("driftline-reason", reason.encode()),
        ("driftline-topic", topic.encode()),
        ("driftline-partition", str(partition).encode()),
        ("driftline-offset", str(record.offset).encode()),
        ("driftline-timestamp", str(record.timestamp).encode()),
    ]
    return Outgoing(record.key, record.value, None, [*record.headers, *headers])
