"""Alerts sent to a worker, and what it records of their delivery."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import msgspec
from aiokafka import AIOKafkaConsumer

from app.kafka.producer import Outgoing, Producer
from app.settings.settings import Settings
from topics.events import AlertEvent, DeliveryEvent
from topics.partition import partition_of
from topics.registry import ALERTS, DELIVERIES


async def send_alerts(settings: Settings, alerts: Sequence[AlertEvent]) -> None:
    """Send them as the alerts agent does: to the partition of their model version."""
    async with Producer(settings) as producer:
        records = [
            Outgoing(
                alert.fingerprint.encode(), msgspec.json.encode(alert),
                partition_of(alert.labels["model"], alert.labels["model_version"], settings.partitions),
            )
            for alert in alerts
        ]  # fmt: skip
        assert await producer.send_many(ALERTS, records) == []


class Recorded:
    """What the topic `deliveries` says, as it grows; and how often each notification had arrived when it said so."""

    def __init__(self, arrived: Sequence[str]) -> None:
        self._arrived = arrived
        self.events: list[DeliveryEvent] = []
        self.arrivals: dict[str, int] = {}

    @property
    def ids(self) -> set[str]:
        """The transitions that are recorded."""
        return {event.alert_id for event in self.events}

    async def read(self, consumer: AIOKafkaConsumer) -> None:
        """Read on, without end."""
        async for record in consumer:
            event = msgspec.json.decode(record.value, type=DeliveryEvent)
            self.events.append(event)
            self.arrivals.setdefault(event.notification_id, self._arrived.count(event.notification_id))


@asynccontextmanager
async def recorded_of(settings: Settings, arrived: Sequence[str] = ()) -> AsyncIterator[Recorded]:
    """Read `deliveries` from its beginning; `arrived` are the notifications that an endpoint has taken."""
    recorded = Recorded(arrived)
    servers = settings.bootstrap_servers
    name = DELIVERIES.full_name(settings.prefix)
    consumer = AIOKafkaConsumer(name, bootstrap_servers=servers, auto_offset_reset="earliest")
    await consumer.start()
    reading = asyncio.create_task(recorded.read(consumer))
    try:
        yield recorded
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        await consumer.stop()
