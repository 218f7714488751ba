"""What an agent is given to send with, so that it runs without Kafka too."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from app.faust_batches.quarantine import Quarantined
from app.ingest.decoding import Rejected
from app.kafka.producer import Outgoing
from topics.registry import Topic

Publish = Callable[[Topic, bytes, bytes, int | None], Awaitable[None]]
"""Topic, key, value, partition (None: by the key). Returns once Kafka has the record."""

Reject = Callable[[Sequence[Rejected]], Awaitable[None]]
"""Sends records to the dead letters as they are, reasons in the headers. Returns once Kafka has them."""


def dead_letter(topic: str, partition: int, rejected: Rejected) -> Outgoing:
    """The dead letter of a record: bytes and key as they came, the reason and the origin in headers."""
    record, reason = rejected.record, rejected.reason
    if isinstance(record, Quarantined):
        record, reason = record.original, record.reason
    headers = [
        ("driftline-reason", reason.encode()),
        ("driftline-topic", topic.encode()),
        ("driftline-partition", str(partition).encode()),
        ("driftline-offset", str(record.offset).encode()),
    ]
    return Outgoing(record.key, record.value, None, [*record.headers, *headers])
