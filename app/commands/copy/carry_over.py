"""State of one prefix's workers, copied to the topics where the workers of another prefix begin."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from agents.carry_over import (
    Entry,
    Table,
    alert_entries,
    copied_pane,
    ended_with_its_group,
    intake_entries,
    notify_entries,
    window_entries,
)
from agents.output import partition_of_alert
from app.commands.options import CommandError
from app.commands.topic_reader import partitions_of_topic, records
from app.faust_batches.app import changelog_key, changelogs, make_app, make_table, table_key
from app.ingest.decoding import STRAY, UNREADABLE, Rejected, decode
from app.kafka.client_options import client_options, consumer_options
from app.kafka.producer import Outgoing, Producer
from app.kafka.topics import ensure_topics
from topics.events import AlertEvent, PaneEvent
from topics.partition import partition_of
from topics.registry import ALERTS, DELIVERIES, PANES, RETRAINING, UNDELIVERED, Topic

if TYPE_CHECKING:
    from app.settings.settings import Settings

TABLES = ("join", "windows", "alerts", "notify")
TOGETHER = 1000
LARGEST = 32 << 20

_alerts = msgspec.json.Decoder(AlertEvent)
_panes: msgspec.json.Decoder[PaneEvent] = msgspec.json.Decoder(PaneEvent)


class Carrying:
    """Copies states, notifications and panes from group `source.group` to group `target.group`.

    Neither group may be running.
    """

    def __init__(self, source: Settings, target: Settings) -> None:
        self._source, self._target = source, target
        self._counts: Counter[str] = Counter()

    async def check(self) -> int:
        """Return the number of partitions of the old prefix.

        Raises CommandError where the old group runs or the new one has state.
        """
        old, new = self._source.group, self._target.group
        partitions = await partitions_of_topic(self._source, _changelog(old, "join"))
        if not partitions:
            raise CommandError(
                f"--from-group: no worker of group {old!r} has saved anything; name the group of the old workers, or "
                f"give --without-state to copy registrations, silences and receivers alone"
            )
        await self._check_stopped(old)
        for name in TABLES:
            if not await partitions_of_topic(self._target, _changelog(new, name)):
                continue
            table = await self._table(self._target, name)
            if any(key.startswith(("@", "owner/")) for key in table):
                raise CommandError(f"--group: group {new!r} has worked already, and its state is not written over")
        return partitions

    async def _check_stopped(self, group: str) -> None:
        admin = AIOKafkaAdminClient(**client_options(self._source))
        await admin.start()
        try:
            described = await admin.describe_consumer_groups([group])
        finally:
            await admin.close()
        members = sum(len(found[5]) for answer in described for found in answer.groups)
        if members:
            raise CommandError(
                f"--from-group: {members} workers of group {group!r} run still: stop them, so that nothing changes "
                f"while it is copied (a worker that was killed is gone after session_seconds)"
            )

    async def copy(self, partitions: int) -> Mapping[str, int]:
        """Copy states, logs and panes. `partitions`: the number of partitions of the old prefix.

        Return the number of records written, by kind.
        """
        app = make_app(self._target)
        for name in TABLES:
            make_table(app, name, self._target.partitions)
        await ensure_topics(self._target, (), changelogs(app, self._target.partitions))
        tables = {name: await self._table(self._source, name) for name in TABLES}
        async with Producer(self._target) as producer:
            await self._copy_log(producer, RETRAINING, "retraining-hook", lambda _: 0, _whole)
            for topic in (DELIVERIES, UNDELIVERED):
                await self._copy_log(producer, topic, None, lambda _: 0, _whole)
            alerts = await self._copy_log(producer, ALERTS, "retraining", self._partition_of_alert, _alert_id)
            in_log = {
                alert.alert_id: self._partition_of_alert(record) for record in alerts if (alert := _alert(record))
            }
            await self._copy_panes(producer, partitions)
            n = self._target.partitions
            await self._write("join", intake_entries(tables["join"], n))
            await self._write("windows", window_entries(tables["windows"], n))
            await self._write("alerts", alert_entries(tables["alerts"], n))
            await self._write("notify", notify_entries(tables["notify"], in_log, n))
            ended = ended_with_its_group(tables["notify"], self._target.group, datetime.now(UTC))
            await self._end(producer, ended, alerts)
        return dict(self._counts)

    async def _table(self, settings: Settings, name: str) -> Table:
        """Return the newest value of each key of a table."""
        newest: dict[str, bytes] = {}
        async for record in records(settings, _changelog(settings.group, name)):
            if record is None:
                break
            key = table_key(record.key or b'""')
            newest.pop(key, None)
            if record.value:
                newest[key] = record.value
        return newest

    async def _write(self, name: str, entries: Iterable[Entry]) -> None:
        topic = Topic(name=_changelog(self._target.group, name), key="", event="", max_message_bytes=LARGEST)
        outgoing = [Outgoing(changelog_key(key), value, partition) for partition, key, value in entries]
        async with Producer(self._target.model_copy(update={"prefix": ""})) as producer:
            await _send(producer, topic, outgoing)
        self._counts[f"{name} state"] = len(outgoing)

    # Logs

    async def _copy_log(
        self,
        producer: Producer,
        topic: Topic,
        reader: str | None,
        partition: Callable[[ConsumerRecord], int],
        identity: Callable[[ConsumerRecord], object],
    ) -> Sequence[ConsumerRecord]:
        """Copy records that the new topic does not have yet, in order. Return all records that the new topic has then.

        `reader`: suffix of the consumer groups that act on the topic's records. The new group begins where the old
        group stopped.
        """
        old, known = await self._log(self._source, topic), await self._log(self._target, topic)
        there = {identity(record) for record in known}
        missing = [record for record in old if identity(record) not in there]
        done = {} if reader is None else await self._committed(self._source, topic, reader)
        acted_on = [r for r in missing if r.offset < done.get(TopicPartition(r.topic, r.partition), 0)]
        rest = [r for r in missing if r.offset >= done.get(TopicPartition(r.topic, r.partition), 0)]
        for part in (acted_on, rest):
            outgoing = [Outgoing(r.key, r.value, partition(r), r.headers) for r in part if r.value is not None]
            await _send(producer, topic, outgoing)
            if part is acted_on and reader is not None and done:
                await self._begin_here(topic, reader)
        self._counts[topic.name] = len(old)
        return [*known, *missing]

    async def _log(self, settings: Settings, topic: Topic) -> list[ConsumerRecord]:
        name = topic.full_name(settings.prefix)
        found: list[ConsumerRecord] = []
        if await partitions_of_topic(settings, name):
            async for record in records(settings, name):
                if record is None:
                    break
                found.append(record)
        return sorted(found, key=lambda record: (record.timestamp, record.partition, record.offset))

    async def _committed(self, settings: Settings, topic: Topic, reader: str) -> dict[TopicPartition, int]:
        admin = AIOKafkaAdminClient(**client_options(settings))
        await admin.start()
        try:
            offsets = await admin.list_consumer_group_offsets(f"{settings.group}-{reader}")
        finally:
            await admin.close()
        name = topic.full_name(settings.prefix)
        return {tp: found.offset for tp, found in offsets.items() if tp.topic == name and found.offset >= 0}

    async def _begin_here(self, topic: Topic, reader: str) -> None:
        """Commit the current end offsets for the new readers, unless they have already committed offsets."""
        target = self._target
        if await self._committed(target, topic, reader):
            return
        name = topic.full_name(target.prefix)
        partitions = [TopicPartition(name, number) for number in range(topic.partitions(target.partitions))]
        consumer = AIOKafkaConsumer(
            **consumer_options(target), group_id=f"{target.group}-{reader}", enable_auto_commit=False
        )
        await consumer.start()
        try:
            consumer.assign(partitions)
            await consumer.commit(await consumer.end_offsets(partitions))
        finally:
            await consumer.stop()

    def _partition_of_alert(self, record: ConsumerRecord) -> int:
        alert = _alert(record)
        return 0 if alert is None else partition_of_alert(alert, self._target.partitions)

    async def _end(self, producer: Producer, ended: Iterable[AlertEvent], known: Sequence[ConsumerRecord]) -> None:
        """Send the resolved transitions of alerts that ended with their group, each once."""
        there = {_alert_id(record) for record in known}
        outgoing = [
            Outgoing(alert.fingerprint.encode(), msgspec.json.encode(alert), self._partition(alert))
            for alert in ended
            if alert.alert_id not in there
        ]
        await _send(producer, ALERTS, outgoing)

    def _partition(self, alert: AlertEvent) -> int:
        return partition_of_alert(alert, self._target.partitions)

    # Panes

    async def _copy_panes(self, producer: Producer, partitions: int) -> None:
        newest: dict[bytes, bytes] = {}
        for record in await self._log(self._source, PANES):
            newest.pop(record.key or b"", None)
            if record.value is not None:
                newest[record.key or b""] = record.value
        outgoing = []
        for value in newest.values():
            try:
                key, event = copied_pane(_panes.decode(value), partitions)
            except (*UNREADABLE, *STRAY):
                self._counts["panes that cannot be read"] += 1
                continue
            to = partition_of(event.model, event.model_version, self._target.partitions)
            outgoing.append(Outgoing(key, msgspec.json.encode(event), to))
        await _send(producer, PANES, outgoing)
        self._counts[PANES.name] = len(outgoing)


async def _send(producer: Producer, topic: Topic, outgoing: Sequence[Outgoing]) -> None:
    for i in range(0, len(outgoing), TOGETHER):
        for refused in await producer.send_many(topic, outgoing[i : i + TOGETHER]):
            raise CommandError(f"{topic.name}: {refused.reason}")


def _changelog(group: str, table: str) -> str:
    return f"{group}-{table}-changelog"


def _whole(record: ConsumerRecord) -> object:
    return record.key, record.value


def _alert(record: ConsumerRecord) -> AlertEvent | None:
    alert = decode(record, _alerts)
    return None if isinstance(alert, Rejected) else alert


def _alert_id(record: ConsumerRecord) -> object:
    alert = _alert(record)
    return (record.key, record.value) if alert is None else alert.alert_id
