"""What librdkafka sends, in every codec and in transactions, is counted as if our own client had sent it."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import msgspec
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from confluent_kafka import Producer

from app.kafka.client_options import consumer_options
from app.kafka.consumer import Consumer
from app.kafka.topics import ensure_topics
from app.local.kafka_probe import free_ports
from app.settings.settings import Settings
from tests.support.recorder import RECORDER, until, until_rows
from tests.support.run_command import driftline
from tests.support.stream import (
    MODEL,
    PANE,
    USUAL,
    VERSION,
    Counts,
    Truth,
    differences,
    reached,
    register_model,
    send,
    truth,
    until_equal,
    worker,
)
from tests.support.waiting import answers
from tests.support.worker_process import log_of
from topics.events import PerformanceReport
from topics.registry import ALERTS, FEEDBACK, MODELS, PREDICTIONS, REPORTS

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
EVENTS = 1500
CHALLENGER = "2"
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


@dataclass(frozen=True)
class Both:
    """A challenger's predictions of the champion's ids, the truth that comes after them, and what must be counted."""

    predictions: list[Record] = field(default_factory=list)
    feedback: list[Record] = field(default_factory=list)
    early: Truth = field(default_factory=Truth)
    """What the challenger comes to before that truth."""
    last: dict[str, Truth] = field(default_factory=lambda: {VERSION: Truth(), CHALLENGER: Truth()})
    rows: set[tuple[str, str, str, str]] = field(default_factory=set)
    """Id, version, prediction, and the last truth."""


def challenged(wanted: Truth) -> Both:
    """Truth is new then for the ids that had none, and every third of the others has another one."""
    rng, both = random.Random(3), Both()
    events = [(topic, key.decode(), msgspec.json.decode(value)) for topic, key, value in wanted.records]
    made = {key: event for topic, key, event in events if topic == PREDICTIONS.name}
    before = {key: event["actual"] for topic, key, event in events if topic == FEEDBACK.name}
    for key, champion in made.items():
        actual = before.get(key, rng.choice("01"))
        if key not in before or rng.random() < 0.33:
            actual = str(1 - int(actual))
            event = {"prediction_id": key, "actual": actual}
            both.feedback.append((FEEDBACK.name, key.encode(), msgspec.json.encode(event)))
        other = str(1 - int(champion["prediction"])) if rng.random() < 0.3 else champion["prediction"]
        own = {**champion, "model_version": CHALLENGER, "prediction": other}
        copies = [(PREDICTIONS.name, key.encode(), msgspec.json.encode(own))] * rng.choice([1, 1, 2])
        both.predictions.extend(copies)
        pane = champion["timestamp"] // PANE * PANE
        both.early.panes[pane] += 1
        if key in before:
            both.early.confusion[pane, int(before[key]) * 2 + int(other)] += 1
        for version, label in ((VERSION, champion["prediction"]), (CHALLENGER, other)):
            both.last[version].panes[pane] += 1
            both.last[version].confusion[pane, int(actual) * 2 + int(label)] += 1
            both.rows.add((key, version, label, actual))
    return both


def assert_accuracy(found: Counts, wanted: Truth) -> None:
    """Every window's accuracy is that of its rows; a thin one knows older truth as of when it was judged."""
    reports = [one for one in found.reports.values() if isinstance(one, PerformanceReport) and one.feedback]
    inside = {report.window_end.timestamp(): reached(wanted.panes, report.window_end.timestamp()) for report in reports}
    whole = [report for report in reports if min(inside[end := report.window_end.timestamp()]) >= end - USUAL]
    assert len(whole) > len(reports) / 2
    for report in whole:
        cells = Counter[int]()
        for (pane, slot), n in wanted.confusion.items():
            cells[slot] += n if pane in inside[report.window_end.timestamp()] else 0
        value = next(metric.value for metric in report.metrics if metric.name == "accuracy")
        assert value == pytest.approx((cells[0] + cells[3]) / cells.total(), rel=1e-12)


async def assert_both_versions_count(settings: Settings, wanted: Truth, api: str) -> None:
    """A challenger predicts under all of the champion's ids: part of the truth is there before, part comes after."""
    both = challenged(wanted)
    await register_model(settings, version=CHALLENGER)
    await send(settings, both.predictions, version=CHALLENGER)
    found = await until_equal(settings, both.early, 40, CHALLENGER)
    assert found.equal(both.early), differences(found, both.early) + log_of(settings)
    await send(settings, both.feedback)
    for version, last in both.last.items():
        found = await until_equal(settings, last, 40, version)
        assert found.equal(last), version + differences(found, last) + log_of(settings)
        assert_accuracy(found, last)
    question = "SELECT prediction_id, model_version, prediction, actual FROM predictions ORDER BY 1, 2"
    await until_rows(settings, question, sorted(both.rows))
    key = min(both.rows)[0]
    shown = (await answers(f"{api}/history/predictions?prediction_id={key}", 200)).json()
    rows = {(key, one["model_version"], one["prediction"], one["actual"]) for one in shown["predictions"]}
    assert rows == {row for row in both.rows if row[0] == key}


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
        truths = sum(wanted.confusion.values())
        await until(settings, lambda found: found == (EVENTS, truths))
        await assert_both_versions_count(settings, wanted, f"http://127.0.0.1:{ports[2]}")
        await asyncio.to_thread(transaction, transactional, settings, strays * 8, commit=False)  # markers end the logs
        async with asyncio.timeout(30):
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
