"""Brokers of three are killed: with two all goes on, with one nothing is said to be accepted, and nothing is lost."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import httpx
import pytest

from app.kafka.topics import ensure_topics
from app.local.kafka_jar_process import HOST
from app.local.kafka_probe import free_ports
from app.processes.supervisor import Backoff, ChildCommand, Supervisor
from app.settings.settings import environment, load_settings
from tests.support.api_process import Client, ready
from tests.support.kafka_cluster import await_answers, three_brokers
from tests.support.stream import differences, register_model, send, truth, until_equal
from tests.support.worker_process import quick

EVENTS = 3000


@pytest.mark.long
@pytest.mark.timeout(400)
@pytest.mark.usefixtures("java")
async def test_what_was_accepted_outlives_the_brokers_that_are_killed(tmp_path: Path) -> None:
    (api_port,) = free_ports(1)
    wanted = truth(EVENTS, seed=82)
    third = len(wanted.records) // 3
    told: list[str] = []
    with three_brokers(tmp_path / "kafka") as (first, second, last):
        settings = load_settings(
            bootstrap_servers=",".join(f"{HOST}:{node.port}" for node in (first, second, last)), replication=3,
            api_port=api_port, state_dir=tmp_path / "state", alerts_dir=tmp_path / "alerts",
            checkpoint_seconds=0.1, tick_seconds=0.05, reissue_seconds=0.1,
        )  # fmt: skip
        settings = quick(settings)
        env = environment(settings)
        commands = [ChildCommand(name, [sys.executable, "-m", "app.cli", name], env=env) for name in ("worker", "api")]
        await ensure_topics(settings)
        await register_model(settings)
        with Supervisor(commands, tell=told.append, backoff=Backoff(longest=2.0)):
            async with httpx.AsyncClient(base_url=f"http://{HOST}:{api_port}", timeout=60) as http:
                client = Client(http)
                await ready(http)
                await client.post(wanted.records[:third])
                second.kill()
                await client.post(wanted.records[third : 2 * third])
                refused, accepted = client.unavailable, client.accepted
                last.kill()
                posting = asyncio.create_task(client.post(wanted.records[2 * third :]))
                async with asyncio.timeout(60):
                    while client.unavailable == refused:  # noqa: ASYNC110 - the client tells nobody
                        await asyncio.sleep(0.05)
                assert client.accepted == accepted, "said to be accepted, with one replica left"
                last.start()
                await asyncio.to_thread(await_answers, [last])
                await posting
                await send(settings, [])
                counts = await until_equal(settings, wanted, 60)
    assert counts.equal(wanted), f"{differences(counts, wanted)}\n{told}"
