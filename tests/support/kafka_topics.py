"""What is in Kafka's topics, read to their ends; and topics deleted."""

from __future__ import annotations

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.record.memory_records import MemoryRecords

from app.settings.settings import Settings
from topics.registry import Topic


async def values_by_partition(settings: Settings, topic: Topic) -> list[list[bytes]]:
    """The records of each partition, in its order."""
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap_servers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        name, n = topic.full_name(settings.prefix), topic.partitions(settings.partitions)
        partitions = [TopicPartition(name, p) for p in range(n)]
        consumer.assign(partitions)
        found: dict[TopicPartition, list[bytes]] = {partition: [] for partition in partitions}
        for partition, end in (await consumer.end_offsets(partitions)).items():
            while await consumer.position(partition) < end:
                for of, run in (await consumer.getmany(timeout_ms=200)).items():
                    found[of] += [record.value for record in run]
        return list(found.values())
    finally:
        await consumer.stop()


async def delete_topic(settings: Settings, name: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap_servers)
    await admin.start()
    try:
        await admin.delete_topics([name])
    finally:
        await admin.close()


async def values_of(settings: Settings, name: str, partitions: int) -> list[bytes]:
    """The values of all records of a topic."""
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap_servers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        tps = [TopicPartition(name, partition) for partition in range(partitions)]
        consumer.assign(tps)
        found: list[bytes] = []
        for tp, end in (await consumer.end_offsets(tps)).items():
            while await consumer.position(tp) < end:
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    found += [record.value for record in records]
        return found
    finally:
        await consumer.stop()


async def records_of(settings: Settings, topic: Topic) -> list[ConsumerRecord]:
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap_servers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        partitions = [
            TopicPartition(topic.full_name(settings.prefix), p) for p in range(topic.partitions(settings.partitions))
        ]
        consumer.assign(partitions)
        found: list[ConsumerRecord] = []
        for partition, end in (await consumer.end_offsets(partitions)).items():
            while await consumer.position(partition) < end:
                for run in (await consumer.getmany(timeout_ms=200)).values():
                    found.extend(run)
        return found
    finally:
        await consumer.stop()


async def batches_of(settings: Settings, topic: str, partition: int) -> list[tuple[int, int, int]]:
    """Of each batch of a partition, as it is in the log: producer id, first sequence, records."""
    client = AIOKafkaClient(bootstrap_servers=settings.bootstrap_servers)
    await client.bootstrap()
    try:
        await client.set_topics([topic])
        leader = client.cluster.leader_for_partition(TopicPartition(topic, partition))
        request = FetchRequest(100, 1, 64 << 20, 0, [(topic, [(partition, 0, 64 << 20)])], rack_id="")
        ((_, ((*_, raw),)),) = (await client.send(leader, request)).topics
    finally:
        await client.close()
    records = MemoryRecords(raw)
    found = []
    while records.has_next():
        batch = records.next_batch()
        found.append((batch.producer_id, batch.base_sequence, batch.next_offset - batch.base_offset))
    return found
