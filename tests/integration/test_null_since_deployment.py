"""A feature that is lost when its model is deployed, through a real worker: the alert names the deployment."""

from __future__ import annotations

import asyncio
import time
import uuid
from datetime import UTC, datetime

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from app.kafka.producer import Producer
from app.kafka.topics import ensure_topics
from app.registration.monitoring import monitoring_of
from app.registration.publish import register
from app.registration.reported import DeploymentRequest, deployment_of, send_reported
from app.settings.settings import Settings
from tests.support.stream import MODEL, MONITORING, VERSION, frame, worker
from topics.events import AlertEvent
from topics.registry import ALERTS, PREDICTIONS

LIVE = MONITORING | {
    "windows": {"pane": 1, "panes": 10, "allowance": 0, "idle_after": 1, "retention": 60},
    "drift": {"min_samples": 200},
}


@pytest.mark.long
@pytest.mark.timeout(180)
async def test_what_is_null_since_a_deployment_says_so_in_its_alert(settings: Settings) -> None:
    await ensure_topics(settings)
    await register(settings, MODEL, VERSION, frame(2000), monitoring_of(LIVE))
    options = {"bootstrap_servers": settings.bootstrap_servers}
    lost = asyncio.Event()

    async def serve(producer: AIOKafkaProducer) -> None:
        """Fifty predictions a second, without a colour once that is lost."""
        rows = frame(100).to_dict("records")
        for i in range(100_000):
            row, key = rows[i % len(rows)], uuid.uuid4().hex
            features = {"size": row["size"], "colour": None if lost.is_set() else row["colour"]}
            event = {
                "prediction_id": key, "model": MODEL, "model_version": VERSION, "timestamp": time.time(),
                "features": features, "prediction": row["prediction"],
            }  # fmt: skip
            topic = PREDICTIONS.full_name(settings.prefix)
            await producer.send_and_wait(topic, msgspec.json.encode(event), key.encode())
            await asyncio.sleep(0.02)

    async with (
        AIOKafkaProducer(**options, acks="all") as producer,
        AIOKafkaConsumer(ALERTS.full_name(settings.prefix), **options, auto_offset_reset="earliest") as consumer,
        Producer(settings) as reporting,
    ):
        serving = asyncio.create_task(serve(producer))
        try:
            with worker(settings):
                await asyncio.sleep(15)  # event time, which for live traffic is the wall clock
                asked = DeploymentRequest(model=MODEL, model_version="2")
                event = deployment_of(asked, datetime.now(UTC))
                await send_reported(reporting, event)
                lost.set()
                async with asyncio.timeout(90):
                    line = await cause_of(consumer, "colour")
        finally:
            serving.cancel()
    assert line.endswith(f"since the deployment of version 2 at {event.deployed_at:%Y-%m-%d %H:%M} UTC.")


async def cause_of(consumer: AIOKafkaConsumer, column: str) -> str:
    """The line of the first alert that names the likely cause of a column."""
    while True:
        record = await consumer.getone()
        alert = msgspec.json.decode(record.value, type=AlertEvent)
        for line in alert.message.split("\n"):
            if line.startswith(f"Likely cause: {column}"):
                return line
