"""What agents send with: every record to the partition that it belongs to, acknowledged and counted."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial

import msgspec

from agents.carry_over import of_the_prefix_before
from agents.join.pane_events import key_of
from agents.output import Reject, dead_letter
from app.ingest.decoding import Record, Rejected
from app.ingest.rekeying import REKEYED, client_of, origin_header
from app.kafka.producer import NotSent, Outgoing, Producer
from app.settings.settings import Settings
from app.telemetry.stream import StreamMetrics
from app.worker.self_report import SelfReport
from app.worker.successor import Successor
from topics.events import IntakeReport, MonitorReport, PaneEvent
from topics.partition import partition_of
from topics.registry import ALERTS, DEAD_LETTERS, FEEDBACK, PANES, PREDICTIONS, REPORTS, UNDELIVERED, Topic

log = logging.getLogger(__name__)

MOST_DELETED = 5000
"""Panes that are deleted at a time: what is sent together has one time to be acknowledged in."""
MOST_CLIENTS = 50
"""Producers with another partitioner that are named in the log."""


class KafkaOutput:
    """The producer as agents use it; what it sends is counted in `metrics`, what is rejected by `monitor` too.

    Where the prefix is drained, what others go on from is sent to its `successor`.
    """

    def __init__(
        self,
        settings: Settings,
        producer: Producer,
        metrics: StreamMetrics,
        monitor: SelfReport,
        successor: Successor | None = None,
    ) -> None:
        self.settings = settings
        self._to = successor or Successor(producer, settings.partitions)
        self._drained = settings.partitions if successor is not None else 0
        self.producer = producer
        self.metrics = metrics
        self.monitor = monitor
        self._strayed: dict[str, str] = {}

    async def publish(self, topic: Topic, key: bytes, value: bytes, partition: int | None) -> None:
        """One record, acknowledged. An alert goes to the partition of its model version, as its report did."""
        if topic is ALERTS and partition is None:
            partition = partition_of(*_model_of(value), self._to.partitions)
        producer = self._to.producer if topic is ALERTS else self.producer
        await producer.send(topic, key, value, partition)
        self.metrics.published(topic, [value])
        self.metrics.told(topic, value)

    async def publish_panes(self, events: Sequence[PaneEvent]) -> None:
        """Panes and progress, each to the partition of its model version, in order."""
        if events:
            await self._send(PANES, [self._pane(event) for event in events], self._to.producer)
            self.metrics.panes(events)

    def _pane(self, event: PaneEvent) -> Outgoing:
        if self._drained:
            event = of_the_prefix_before(event, self._drained)
        partition = partition_of(event.model, event.model_version, self._to.partitions)
        return Outgoing(key_of(event), msgspec.json.encode(event), partition)

    async def publish_predictions(self, records: Sequence[Outgoing]) -> list[NotSent]:
        """Predictions, each to the partition of its id; return those that are too large."""
        refused = await self.producer.send_many(PREDICTIONS, records)
        skipped = {one.position for one in refused}
        self.metrics.published(PREDICTIONS, [one.value for i, one in enumerate(records) if i not in skipped])
        return refused

    async def delete_panes(self, partition: int, keys: Sequence[bytes]) -> None:
        """Tombstones for panes that nothing needs any more."""
        for i in range(0, len(keys), MOST_DELETED):
            await self._send(PANES, [Outgoing(key, None, partition) for key in keys[i : i + MOST_DELETED]])

    async def take_back(self, key: bytes) -> None:
        """A tombstone for a notification that was given up, by its key."""
        await self.producer.send(UNDELIVERED, key, None)

    async def publish_reports(self, partition: int, reports: Sequence[tuple[bytes, bytes]]) -> None:
        """Reports, to the partition that has their panes."""
        await self._send(REPORTS, [Outgoing(key, value, partition) for key, value in reports])

    async def publish_aside(self, report: MonitorReport | IntakeReport, of: str) -> None:
        """A report that no window has led to, to the partition of its model version."""
        there = isinstance(report, MonitorReport)  # the partitions' records are judged here alone
        to = self._to if there else Successor(self.producer, self.settings.partitions)
        key = f"{report.model}/{report.model_version}/{of}".encode()
        partition = partition_of(report.model, report.model_version, to.partitions)
        await self._send(REPORTS, [Outgoing(key, msgspec.json.encode(report), partition)], to.producer)

    async def pass_on(self, records: Sequence[Record]) -> None:
        """Feedback to the prefix that has its predictions."""
        outgoing = [
            Outgoing(record.key, record.value, None, [one for one in record.headers if one[0] != REKEYED])
            for record in records
        ]
        await self._send(FEEDBACK, outgoing, self._to.producer)

    def reject_of(self, topic: Topic, partition: int) -> Reject:
        return partial(self.reject, topic.full_name(self.settings.prefix), partition)

    async def reject(self, topic: str, partition: int, rejected: Sequence[Rejected]) -> None:
        """Dead letters: bytes and key as they came, the reason and the origin in headers."""
        await self._send(DEAD_LETTERS, [dead_letter(topic, partition, one) for one in rejected])
        self.monitor.rejected(rejected, partition)
        self.metrics.dead_letters(topic.removeprefix(self.settings.prefix), [one.reason for one in rejected])
        first = rejected[0]
        about = {"topic": topic, "partition": partition, "offset": first.record.offset, "records": len(rejected)}
        log.warning("%d records to the dead letters; the first: %s", len(rejected), first.reason, extra=about)

    async def rekey(self, topic: Topic, partition: int, records: Sequence[Record]) -> None:
        """Records to the partition that their key leads to, in order, marked so that none is sent so twice."""
        outgoing = [
            Outgoing(record.key, record.value, None, [*record.headers, origin_header(partition, record)])
            for record in records
        ]
        refused = await self.producer.send_many(topic, outgoing)
        if refused:
            too_large = [Rejected(records[one.position], f"it cannot be re-keyed: {one.reason}") for one in refused]
            await self.reject(topic.full_name(self.settings.prefix), partition, too_large)
        self.metrics.rekeyed(topic, len(records) - len(refused))
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

    async def _send(self, topic: Topic, records: Sequence[Outgoing], producer: Producer | None = None) -> None:
        refused = await (producer or self.producer).send_many(topic, records)
        if refused:
            raise RuntimeError(f"{topic.name}: {refused[0].reason}")
        self.metrics.published(topic, [record.value for record in records])


class _Labelled(msgspec.Struct):
    labels: dict[str, str]


def _model_of(alert: bytes) -> tuple[str, str]:
    labels = msgspec.json.decode(alert, type=_Labelled).labels
    return labels.get("model", ""), labels.get("model_version", "")
