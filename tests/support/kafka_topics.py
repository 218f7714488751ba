"""What is in Kafka's topics, read to their ends; and topics deleted."""

from __future__ import annotations

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.record.memory_records import MemoryRecords

from app.settings.settings import Settings
from topics.registry import Topic


async def records_of(settings: Settings, topic: Topic) -> list[ConsumerRecord]:
    """Return the records of a topic, by partition and offset."""
    partitions = await _read(settings, topic.full_name(settings.prefix), topic.partitions(settings.partitions))
    return [record for partition in partitions for record in partition]


async def values_of(settings: Settings, name: str, partitions: int) -> list[bytes]:
    """Return the values of a topic's records, by partition and offset. `name` is the topic's full name."""
    return [record.value for partition in await _read(settings, name, partitions) for record in partition]


async def values_by_partition(settings: Settings, topic: Topic) -> list[list[bytes]]:
    """Return the values of each partition's records, in the order of their offsets."""
    partitions = await _read(settings, topic.full_name(settings.prefix), topic.partitions(settings.partitions))
    return [[record.value for record in partition] for partition in partitions]


async def _read(settings: Settings, name: str, count: int) -> list[list[ConsumerRecord]]:
    """Read a topic from its beginning to the ends that its partitions have now."""
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap_servers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        partitions = [TopicPartition(name, number) for number in range(count)]
        consumer.assign(partitions)
        found: dict[TopicPartition, list[ConsumerRecord]] = {partition: [] for partition in partitions}
        for partition, end in (await consumer.end_offsets(partitions)).items():
            while await consumer.position(partition) < end:
                for of, records in (await consumer.getmany(timeout_ms=200)).items():
                    found[of] += records
        return list(found.values())
    finally:
        await consumer.stop()


async def delete_topic(settings: Settings, name: str) -> None:
    """Delete a topic by its full name."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap_servers)
    await admin.start()
    try:
        await admin.delete_topics([name])
    finally:
        await admin.close()


async def batches_of(settings: Settings, topic: str, partition: int) -> list[tuple[int, int, int]]:
    """Return producer id, first sequence and number of records of each batch of a partition, as they are in the log."""
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
