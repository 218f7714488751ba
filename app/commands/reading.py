"""Reading whole topics, as the commands that list things do."""

from __future__ import annotations

from collections.abc import AsyncIterator

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError

from app.commands.common import Trouble
from app.runtime.models_view import ModelsView, RegisteredModel
from app.runtime.settings import Settings


async def records(settings: Settings, topic: str, *, follow: bool = False) -> AsyncIterator[ConsumerRecord | None]:
    """Every record of a topic, from its start. With `follow`: then None once, then what comes, without end.

    Raises Trouble where the topic or the broker is not there.
    """
    servers = settings.bootstrap_servers
    partitions = [TopicPartition(topic, number) for number in range(await _partitions(servers, topic))]
    consumer = AIOKafkaConsumer(
        bootstrap_servers=servers, enable_auto_commit=False, auto_offset_reset="earliest",
        max_partition_fetch_bytes=32 << 20,
    )  # fmt: skip
    try:
        await consumer.start()
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        async for record in _to_the_end(consumer, partitions):
            yield record
        if follow:
            yield None
            async for record in consumer:
                yield record
    finally:
        await consumer.stop()


async def _partitions(servers: str | None, topic: str) -> int:
    """How many partitions the topic has; asked for in a way that does not make it."""
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    try:
        await admin.start()
        if topic not in await admin.list_topics():
            raise Trouble(f"topic {topic} does not exist on {servers}: start a worker first (driftline up)")
        (described,) = await admin.describe_topics([topic])
        return len(described["partitions"])
    except KafkaConnectionError as error:
        raise Trouble(f"no Kafka at {servers}: {error}") from None
    finally:
        await admin.close()


async def _to_the_end(consumer: AIOKafkaConsumer, partitions: list[TopicPartition]) -> AsyncIterator[ConsumerRecord]:
    ends = await consumer.end_offsets(partitions)
    for partition in partitions:
        while await consumer.position(partition) < ends[partition]:
            for run in (await consumer.getmany(timeout_ms=500)).values():
                for record in run:
                    yield record


async def registered(settings: Settings, model: str, version: str) -> RegisteredModel:
    """What was registered last for a model version. Raises Trouble where nothing was, BrokerUnavailable."""
    async with ModelsView(settings) as models:
        found = models.get(model, version)
    if found is None:
        raise Trouble(f"{model} version {version} is not registered: driftline register --model {model} …")
    return found
