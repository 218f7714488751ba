"""Sending of a replay to the API in place of Kafka."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from app.commands.api_client import ApiClient, address
from app.core.config.monitoring import Monitoring
from app.core.config.rule_layers import Given
from app.core.reference.profile import Profile
from app.kafka.bounded_slices import bounded_slices
from app.registration.models_table import RegisteredModel
from app.replay.encode import ReplayError
from topics.events import Hidden
from topics.registry import FEEDBACK, PREDICTIONS

MOST_EVENTS = 5000
MOST_BYTES = 8 << 20
"""Events and bytes of one request, at most. The API takes twice as many of both."""


class _Registration(msgspec.Struct):
    profile: Profile
    monitoring: Monitoring
    registered_at: datetime
    rules: Given
    hidden: Hidden | None = None


class _Rejection(msgspec.Struct):
    index: int
    error: str


class _Sent(msgspec.Struct):
    rejected: list[_Rejection] = []


class ApiSender:
    """Sender of encoded events to the API, a request after another, so that their order is kept.

    Events that the API rejects end the replay: raises ReplayError that names the first of them.
    """

    def __init__(self, client: ApiClient, prefix: str) -> None:
        self._client = client
        self._paths = {topic.full_name(prefix): f"/{topic.name}" for topic in (PREDICTIONS, FEEDBACK)}

    async def partitions(self, topic: str) -> int:
        """Return 1: the API chooses the partitions itself."""
        return 1

    async def send(self, topic: str, keys: Sequence[bytes], values: Sequence[bytes]) -> None:
        """Send events. Raises ApiError, ReplayError."""
        for part in bounded_slices((len(value) + 1 for value in values), MOST_EVENTS, MOST_BYTES):  # each ends a line
            await asyncio.to_thread(self._post, self._paths[topic], keys[part], values[part])

    async def send_to_all(self, topic: str, value: bytes, headers: Mapping[str, bytes]) -> None:
        """Send a heartbeat. Raises ApiError."""
        await asyncio.to_thread(self._client.post, "/heartbeats", dict[str, int], content=value)

    async def flush(self) -> None:
        """Return at once: events that were sent are in Kafka."""

    def _post(self, path: str, keys: Sequence[bytes], values: Sequence[bytes]) -> None:
        kind = {"content-type": "application/x-ndjson"}
        sent = self._client.post(path, _Sent, content=b"\n".join(values), headers=kind)
        if sent.rejected:
            first = sent.rejected[0]
            more = f", and {len(sent.rejected) - 1:,} more" if len(sent.rejected) > 1 else ""
            raise ReplayError(f"{path[1:]} {keys[first.index].decode()!r} was rejected: {first.error}{more}")


def registered_over_http(client: ApiClient, model: str, version: str) -> RegisteredModel:
    """Return the registration of a model version. Raises ApiError where there is none."""
    found = client.get(address("models", model, "versions", version), _Registration, profile="true")
    return RegisteredModel(found.profile, found.monitoring, found.registered_at, found.rules, found.hidden)
