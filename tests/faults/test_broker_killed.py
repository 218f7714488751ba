"""Kafka is killed in the middle and comes back: what was answered with 2xx is counted, once, and nobody has to help."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import httpx
import pytest

from app.kafka.topics import ensure_topics
from app.local.kafka_jar_process import start_from_jars
from app.local.kafka_probe import free_ports
from app.processes.supervisor import Backoff, ChildCommand, Supervisor
from app.settings.settings import load_settings
from app.settings.sources import ENV_PREFIX
from tests.support.api_process import Client, ready
from tests.support.stream import differences, register_model, send, truth, until_equal
from tests.support.worker_process import quick

EVENTS = 3000


@pytest.mark.timeout(175)
@pytest.mark.usefixtures("java")
async def test_a_broker_that_is_killed_in_the_middle_costs_nothing(tmp_path: Path) -> None:
    kafka_port, api_port = free_ports(2)
    broker = start_from_jars(tmp_path / "kafka", port=kafka_port)
    settings = load_settings(
        bootstrap_servers=broker.bootstrap_servers, api_port=api_port, state_dir=tmp_path / "state",
        alerts_dir=tmp_path / "alerts", checkpoint_seconds=0.1, tick_seconds=0.05, reissue_seconds=0.1,
    )  # fmt: skip
    settings = quick(settings)
    wanted = truth(EVENTS, seed=81)
    third = len(wanted.records) // 3
    values = settings.model_dump(mode="json", exclude_none=True)
    env = {**os.environ, **{f"{ENV_PREFIX}{name.upper()}": str(value) for name, value in values.items()}}
    commands = [ChildCommand(name, [sys.executable, "-m", "app.cli", name], env=env) for name in ("worker", "api")]
    try:
        await ensure_topics(settings)
        await register_model(settings)
        with Supervisor(commands, tell=lambda _line: None, backoff=Backoff(longest=2.0)):
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{api_port}", timeout=60) as http:
                client = Client(http)
                await ready(http)
                await client.post(wanted.records[:third])
                os.kill(broker.record.pid, signal.SIGKILL)
                broker.stop()  # what is left of it
                posting = asyncio.create_task(client.post(wanted.records[third : 2 * third]))
                async with asyncio.timeout(45):
                    while not client.unavailable:  # noqa: ASYNC110
                        await asyncio.sleep(0.1)
                assert not posting.done()
                broker = await asyncio.to_thread(start_from_jars, tmp_path / "kafka", port=kafka_port)
                await posting
                await client.post(wanted.records[2 * third :])
                await send(settings, [])
                counts = await until_equal(settings, wanted, 60)
        assert counts.equal(wanted), differences(counts, wanted)
    finally:
        broker.stop()
