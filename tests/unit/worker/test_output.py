"""Counts of the records that agents send."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.faust_batches.batch import Batch
from app.ingest.decoding import Rejected
from app.kafka.producer import NotSent, Outgoing
from app.telemetry.stream import StreamMetrics
from app.worker.output import KafkaOutput
from app.worker.self_report import SelfReport
from tests.support.source_records import SourceRecord
from topics.registry import ForeignTopic, Topic


class Acknowledging:
    """A producer whose records are all acknowledged."""

    def __init__(self) -> None:
        self.sent: list[Outgoing] = []

    async def send_many(self, topic: Topic, records: Sequence[Outgoing]) -> list[NotSent]:
        self.sent += records
        return []


async def test_dead_letters_of_others_topics_count_for_partitions_that_are_reported() -> None:
    """Foreign topics may have more partitions than ours, which are in no report."""
    producer: Any = Acknowledging()
    monitor = SelfReport("workers", "here:1")
    output = KafkaOutput(producer, "driftline.", 4, StreamMetrics(), monitor)
    records = [SourceRecord(7, b"{", key=b"theirs")]
    batch = Batch(ForeignTopic(name="scored", key="", event=""), 6, records)
    await output.dead_letter(batch, [Rejected(records[0], "id: nothing at id")])
    assert monitor.dead_in == {2: 1}
    (letter,) = producer.sent
    assert (letter.key, letter.value) == (b"theirs", b"{")
    headers = dict(letter.headers)
    assert (headers["driftline-topic"], headers["driftline-partition"]) == (b"scored", b"6")
