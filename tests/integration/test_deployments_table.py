"""Deployments as a worker sees them in Kafka: the newest of each model, and those of the last days alone."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import msgspec
from aiokafka import AIOKafkaProducer

from app.kafka.client_options import client_options
from app.kafka.topics import ensure_topics
from app.registration.deployments_table import DAYS, MOST_OF_MODEL, DeploymentsTable
from app.settings.settings import Settings
from topics.events import DeploymentEvent
from topics.registry import DEPLOYMENTS

AT = datetime(2026, 6, 1, tzinfo=UTC)


def event(version: str, model: str = "m") -> bytes:
    return msgspec.json.encode(DeploymentEvent(
        model=model, model_version=version, deployed_at=AT, source="external", detail="x", metadata={"commit": "3f2a"},
    ))  # fmt: skip


async def test_the_newest_of_each_model_are_known_and_what_is_old_is_not_read(settings: Settings) -> None:
    await ensure_topics(settings, [DEPLOYMENTS])
    topic, now = DEPLOYMENTS.full_name(settings.prefix), round(time.time() * 1000)
    old = now - (DAYS + 1) * 86_400_000
    async with AIOKafkaProducer(**client_options(settings)) as producer:

        async def send(value: bytes | None, at: int) -> None:
            await producer.send_and_wait(topic, value, b"m/1", timestamp_ms=at)

        async with DeploymentsTable(settings) as empty:
            assert empty.of("m") == ()
        await send(event("0"), old)
        async with DeploymentsTable(settings) as view:
            assert view.of("m") == ()
            await send(event("1"), now)
            await view.catch_up()
            assert [one.model_version for one in view.of("m")] == ["1"]
            for value in (b"no json", None, event("2"), event("1", "n")):
                await send(value, now)
            await view.catch_up()
            assert [one.model_version for one in view.of("m")] == ["1", "2"]
            assert (view.of("m")[0].metadata, view.of("m")[0].detail) == ({}, "")
        async with DeploymentsTable(settings) as again:  # after a restart too
            assert [one.model_version for one in again.of("m")] == ["1", "2"]
            for version in range(3, MOST_OF_MODEL + 4):
                await send(event(str(version)), now)
            await again.catch_up()
            assert [one.model_version for one in again.of("m")] == [str(v) for v in range(4, MOST_OF_MODEL + 4)]
            assert [one.model_version for one in again.of("n")] == ["1"]
