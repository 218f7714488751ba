"""Functions that read whole topics, for commands that list records."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from typing import TypeVar

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaConnectionError

from app.commands.options import CommandError
from app.ingest.decoding import STRAY, UNREADABLE
from app.kafka.client_options import consumer_options
from app.kafka.consumer import Consumer
from app.kafka.errors import words_of
from app.kafka.global_table import FollowedTopic
from app.kafka.topics import partitions_named
from app.registration.models_table import ModelsTable, RegisteredModel
from app.registration.versions_table import Registered, VersionsTable
from app.settings.settings import Settings
from topics.events import VersionEvent
from topics.registry import Topic

T = TypeVar("T")
V = TypeVar("V", bound=FollowedTopic)

LISTED = 20
"""Most model versions that an error names."""


async def records(settings: Settings, topic: str, *, follow: bool = False) -> AsyncIterator[ConsumerRecord | None]:
    """Yield every record of a topic from its start, and None at its end. With `follow`: then new records, without end.

    Raises CommandError where the topic does not exist or the broker is unreachable.
    """
    servers = settings.bootstrap_servers
    count = await partitions_of_topic(settings, topic)
    if not count:
        raise CommandError(f"topic {topic} does not exist on {servers}: start a worker first (driftline up)")
    partitions = [TopicPartition(topic, number) for number in range(count)]
    consumer = Consumer(
        **consumer_options(settings), enable_auto_commit=False, auto_offset_reset="earliest",
        max_partition_fetch_bytes=32 << 20,
    )  # fmt: skip
    try:
        await consumer.start()
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        async for record in _to_the_end(consumer, partitions):
            yield record
        yield None
        if follow:
            async for record in consumer:
                yield record
    finally:
        await consumer.stop()


async def events(
    settings: Settings, topic: Topic, decode: Callable[[bytes], T], *, follow: bool = False
) -> AsyncIterator[tuple[ConsumerRecord, T | None] | None]:
    """Yield every record of a topic with its event (None: no value), and None at the topic's end.

    Report a record that is not a valid event on standard error, and leave it out. Raises CommandError, as `records`.
    """
    async for record in records(settings, topic.full_name(settings.prefix), follow=follow):
        if record is None or record.value is None:
            yield None if record is None else (record, None)
            continue
        try:
            event = decode(record.value)
        except (*UNREADABLE, *STRAY) as error:
            named = f"{record.topic} partition {record.partition} offset {record.offset}"
            print(f"driftline: {named} is left out: {words_of(error)}", file=sys.stderr, flush=True)
            continue
        yield record, event


async def newest(settings: Settings, topic: Topic, decode: Callable[[bytes], T], most: int) -> list[T]:
    """Return the events of the newest records of a topic, at most `most` of each partition; none without a topic.

    Invalid records and tombstones are left out: nothing is judged by them.
    """
    found = list[T]()
    for record in await newest_records(settings, topic.full_name(settings.prefix), most) or ():
        with contextlib.suppress(*UNREADABLE, *STRAY):
            if record.value is not None:
                found.append(decode(record.value))
    return found


async def newest_records(settings: Settings, topic: str, most: int) -> list[ConsumerRecord] | None:
    """Return the newest records of a topic, at most `most` of each partition; None where the topic does not exist."""
    partitions = [TopicPartition(topic, number) for number in range(await partitions_of_topic(settings, topic))]
    if not partitions:
        return None
    consumer = Consumer(**consumer_options(settings), enable_auto_commit=False, auto_offset_reset="earliest")
    try:
        await consumer.start()
        consumer.assign(partitions)
        starts, ends = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
        for partition in partitions:
            consumer.seek(partition, max(starts[partition], ends[partition] - most))
        return [record async for record in _to_the_end(consumer, partitions)]
    finally:
        await consumer.stop()


async def exists(settings: Settings, topic: Topic) -> bool:
    """Return whether the topic exists. Raises CommandError where the broker is unreachable."""
    return await partitions_of_topic(settings, topic.full_name(settings.prefix)) > 0


async def partitions_of_topic(settings: Settings, topic: str) -> int:
    """Return the number of partitions of a topic, 0 where it does not exist. The request does not create the topic."""
    try:
        return await partitions_named(settings, topic)
    except KafkaConnectionError as error:
        raise CommandError(f"no Kafka at {settings.bootstrap_servers}: {error}") from None


async def _to_the_end(consumer: Consumer, partitions: list[TopicPartition]) -> AsyncIterator[ConsumerRecord]:
    ends = await consumer.end_offsets(partitions)
    for partition in partitions:
        while await consumer.position(partition) < ends[partition]:
            for run in (await consumer.getmany(timeout_ms=500)).values():
                for record in run:
                    yield record


async def loaded(settings: Settings, view: V) -> V:
    """Return a table loaded with all that its topic has now; empty where there is no topic.

    Raises CommandError, BrokerUnavailable.
    """
    if await exists(settings, view.topic):
        async with view:
            pass  # loaded on entering; the rows are kept
    return view


async def registry(settings: Settings) -> ModelsTable:
    """Return the table of all registrations. Raises CommandError, BrokerUnavailable."""
    return await loaded(settings, ModelsTable(settings))


async def registered(settings: Settings, model: str, version: str) -> RegisteredModel:
    """Return the newest registration of a model version. Raises CommandError where there is none, BrokerUnavailable."""
    models = await registry(settings)
    found = models.get(model, version)
    if found is None:
        raise unregistered(models, model, version)
    return found


async def check_registered(settings: Settings, model: str, version: str | None = None) -> None:
    """Check that a model, or a version of it, is registered or learns its reference.

    Raises CommandError where it is not, BrokerUnavailable.
    """
    models = await registry(settings)
    if any(name == model and version in (None, its_version) for name, its_version in models):
        return
    if not await learning(settings, model, version):
        raise unregistered(models, model, version)


async def learning(settings: Settings, model: str, version: str | None = None) -> list[VersionEvent]:
    """Return the events of a model's versions that learn their reference. Raises CommandError, BrokerUnavailable."""
    versions, models = await loaded(settings, VersionsTable(settings)), await registry(settings)
    found = Registered(versions, models.registered_at).learning()
    return [one for one in found if one.model == model and version in (None, one.model_version)]


def unregistered(models: Iterable[tuple[str, str]], model: str, version: str | None = None) -> CommandError:
    """Return the error for a model, or a version of it, that is not registered.

    The error lists the registered versions.
    """
    known = sorted(models)
    named = model if version is None else f"{model} version {version}"
    listed = ", ".join(f"{name} {its_version}" for name, its_version in known[:LISTED])
    more = f" and {len(known) - LISTED} more" if len(known) > LISTED else ""
    is_known = f"registered: {listed}{more}" if known else "nothing is registered"
    again = f"driftline register --model {model} --version {version or 'V'} --reference FILE"
    return CommandError(f"{named} is not registered ({is_known}): correct the name, or {again}")
