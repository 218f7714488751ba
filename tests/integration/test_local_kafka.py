"""A genuine broker from its jars: started, found again, stopped, and never left behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from app.kafka.coordinator import await_coordinator
from app.kafka.errors import BrokerError
from app.kafka.topics import NamedTopic, ensure_topics
from app.local.find_kafka import Kafka, find_kafka, running_kafka
from app.local.kafka_control import BrokerStatus, broker_down, broker_status, broker_up
from app.local.kafka_probe import free_ports, speaks_kafka
from app.local.kafka_record import BrokerRecord
from app.settings.settings import Settings, load_settings

pytestmark = pytest.mark.usefixtures("java")

MEBIBYTE = 1 << 20


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Settings without a named Kafka, on a machine without Docker; what was started is stopped."""
    for module in ("find_kafka", "kafka_control"):
        monkeypatch.setattr(f"app.local.{module}.docker_answers", lambda: False)
    settings = load_settings(state_dir=tmp_path)
    yield settings
    record = BrokerRecord.read(tmp_path / "kafka")
    if record is not None and psutil.pid_exists(record.pid):
        psutil.Process(record.pid).kill()


def record_of(settings: Settings) -> BrokerRecord:
    record = BrokerRecord.read(settings.state_dir / "kafka")
    assert record is not None
    return record


async def write(servers: str, topic: str, value: bytes) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=servers, acks="all", max_request_size=40 * MEBIBYTE)
    async with producer:
        await producer.send_and_wait(topic, value)


async def read_one(servers: str, topic: str) -> bytes:
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=servers, auto_offset_reset="earliest", max_partition_fetch_bytes=40 * MEBIBYTE
    )
    async with consumer:
        record = await consumer.getone()
    assert record.value is not None
    return bytes(record.value)


async def test_it_starts_takes_32_mebibytes_stops_and_keeps_its_data(alone: Settings) -> None:
    value = os.urandom(1) * (32 * MEBIBYTE - 1000)
    with find_kafka(alone) as kafka:
        assert kafka.how == "jars"
        assert running_kafka(alone) == kafka.bootstrap_servers
        broker = psutil.Process(record_of(alone).pid)
        here = alone.model_copy(update={"bootstrap_servers": kafka.bootstrap_servers})
        await ensure_topics(here, [], [NamedTopic("large", 1, {"max.message.bytes": str(32 * MEBIBYTE)})])
        await write(kafka.bootstrap_servers, "large", value)
    assert not broker.is_running()
    assert not speaks_kafka(kafka.bootstrap_servers)
    assert running_kafka(alone) is None
    with find_kafka(alone) as again:
        assert await read_one(again.bootstrap_servers, "large") == value


def test_who_asks_while_it_runs_gets_the_same_one_and_does_not_stop_it(alone: Settings) -> None:
    with find_kafka(alone) as first:
        with find_kafka(alone) as second:
            assert second.bootstrap_servers == first.bootstrap_servers
        assert speaks_kafka(first.bootstrap_servers)
        with pytest.raises(BrokerError, match=r"already runs on port \d+, not 1999"):
            find_kafka(alone, port=1999)
        with pytest.raises(BrokerError, match=rf"belongs to process {os.getpid()}"):
            broker_down(alone)


STARTER = """
import sys, time
from app.local.find_kafka import find_kafka
from app.settings.settings import load_settings
import app.local.find_kafka
app.local.find_kafka.docker_answers = lambda: False
find_kafka(load_settings(state_dir=sys.argv[1]))
print("up", flush=True)
time.sleep(100)
"""


