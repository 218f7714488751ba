"""What librdkafka sends, in every codec and in transactions, is counted as if our own client had sent it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

import msgspec
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from confluent_kafka import Producer

from app.runtime.consuming import Consumer
from app.runtime.kafka_access import consumer_options
from app.runtime.kafka_probe import free_ports
from app.runtime.settings import Settings
from app.runtime.topic_admin import ensure_topics
from tests.faults.test_worker_killed import log_of
from tests.integration.test_commands import driftline
from tests.integration.test_recorder import RECORDER, counts
from tests.integration.test_telemetry import answers
from tests.stream import MODEL, VERSION, differences, register_model, send, truth, until_equal, worker
from topics.registry import ALERTS, FEEDBACK, MODELS, PREDICTIONS, REPORTS

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
EVENTS = 1500
Record = tuple[str, bytes, bytes]


def librdkafka(settings: Settings, codec: str, **more: object) -> Producer:
    """A producer of other people's: with the partitioner that Java's has."""
    return Producer(
        {"bootstrap.servers": settings.bootstrap_servers, "compression.type": codec, "linger.ms": 20,
         "partitioner": "murmur2_random", **more}
    )  # fmt: skip


def produce(producer: Producer, settings: Settings, records: Sequence[Record]) -> None:
    for topic, key, value in records:
        producer.produce(settings.prefix + topic, value, key)
    assert producer.flush(30) == 0


def aborted(records: Sequence[Record]) -> Iterator[Record]:
    """The same, of other predictions and with other truths: none of it may be counted."""
    for topic, key, value in records:
        event = msgspec.json.decode(value) | {"prediction_id": f"aborted-{key.decode()}"}
        yield topic, f"aborted-{key.decode()}".encode(), msgspec.json.encode(event)
        if topic == FEEDBACK.name:
            wrong = {**event, "prediction_id": key.decode(), "actual": str(1 - int(event["actual"]))}
            yield topic, key, msgspec.json.encode(wrong)


def transaction(producer: Producer, settings: Settings, records: Sequence[Record], *, commit: bool) -> None:
    producer.begin_transaction()
    produce(producer, settings, records)
    if commit:
        producer.commit_transaction(30)
    else:
        producer.abort_transaction(30)


def send_mixed(settings: Settings, records: Sequence[Record], transactional: Producer, step: int = 100) -> None:
    """Each part in another codec, or in a transaction that follows an aborted one."""
    plain = [librdkafka(settings, codec) for codec in CODECS]
    for number, at in enumerate(range(0, len(records), step)):
        part = records[at : at + step]
        if number % 2:
            produce(plain[number // 2 % len(plain)], settings, part)
            continue
        transaction(transactional, settings, list(aborted(part[:30])), commit=False)
        transaction(transactional, settings, part, commit=True)


async def recompress(settings: Settings, topic: str, codec: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap_servers)
    await admin.start()
    try:
        config = {"compression.type": codec, **dict(FEEDBACK.config())}
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, config)])
    finally:
        await admin.close()


async def behind(settings: Settings) -> dict[TopicPartition, int]:
    """Of each source partition, how far what the workers have committed is from the end that can be read."""
    consumer = Consumer(**consumer_options(settings), group_id=settings.group, enable_auto_commit=False)
    await consumer.start()
    try:
        partitions = [
            TopicPartition(topic.full_name(settings.prefix), number)
            for topic in (PREDICTIONS, FEEDBACK)
            for number in range(settings.partitions)
        ]
        ends = await consumer.end_offsets(partitions)
        return {tp: ends[tp] - (await consumer.committed(tp) or 0) for tp in partitions}
    finally:
        await consumer.stop()


@pytest.mark.timeout(120)
async def test_every_codec_and_every_transaction_counts_as_it_should(settings: Settings) -> None:
    ports = free_ports(3)
    settings = settings.model_copy(
        update={"metrics_port": ports[0], "recorder_metrics_port": ports[1], "api_port": ports[2]}
    )
    wanted = truth(EVENTS, seed=71)
    await ensure_topics(settings)
    await register_model(settings)
    await recompress(settings, FEEDBACK.full_name(settings.prefix), "zstd")
    transactional = librdkafka(settings, "lz4", **{"transactional.id": settings.prefix})
    transactional.init_transactions(30)
    await asyncio.to_thread(send_mixed, settings, wanted.records, transactional)
    await send(settings, [])  # closes every window
    strays = [(topic.name, b"key", b"aborted") for topic in (PREDICTIONS, FEEDBACK, MODELS, REPORTS, ALERTS)]
    with (
        worker(settings) as process,
        worker(settings, "recorder", RECORDER),
        worker(settings, "api", ("-m", "app.cli", "api")),
    ):
        found = await until_equal(settings, wanted, 60)
        assert found.equal(wanted), differences(found, wanted) + log_of(settings)
        await asyncio.to_thread(transaction, transactional, settings, strays * 8, commit=False)  # markers end the logs
        truths = sum(wanted.confusion.values())
        async with asyncio.timeout(30):
            while counts(settings) != (EVENTS, truths):  # noqa: ASYNC110 - a database tells nobody
                await asyncio.sleep(0.05)
            for port in ports[:2]:
                ready = (await answers(f"http://127.0.0.1:{port}/ready", 200)).json()
                while any(ready["lag"].values()):
                    await asyncio.sleep(0.05)
                    ready = (await answers(f"http://127.0.0.1:{port}/ready", 200)).json()
            while any((await behind(settings)).values()):  # noqa: ASYNC110 - neither does a broker
                await asyncio.sleep(0.05)
        await answers(f"http://127.0.0.1:{ports[2]}/ready", 200)
        shown = await answers(f"http://127.0.0.1:{ports[2]}/models/{MODEL}/{VERSION}/drift", 200, 20)
        assert shown.json()
        assert process.poll() is None
    for arguments in (("reports", "--model", MODEL), ("alerts", "list", "--model", MODEL)):
        answer = await asyncio.to_thread(driftline, settings, *arguments)
        assert answer.returncode == 0, answer.stderr
    said = log_of(settings)
    assert "were skipped" not in said
    assert "Traceback" not in said
