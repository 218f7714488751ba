"""`driftline alerts list --api`: the newest transition of each alert, as the API returns it."""

from __future__ import annotations

import msgspec

from app.commands.api_client import ApiClient, not_registered
from app.commands.options import CommandError
from topics.events import AlertEvent

MOST = 2000
"""Alerts of one response, at most."""


class _Alerts(msgspec.Struct):
    alerts: list[AlertEvent]
    next: str | None


def alerts_over_http(
    client: ApiClient, model: str | None = None, *, every: bool = False, status: str | None = None
) -> list[AlertEvent]:
    """Return the alerts, oldest first. Raises ApiError, and CommandError for a model that is not registered."""
    if every:
        raise CommandError(
            "--all: every transition is in Kafka, and in the history (`driftline history alerts`); leave out --api"
        )
    asked = {name: value for name, value in (("model", model), ("status", status)) if value is not None}
    found: list[AlertEvent] = []
    cursor: dict[str, str] = {}
    while True:
        part = client.get("/alerts", _Alerts, limit=MOST, **asked, **cursor)
        found += part.alerts
        if part.next is None:
            break
        cursor = {"cursor": part.next}
    if not found and model is not None and not client.versions(model):
        raise not_registered(model)
    return sorted(found, key=lambda alert: (alert.started_at, alert.emitted_at))
