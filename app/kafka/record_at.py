"""One record of a topic of one partition, by its offset."""

from __future__ import annotations

import asyncio

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from app.kafka.client_options import consumer_options
from app.kafka.consumer import Consumer
from app.kafka.errors import BrokerUnavailable
from app.settings.settings import Settings
from topics.registry import Topic

ANSWER_SECONDS = 10.0


async def record_at(settings: Settings, topic: Topic, offset: int) -> bytes | None:
    """Return the value of the record at an offset of a topic's first partition.

    Return None where compaction has removed the record, or where it has no value. Raises BrokerUnavailable.
    """
    partition = TopicPartition(topic.full_name(settings.prefix), 0)
    consumer = Consumer(
        **consumer_options(settings), enable_auto_commit=False, auto_offset_reset="earliest",
        max_partition_fetch_bytes=topic.max_message_bytes,
    )  # fmt: skip
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            await consumer.start()
            consumer.assign([partition])
            if offset >= (await consumer.end_offsets([partition]))[partition]:
                return None
            consumer.seek(partition, offset)
            record = await consumer.getone(partition)
    except (KafkaError, OSError, TimeoutError) as error:
        raise BrokerUnavailable(
            f"Kafka at {settings.bootstrap_servers} does not answer for {partition.topic}"
        ) from error
    finally:
        await consumer.stop()
    value: bytes | None = record.value
    return value if record.offset == offset else None
