"""What an agent is given to send with, so that it runs without Kafka too."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from app.ingest.decoding import Rejected
from topics.registry import Topic

Publish = Callable[[Topic, bytes, bytes, int | None], Awaitable[None]]
"""Topic, key, value, partition (None: by the key). Returns once Kafka has the record."""

Reject = Callable[[Sequence[Rejected]], Awaitable[None]]
"""Sends records to the dead letters as they are, reasons in the headers. Returns once Kafka has them."""
