"""Output of agents to Kafka: every record is acknowledged and counted."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from agents.output import TooLarge, dead_letter
from app.faust_batches.batch import Batch
from app.ingest.decoding import Record, Rejected
from app.ingest.rekeying import client_of, origin_header
from app.kafka.producer import NotSent, Outgoing, Producer
from app.telemetry.stream import StreamMetrics
from app.worker.self_report import SelfReport
from topics.registry import DEAD_LETTERS, Topic

log = logging.getLogger(__name__)

MOST_TOGETHER = 5000
"""Records that are sent together, and have one time limit for their acknowledgement."""
MOST_CLIENTS = 50
"""Producers with another partitioner that are named in the log."""


class KafkaOutput:
    """Output of the agents to the topics of one prefix, which have `partitions` partitions.

    Sent records are counted in `metrics`; dead letters are also noted by `monitor`.
    """

    def __init__(
        self, producer: Producer, prefix: str, partitions: int, metrics: StreamMetrics, monitor: SelfReport
    ) -> None:
        self._producer = producer
        self._prefix = prefix
        self._partitions = partitions
        self._metrics = metrics
        self._monitor = monitor
        self._strayed: dict[str, str] = {}

    @property
    def partitions(self) -> int:
        return self._partitions

    async def publish(self, topic: Topic, records: Sequence[Outgoing]) -> None:
        refused: list[NotSent] = []
        for start in range(0, len(records), MOST_TOGETHER):
            part = records[start : start + MOST_TOGETHER]
            refused += [one._replace(position=start + one.position) for one in await self._send(topic, part)]
        if refused:
            raise TooLarge(topic, refused)

    async def dead_letter(self, batch: Batch, rejected: Sequence[Rejected]) -> None:
        name = batch.topic.full_name(self._prefix)
        await self.publish(DEAD_LETTERS, [dead_letter(name, batch.partition, one) for one in rejected])
        self._monitor.rejected(rejected, batch.partition % self._partitions)  # others' topics may have more
        self._metrics.dead_letters(batch.topic.name, [one.reason for one in rejected])
        first = rejected[0]
        about = {"topic": name, "partition": batch.partition, "offset": first.record.offset, "records": len(rejected)}
        log.warning("%d records to the dead letters; the first: %s", len(rejected), first.reason, extra=about)

    async def rekey(self, topic: Topic, partition: int, records: Sequence[Record]) -> None:
        """Send records to the partition of their key, in order, with a mark that prevents a second re-keying."""
        outgoing = [
            Outgoing(record.key, record.value, None, [*record.headers, origin_header(partition, record)])
            for record in records
        ]
        refused = await self._producer.send_many(topic, outgoing)
        if refused:
            too_large = [Rejected(records[one.position], f"it cannot be re-keyed: {one.reason}") for one in refused]
            await self.dead_letter(Batch(topic, partition, records), too_large)
        self._metrics.rekeyed(topic, len(records) - len(refused))
        for client in {client_of(record) for record in records} - self._strayed.keys():
            if len(self._strayed) >= MOST_CLIENTS:
                break
            self._strayed[client] = topic.name
            log.warning(
                "%s partition %d offset %d: %s does not partition by murmur2, as Kafka's Java client does: its records "
                "are sent again to where they belong, and counted there; partitioner=murmur2_random (librdkafka) "
                "spares that",
                topic.name, partition, records[0].offset, f"the producer {client!r}" if client else "a producer",
            )  # fmt: skip

    async def _send(self, topic: Topic, records: Sequence[Outgoing]) -> list[NotSent]:
        refused = await self._producer.send_many(topic, records)
        if refused:
            skipped = {one.position for one in refused}
            records = [record for i, record in enumerate(records) if i not in skipped]
        self._metrics.published(topic, [record.value for record in records])
        return refused
