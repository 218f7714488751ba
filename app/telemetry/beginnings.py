"""Counters at 0 from the start: a rate sees no difference between what is not there and its first value."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from typing import get_args

from app.telemetry import metrics
from topics.events import AlertStatus
from topics.levels import LEVELS
from topics.registry import FEEDBACK, INFERENCES, PREDICTIONS, Topic


def begin_worker(channels: Iterable[str]) -> None:
    """Show what a worker counts of its channels and of alerts before there is any of it."""
    for channel, outcome in product(channels, ("delivered", "failed")):
        metrics.DELIVERIES.labels(channel, outcome)
    for outcome in ("paired", "repeated", "unpaired", "spoilt", "differs", "unreadable", "lost"):
        metrics.HALVES.labels(outcome)
    for status, level in product(get_args(AlertStatus), LEVELS):
        metrics.ALERTS.labels(status, level)


def begin_recorder(topics: Iterable[Topic]) -> None:
    """Show what a recorder counts of the topics that it reads before there is any of it."""
    for topic in topics:
        metrics.RECORDER_LOST.labels(topic.name)
        metrics.RECORDER_ALL_DEAD_LETTERS.labels(topic.name)


def begin_api() -> None:
    """Show what the API counts of events before there are any."""
    for topic, outcome in product((PREDICTIONS, FEEDBACK, INFERENCES), ("accepted", "rejected")):
        metrics.API_EVENTS.labels(topic.name, outcome)
