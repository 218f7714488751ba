"""Kafka goes away under a running API, and comes back: nothing is said to be accepted that is not there."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
from pathlib import Path

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from app.runtime.kafka_probe import free_ports
from app.runtime.kafka_process import start_from_jars
from app.runtime.settings import Settings, load_settings
from topics.registry import PREDICTIONS

SERVE = "from api.server import serve; from app.runtime.settings import load_settings; serve(load_settings())"


def an_event(number: int) -> dict[str, object]:
    return {"prediction_id": str(number), "model": "m", "model_version": "1", "features": {"age": 1}, "prediction": 1}


async def ids_in_kafka(settings: Settings) -> set[str]:
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap_servers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        partitions = [TopicPartition(PREDICTIONS.full_name(settings.prefix), p) for p in range(settings.partitions)]
        consumer.assign(partitions)
        found: set[str] = set()
        for partition, end in (await consumer.end_offsets(partitions)).items():
            while await consumer.position(partition) < end:
                for run in (await consumer.getmany(timeout_ms=200)).values():
                    found.update(record.key.decode() for record in run)
        return found
    finally:
        await consumer.stop()


async def ready(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                if (await client.get("/ready?for=events")).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.1)  # another process: it tells nobody


async def post(client: httpx.AsyncClient, number: int) -> httpx.Response:
    return await client.post("/predictions", json=an_event(number))


@pytest.mark.timeout(120)
@pytest.mark.skipif(shutil.which("java") is None, reason="a broker of its own, from the jars, needs Java")
async def test_a_broker_that_goes_and_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kafka_port, api_port = free_ports(2)
    broker = start_from_jars(tmp_path / "kafka", port=kafka_port)
    settings = load_settings(bootstrap_servers=broker.bootstrap_servers, api_port=api_port)
    monkeypatch.setenv("DRIFTLINE_BOOTSTRAP_SERVERS", broker.bootstrap_servers)
    monkeypatch.setenv("DRIFTLINE_API_PORT", str(api_port))
    api = await asyncio.create_subprocess_exec(sys.executable, "-c", SERVE)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{api_port}", timeout=60) as client:
            await ready(client)
            assert (await post(client, 1)).status_code == 202
            broker.stop()
            gone = await asyncio.gather(*(post(client, number) for number in range(2, 12)))
            assert {answer.status_code for answer in gone} == {503}
            assert {answer.headers["retry-after"] for answer in gone} == {"5"}
            assert (await client.get("/ready")).status_code == 503
            assert (await client.get("/health")).status_code == 200
            broker = start_from_jars(tmp_path / "kafka", port=kafka_port)
            await ready(client)
            assert (await post(client, 12)).status_code == 202
            assert await ids_in_kafka(settings) == {"1", "12"}
        api.send_signal(signal.SIGTERM)
        await asyncio.wait_for(api.wait(), 20)
    finally:
        if api.returncode is None:
            api.kill()
            await api.wait()
        broker.stop()