def test_it_dies_with_a_parent_that_is_killed(alone: Settings) -> None:
    command = [sys.executable, "-c", STARTER, str(alone.state_dir)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "up\n"
        broker = psutil.Process(record_of(alone).pid)
        assert broker.name() == "java"
        parent.send_signal(signal.SIGKILL)
    broker.wait(12)


def test_a_leftover_one_is_stopped_and_another_is_started(alone: Settings) -> None:
    left = broker_up(alone)
    data_dir, record = alone.state_dir / "kafka", record_of(alone)
    with subprocess.Popen(["true"]) as gone:
        gone.wait()
    BrokerRecord(record.pid, record.port, owner=gone.pid).write(data_dir)
    told: list[str] = []
    with find_kafka(alone, tell=told.append) as kafka:
        assert kafka.bootstrap_servers != left.bootstrap_servers
        assert not speaks_kafka(left.bootstrap_servers)
    assert told[0].startswith("stopping the Kafka broker of ")


def test_a_persistent_one_stays_until_it_is_told_to_stop(alone: Settings) -> None:
    assert broker_status(alone) == BrokerStatus(running=False)
    assert not broker_down(alone)
    with broker_up(alone) as kafka:
        pass
    record = record_of(alone)
    expected = BrokerStatus(running=True, how="jars", bootstrap_servers=kafka.bootstrap_servers, pid=record.pid)
    assert broker_status(alone) == expected
    assert broker_up(alone).bootstrap_servers == kafka.bootstrap_servers
    assert broker_down(alone)
    assert broker_status(alone) == BrokerStatus(running=False)
    assert not broker_down(alone)


def test_a_taken_port_is_one_clear_line(alone: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(BrokerError, match=rf"^port {port} is taken: .*DRIFTLINE_BROKER_PORT$"):
            find_kafka(alone.model_copy(update={"broker_port": port}))


def test_a_chosen_port_that_is_taken_meanwhile_is_replaced(alone: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    choose = free_ports
    with socket.create_server(("127.0.0.1", 0)) as server:
        choices = [[server.getsockname()[1], choose(1)[0]]]
        monkeypatch.setattr(
            "app.local.kafka_jar_process.free_ports", lambda count: choices.pop() if choices else choose(count)
        )
        with find_kafka(alone) as kafka:
            assert speaks_kafka(kafka.bootstrap_servers)
        assert not choices


def test_a_formatting_that_was_interrupted_is_done_again(alone: Settings) -> None:
    data = alone.state_dir / "kafka" / "data"
    data.mkdir(parents=True)
    (data / "bootstrap.checkpoint").write_bytes(b"half")
    with find_kafka(alone) as kafka:
        assert speaks_kafka(kafka.bootstrap_servers)


def test_data_of_something_else_is_one_clear_line(alone: Settings) -> None:
    data_dir = alone.state_dir / "kafka"
    (data_dir / "data").mkdir(parents=True)
    (data_dir / "data" / "meta.properties").write_text("version=1\nnode.id=7\ncluster.id=other\n")
    (data_dir / "formatted").touch()
    with pytest.raises(BrokerError, match=r"^Kafka ended at its start: .*broker\.log\)$"):
        find_kafka(alone)
    assert not (data_dir / "broker.json").exists()


def test_a_named_kafka_is_used_and_left_alone(kafka: Kafka, alone: Settings) -> None:
    named = alone.model_copy(update={"bootstrap_servers": kafka.bootstrap_servers})
    with find_kafka(named) as found:
        assert found.how == "given"
        assert broker_status(named).how == "given"
    assert speaks_kafka(kafka.bootstrap_servers)


def test_a_named_kafka_that_does_not_answer_is_one_clear_line(alone: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:  # it listens, but speaks nothing
        servers = f"127.0.0.1:{server.getsockname()[1]}"
        server.close()
        with pytest.raises(BrokerError, match=rf"^no Kafka answers at {servers}: "):
            find_kafka(alone.model_copy(update={"bootstrap_servers": servers}))


def test_a_record_that_cannot_be_read_is_no_broker(alone: Settings) -> None:
    file = alone.state_dir / "kafka" / "broker.json"
    file.parent.mkdir()
    for text in ("", "{", json.dumps({"pid": 1}), json.dumps({"pid": 1, "port": 9, "owner": None})):
        file.write_text(text)
        assert running_kafka(alone) is None


async def test_a_kept_one_that_is_killed_runs_again_on_the_same_port_with_its_data(alone: Settings) -> None:
    told: list[str] = []
    again, loop = asyncio.Event(), asyncio.get_running_loop()

    def tell(line: str) -> None:
        told.append(line)
        if line.startswith("Kafka runs again"):
            loop.call_soon_threadsafe(again.set)

    with find_kafka(alone, keep=True, tell=tell) as kafka:
        given = alone.model_copy(update={"bootstrap_servers": kafka.bootstrap_servers})
        await ensure_topics(given, (), [NamedTopic("kept", 1)])
        await await_coordinator(given)
        await write(kafka.bootstrap_servers, "kept", b"before")
        first = record_of(alone)
        os.kill(first.pid, signal.SIGKILL)
        await asyncio.wait_for(again.wait(), 90)
        assert record_of(alone).port == first.port
        assert record_of(alone).pid != first.pid
        assert await read_one(kafka.bootstrap_servers, "kept") == b"before"
    assert told[-2:] == [
        f"Kafka ended (SIGKILL); it is started again on port {first.port} in 0.2 s",
        f"Kafka runs again on port {first.port}",
    ]
    assert not speaks_kafka(kafka.bootstrap_servers)
