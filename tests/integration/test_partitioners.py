"""Half of the records by librdkafka as it comes, half by murmur2; a worker is killed: counts equal the truth."""

from __future__ import annotations

import asyncio
import os
import random
import signal

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from confluent_kafka import Producer as Librdkafka

from app.ingest.rekeying import REKEYED, origin_of
from app.kafka.topics import ensure_topics
from app.settings.settings import Settings
from tests.support.stream import differences, register_model, send, truth, until, until_equal, worker
from tests.support.worker_process import log_of, quick
from topics.partition import partitions_of
from topics.registry import FEEDBACK, PREDICTIONS

EVENTS = 4000
CLIENT = b"checkout"


def send_by_librdkafka(settings: Settings, records: list[tuple[str, bytes, bytes]]) -> None:
    """Send with librdkafka's own partitioner (CRC32 of the key)."""
    producer = Librdkafka({"bootstrap.servers": settings.bootstrap_servers, "acks": "all", "linger.ms": 5})
    for topic, key, value in records:
        producer.produce(settings.prefix + topic, value, key, headers=[("client.id", CLIENT)])
        producer.poll(0)
    assert producer.flush(30) == 0


async def logs(settings: Settings, topic: str) -> tuple[int, set[tuple[int, int]], list[tuple[int, int]]]:
    """How many records of producers lie in a wrong partition, where, and the origins of what was sent again."""
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap_servers, auto_offset_reset="earliest")
    await consumer.start()
    wrong: set[tuple[int, int]] = set()
    origins: list[tuple[int, int]] = []
    total = 0
    try:
        parts = [TopicPartition(settings.prefix + topic, number) for number in range(settings.partitions)]
        consumer.assign(parts)
        ends = await consumer.end_offsets(parts)
        while any([await consumer.position(tp) < end for tp, end in ends.items()]):
            for tp, records in (await consumer.getmany(timeout_ms=200)).items():
                for record in (r for r in records if r.key is not None):
                    right = int(partitions_of([record.key], settings.partitions)[0])
                    if (origin := origin_of(record)) is not None:
                        assert right == tp.partition
                        assert [name for name, _ in record.headers].count(REKEYED) == 1
                        origins.append(origin)
                        continue
                    total += 1
                    if right != tp.partition:
                        wrong.add((tp.partition, record.offset))
    finally:
        await consumer.stop()
    return total, wrong, origins


@pytest.mark.timeout(150)
async def test_librdkafkas_default_partitioner_works_beside_murmur2(settings: Settings) -> None:
    settings = quick(settings)
    wanted = truth(EVENTS, seed=31)
    rng = random.Random(4)
    theirs = [rng.random() < 0.5 for _ in wanted.records]
    parts: list[tuple[list[tuple[str, bytes, bytes]], list[tuple[str, bytes, bytes]]]] = []
    third = len(wanted.records) // 3
    for start in (0, third):
        end = start + third if start == 0 else len(wanted.records)
        chosen = list(zip(wanted.records[start:end], theirs[start:end], strict=True))
        parts.append(([r for r, away in chosen if away], [r for r, away in chosen if not away]))
    await ensure_topics(settings)
    await register_model(settings)

    async def produce(part: int) -> None:
        await asyncio.to_thread(send_by_librdkafka, settings, parts[part][0])
        await send(settings, parts[part][1], close=False)

    await produce(0)
    with worker(settings, "killed") as first:
        await until(settings, lambda counts: counts.predictions > 200, 60)
        os.kill(first.pid, signal.SIGKILL)
        await asyncio.to_thread(first.wait)
    with worker(settings, "heir") as second:
        await produce(1)
        await send(settings, [])
        counts = await until_equal(settings, wanted, 60)
        assert second.poll() is None, log_of(settings)
    assert counts.equal(wanted), differences(counts, wanted) + log_of(settings)
    assert sum(wanted.panes.values()) == counts.predictions == EVENTS
    for topic in (PREDICTIONS.name, FEEDBACK.name):
        total, wrong, origins = await logs(settings, topic)
        assert total == sum(name == topic for name, _, _ in wanted.records)
        assert len(wrong) > total / 4
        assert set(origins) == wrong
    told = (settings.state_dir / "heir.log").read_text()
    assert told.count(f"the producer '{CLIENT.decode()}' does not partition by murmur2") == 1
