"""Retention of the topics with predictions, and with results about them, as configured at the broker."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import for_code

from app.kafka.client_options import client_options
from app.settings.settings import Settings
from topics.registry import (
    ALERTS,
    DEAD_LETTERS,
    DEPLOYMENTS,
    FEEDBACK,
    INFERENCES,
    PREDICTIONS,
    REPORTS,
    RETRAINING,
    SERVED,
    TRAINING_RUNS,
    UNDELIVERED,
)

WITH_ROWS = (PREDICTIONS, FEEDBACK, INFERENCES, DEAD_LETTERS, SERVED)
"""Topics with rows, or parts of rows."""
WITH_VALUES = (REPORTS, ALERTS, UNDELIVERED, RETRAINING, TRAINING_RUNS, DEPLOYMENTS)
"""Topics that may name categories, or values that somebody has sent."""
SEGMENT = timedelta(days=7)
"""Kafka's default: a segment is written to for at most this time, and is deleted as a whole."""


@dataclass(frozen=True, slots=True)
class Kept:
    """Topic, and the time when its last present record is deleted; None where it is never deleted automatically.

    `trouble`: why the time is unknown.
    """

    topic: str
    until: datetime | None
    trouble: str = ""


async def kept_until(settings: Settings, now: datetime) -> list[Kept]:
    """Return the existing topics with their times, by the broker's configuration. Raises KafkaError."""
    names = [topic.full_name(settings.prefix) for topic in (*WITH_ROWS, *WITH_VALUES)]
    admin = AIOKafkaAdminClient(**client_options(settings))
    await admin.start()
    try:
        there = set(await admin.list_topics())
        asked = dict.fromkeys(("retention.ms", "segment.ms"), "")
        resources = [ConfigResource(ConfigResourceType.TOPIC, name, asked) for name in names if name in there]
        answers = await admin.describe_configs(resources) if resources else []
    finally:
        await admin.close()
    found = []
    for answer in answers:
        for code, message, _type, name, entries in answer.resources:
            if code:
                found.append(Kept(name, None, message or for_code(code).__name__))
            else:
                found.append(Kept(name, _until({entry[0]: entry[1] for entry in entries}, now)))
    return sorted(found, key=lambda one: names.index(one.topic))


def _until(values: dict[str, str], now: datetime) -> datetime | None:
    kept = int(values.get("retention.ms", -1))
    if kept < 0:
        return None
    segment = int(values.get("segment.ms", SEGMENT.total_seconds() * 1000))
    return now + timedelta(milliseconds=kept) + min(timedelta(milliseconds=segment), SEGMENT)
