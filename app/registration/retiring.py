"""Retirement of a model version, as commands and the API send it."""

from __future__ import annotations

from datetime import datetime

import msgspec

from app.kafka.producer import Producer
from topics.events import VersionEvent
from topics.registry import VERSIONS


def retired(model: str, version: str, reason: str, now: datetime) -> VersionEvent:
    """Return the event of a model version that is retired on request."""
    return VersionEvent(model=model, model_version=version, status="retired", since=now, by="command", reason=reason)


async def send_retired(producer: Producer, event: VersionEvent) -> None:
    """Send the event to the topic `versions`. Raises BrokerUnavailable."""
    await producer.send(VERSIONS, f"{event.model}/{event.model_version}".encode(), msgspec.json.encode(event))


async def send_restored(producer: Producer, model: str, version: str) -> None:
    """Delete the record of a model version from the topic `versions`. Raises BrokerUnavailable."""
    await producer.send(VERSIONS, f"{model}/{version}".encode(), None)
