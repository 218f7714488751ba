"""The raw reader: aiokafka's `getmany`, `orjson.loads`, nothing else. Started by `benchmarks.throughput`.

python -m benchmarks.raw SERVERS EVENTS TOPIC...
"""

from __future__ import annotations

import asyncio
import sys

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from app.faust_batches.app import FETCH_BYTES
from benchmarks.reading import Clock, Figures

FIRST = 2000
"""Events that start the clock: as many as a worker's first run."""


async def read(servers: str, events: int, topics: list[str]) -> Figures:
    """Read and decode all of the topics' events."""
    consumer = AIOKafkaConsumer(
        *topics, bootstrap_servers=servers, enable_auto_commit=False, auto_offset_reset="earliest",
        max_partition_fetch_bytes=FETCH_BYTES,
    )  # fmt: skip
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, p) for topic in topics for p in consumer.partitions_for_topic(topic) or ()]
        await consumer.seek_to_beginning(*partitions)
        clock, taken = Clock(), 0
        while taken < events:
            fetched = await consumer.getmany(timeout_ms=1000, max_records=None if taken else FIRST)
            for records in fetched.values():
                for record in records:
                    orjson.loads(record.value)
            before, taken = taken, taken + sum(map(len, fetched.values()))
            if not before and taken:
                clock.start(taken)
        return clock.stop(taken)
    finally:
        await consumer.stop()


if __name__ == "__main__":
    asyncio.run(read(sys.argv[1], int(sys.argv[2]), sys.argv[3:])).tell()
