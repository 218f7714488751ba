"""Reading whole topics, as the commands that list things do."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from typing import TypeVar

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError

from app.commands.options import CommandError
from app.ingest.decoding import STRAY, UNREADABLE
from app.kafka.client_options import client_options, consumer_options
from app.kafka.consumer import Consumer
from app.kafka.errors import words_of
from app.kafka.global_table import FollowedTopic
from app.registration.models_table import ModelsTable, RegisteredModel
from app.settings.settings import Settings
from topics.registry import Topic

T = TypeVar("T")
V = TypeVar("V", bound=FollowedTopic)

LISTED = 20
"""Model versions that an error names."""


async def records(settings: Settings, topic: str, *, follow: bool = False) -> AsyncIterator[ConsumerRecord | None]:
    """Every record of a topic, from its start, and None at its end. With `follow`: then what comes, without end.

    Raises Trouble where the topic or the broker is not there.
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
    """Every record of a topic of ours with its event (None: it has no value), and None at the topic's end.

    A record that is none of ours is named on standard error, and left out. Raises what `records` does.
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
    """Return the events among the newest records of a topic, at most so many of each partition; none without a topic.

    Records that are none of ours, and tombstones, are left out: nothing is judged by them.
    """
    name = topic.full_name(settings.prefix)
    partitions = [TopicPartition(name, number) for number in range(await partitions_of_topic(settings, name))]
    if not partitions:
        return []
    found = list[T]()
    consumer = Consumer(**consumer_options(settings), enable_auto_commit=False, auto_offset_reset="earliest")
    try:
        await consumer.start()
        consumer.assign(partitions)
        starts, ends = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
        for partition in partitions:
            consumer.seek(partition, max(starts[partition], ends[partition] - most))
        async for record in _to_the_end(consumer, partitions):
            with contextlib.suppress(*UNREADABLE, *STRAY):
                if record.value is not None:
                    found.append(decode(record.value))
    finally:
        await consumer.stop()
    return found


async def exists(settings: Settings, topic: Topic) -> bool:
    """Whether the topic is there. Raises Trouble where the broker is not."""
    return await partitions_of_topic(settings, topic.full_name(settings.prefix)) > 0


async def partitions_of_topic(settings: Settings, topic: str) -> int:
    """How many partitions the topic has, 0 where it does not exist; asked for in a way that does not make it."""
    admin = AIOKafkaAdminClient(**client_options(settings))
    try:
        await admin.start()
        described = await admin.describe_topics()
        return next((len(found["partitions"]) for found in described if found["topic"] == topic), 0)
    except KafkaConnectionError as error:
        raise CommandError(f"no Kafka at {settings.bootstrap_servers}: {error}") from None
    finally:
        await admin.close()


async def _to_the_end(consumer: Consumer, partitions: list[TopicPartition]) -> AsyncIterator[ConsumerRecord]:
    ends = await consumer.end_offsets(partitions)
    for partition in partitions:
        while await consumer.position(partition) < ends[partition]:
            for run in (await consumer.getmany(timeout_ms=500)).values():
                for record in run:
                    yield record


async def loaded(settings: Settings, view: V) -> V:
    """Return a view with all that its topic has now, empty where there is no topic.

    Raises Trouble, BrokerUnavailable.
    """
    if await exists(settings, view.topic):
        async with view:
            pass  # loaded on entering; what was read stays
    return view


async def registry(settings: Settings) -> ModelsTable:
    """All that is registered now. Raises Trouble, BrokerUnavailable."""
    return await loaded(settings, ModelsTable(settings))


async def registered(settings: Settings, model: str, version: str) -> RegisteredModel:
    """What was registered last for a model version. Raises Trouble where nothing was, BrokerUnavailable."""
    models = await registry(settings)
    found = models.get(model, version)
    if found is None:
        raise unregistered(models, model, version)
    return found


async def check_registered(settings: Settings, model: str, version: str | None = None) -> None:
    """Raises Trouble where the model, or that version of it, is not registered; BrokerUnavailable."""
    models = await registry(settings)
    if not any(name == model and version in (None, its_version) for name, its_version in models):
        raise unregistered(models, model, version)


def unregistered(models: Iterable[tuple[str, str]], model: str, version: str | None = None) -> CommandError:
    """The error for a model, or a version of it, that is not registered: says what is."""
    known = sorted(models)
    named = model if version is None else f"{model} version {version}"
    listed = ", ".join(f"{name} {its_version}" for name, its_version in known[:LISTED])
    more = f" and {len(known) - LISTED} more" if len(known) > LISTED else ""
    is_known = f"registered: {listed}{more}" if known else "nothing is registered"
    again = f"driftline register --model {model} --version {version or 'V'} --reference FILE"
    return CommandError(f"{named} is not registered ({is_known}): correct the name, or {again}")
