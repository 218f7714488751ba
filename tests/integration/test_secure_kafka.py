"""Kafka that asks for TLS, a SCRAM user and ACLs: what docs/security.md allows is enough, and is needed."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from app.kafka.client_options import client_options
from app.kafka.producer import BrokerUnavailable, Producer
from app.kafka.topics import TopicError, ensure_topics
from app.local.find_kafka import BrokerError, running_kafka
from app.replay.send import ReplaySender
from app.settings.settings import Settings, environment, load_settings
from tests.support.api import EVENT, client_of, ready
from tests.support.secure_kafka import OURS, PRODUCER, SecureKafka, secure_kafka
from tests.support.stream import register_model, send, truth, until_equal, worker
from topics.registry import FEEDBACK, PREDICTIONS, REPORTS

PREFIX, WORKERS = "secured.", "workers"
ON_TOPICS = ("read", "write", "create", "describe", "describe-configs")


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    with secure_kafka(tmp_path_factory.mktemp("secure")) as found:
        yield found


def settings_for(secured: SecureKafka, user: str, folder: Path) -> Settings:
    return load_settings(
        **secured.settings_for(user), prefix=PREFIX, group=WORKERS, partitions=2, state_dir=folder / "state",
        alerts_dir=folder / "alerts", checkpoint_seconds=0.1, tick_seconds=0.05, reissue_seconds=0.1,
    )  # fmt: skip


async def test_the_whole_stream_runs_with_the_acls_that_the_docs_name(secured: SecureKafka, tmp_path: Path) -> None:
    ours = settings_for(secured, OURS, tmp_path)
    with pytest.raises((TopicError, KafkaError)):
        await ensure_topics(ours)
    await secured.allow(OURS, topic=PREFIX, to=ON_TOPICS)
    await secured.allow(OURS, topic=WORKERS, to=ON_TOPICS)
    await secured.allow(OURS, group=WORKERS, to=("read", "describe"))
    await ensure_topics(ours)
    await register_model(ours)
    wanted = truth(600)
    with worker(ours):
        await send(ours, wanted.records)
        counts = await until_equal(ours, wanted, 40)
    assert counts.equal(wanted), (ours.state_dir / "worker.log").read_text()
    async with client_of(ours) as client:
        await ready(client)
        assert (await client.post("/predictions", json=EVENT)).status_code == 202
        assert [one["model"] for one in (await client.get("/models")).json()["models"]] == ["stream"]
    command = [sys.executable, "-m", "app.cli", "reports", "--model", "stream", "--last", "1", "--json"]
    told = await asyncio.to_thread(
        subprocess.run, command, env=environment(ours), capture_output=True, check=True, timeout=60
    )
    assert msgspec.json.decode(told.stdout.splitlines()[0])["model"] == "stream"
    await producer_may_write_and_no_more(secured, settings_for(secured, PRODUCER, tmp_path))


async def producer_may_write_and_no_more(secured: SecureKafka, settings: Settings) -> None:
    for topic in (PREDICTIONS, FEEDBACK):
        await secured.allow(PRODUCER, topic=topic.full_name(PREFIX), to=("write", "describe"))
    async with ReplaySender(client_options(settings)) as sender:
        await sender.send(PREDICTIONS.full_name(PREFIX), [b"b"], [msgspec.json.encode({**EVENT, "prediction_id": "b"})])
    async with Producer(settings, ack_seconds=5) as producer:
        await producer.send(FEEDBACK, b"b", b'{"prediction_id": "b", "actual": 1}')
        with pytest.raises(BrokerUnavailable):
            await producer.send(REPORTS, b"b", b"{}")
    consumer = AIOKafkaConsumer(REPORTS.full_name(PREFIX), **client_options(settings), auto_offset_reset="earliest")
    with pytest.raises(KafkaError):
        await first_of(consumer)


async def first_of(consumer: AIOKafkaConsumer) -> object:
    try:
        await consumer.start()
        return await asyncio.wait_for(consumer.getone(), 10)
    finally:
        await consumer.stop()


async def test_who_is_not_let_in_is_told_and_sends_nothing(secured: SecureKafka, tmp_path: Path) -> None:
    given = secured.settings_for(OURS)
    assert running_kafka(load_settings(**given)) == secured.bootstrap_servers
    wrong = load_settings(**{**given, "kafka_sasl_password": "guess"}, state_dir=tmp_path)
    with pytest.raises(BrokerUnavailable):
        await Producer(wrong, ack_seconds=3).start()
    strange = {name: value for name, value in given.items() if name != "kafka_ca_file"}
    for settings in (strange, {"bootstrap_servers": given["bootstrap_servers"]}):
        with pytest.raises(BrokerError, match=r"^no Kafka answers at "):
            running_kafka(load_settings(**settings))
