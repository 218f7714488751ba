"""`driftline top --api`: the state of every model version, from the API."""

from __future__ import annotations

import time
from collections.abc import Generator
from datetime import UTC, datetime

import msgspec

from app.commands.alerts.over_http import alerts_over_http
from app.commands.api_client import ApiClient, ApiError
from app.read_model.summary import ModelSummary
from app.read_model.workers import Monitored
from topics.events import AlertEvent
from topics.levels import rank

RECONNECT_SECONDS = 2.0

State = tuple[list[ModelSummary], list[AlertEvent], Monitored, datetime]


class _Models(msgspec.Struct):
    models: list[ModelSummary]


def state_over_http(client: ApiClient) -> State:
    """Return the model versions, the firing alerts (the most severe first), the workers, and the time."""
    firing = alerts_over_http(client, status="firing")
    firing.sort(key=lambda alert: (-rank(alert.level), -alert.started_at.timestamp()))
    return client.get("/models", _Models).models, firing, client.get("/monitor", Monitored), datetime.now(UTC)


def states_over_http(client: ApiClient) -> Generator[State | str, None, None]:
    """Yield the state after each change and heartbeat; the reason why it is old, while the API is away."""
    while True:
        try:
            for change in client.changes():
                trouble = change.data.get("trouble") if change.kind == "heartbeat" else None
                yield str(trouble) if trouble else state_over_http(client)
            yield f"the API at {client.url} has ended the stream"
        except ApiError as error:
            yield str(error)
        time.sleep(RECONNECT_SECONDS)
