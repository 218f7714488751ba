"""Counters that start at 0: a rate sees no difference between a missing series and its first value."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from typing import get_args

from app.telemetry import metrics
from topics.events import AlertStatus
from topics.levels import LEVELS
from topics.registry import FEEDBACK, INFERENCES, PREDICTIONS, Topic


def begin_worker(channels: Iterable[str], sources: Iterable[str] = ()) -> None:
    """Create a worker's series of channels, of sources and of alerts at 0."""
    for channel, outcome in product(channels, ("delivered", "failed")):
        metrics.DELIVERIES.labels(channel, outcome)
    for outcome in ("paired", "repeated", "unpaired", "spoilt", "differs", "unreadable", "lost"):
        metrics.HALVES.labels(outcome)
    for source, outcome in product(sources, ("predictions", "feedback", "rejected", "filtered", "tombstones")):
        metrics.SOURCE_RECORDS.labels(source, outcome)
    for status, level in product(get_args(AlertStatus), LEVELS):
        metrics.ALERTS.labels(status, level)


def begin_recorder(topics: Iterable[Topic]) -> None:
    """Create a recorder's series of the topics that it reads at 0."""
    for topic in topics:
        metrics.RECORDER_LOST.labels(topic.name)
        metrics.RECORDER_ALL_DEAD_LETTERS.labels(topic.name)


def begin_api() -> None:
    """Create the API's series of events at 0."""
    for topic, outcome in product((PREDICTIONS, FEEDBACK, INFERENCES), ("accepted", "rejected")):
        metrics.API_EVENTS.labels(topic.name, outcome)
