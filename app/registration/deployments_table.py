"""Newest deployments of each model, read from the topic `deployments` and kept up to date."""

from __future__ import annotations

import time
from collections import deque

import msgspec
from aiokafka import TopicPartition

from app.kafka.consumer import Consumer
from app.kafka.global_table import FollowedTopic
from app.settings.settings import Settings
from topics.events import DeploymentEvent
from topics.registry import DEPLOYMENTS

DAYS = 14
"""Days of deployments that are read: only recent deployments can explain a recent change."""
MOST_OF_MODEL, MOST_MODELS = 20, 10_000

_deployments = msgspec.json.Decoder(DeploymentEvent)


class DeploymentsTable(FollowedTopic):
    """Newest deployments of each model, as reported. Events that cannot be decoded are logged and left out."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, DEPLOYMENTS)
        self._known: dict[str, deque[DeploymentEvent]] = {}

    def of(self, model: str) -> tuple[DeploymentEvent, ...]:
        """Return the newest deployments of a model, the oldest first; without their `metadata` and `detail`."""
        return tuple(self._known.get(model, ()))

    async def _seek(self, consumer: Consumer, partition: TopicPartition) -> int:
        """Start at the deployments of the last DAYS days: the topic keeps a year."""
        from_ms = round((time.time() - DAYS * 86_400.0) * 1000)
        found = (await consumer.offsets_for_times({partition: from_ms}))[partition]
        end = (await consumer.end_offsets([partition]))[partition]
        first: int = end if found is None else found.offset
        consumer.seek(partition, first)
        return first

    def _apply(self, key: bytes | None, value: bytes | None, offset: int) -> None:
        if value is None:
            return
        found = _deployments.decode(value)
        known = self._known.pop(found.model, deque(maxlen=MOST_OF_MODEL))
        known.append(msgspec.structs.replace(found, metadata={}, detail=""))
        self._known[found.model] = known
        if len(self._known) > MOST_MODELS:
            del self._known[next(iter(self._known))]
        self.revision += 1
