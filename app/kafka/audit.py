"""Audit notes of who changes what, in the topic `audit`: sent before the change, so that no change lacks its note."""

from __future__ import annotations

import platform
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec

from app.kafka.producer import Producer
from topics.events import Action, AuditEvent
from topics.registry import AUDIT


def by_key(action: Action, subject: str, name: str, key_id: str, detail: Mapping[str, str] | None = None) -> AuditEvent:
    """Return the note of a change that a caller of the API requests. Both texts are empty if no key was required."""
    return AuditEvent(
        audit_id=uuid.uuid4().hex, at=datetime.now(UTC), actor=name, action=action, subject=subject, key_id=key_id,
        detail=dict(detail or {}),
    )  # fmt: skip


def by_user(action: Action, subject: str, name: str, detail: Mapping[str, str] | None = None) -> AuditEvent:
    """Return the note of a change that a user of this machine makes."""
    return AuditEvent(
        audit_id=uuid.uuid4().hex, at=datetime.now(UTC), actor=name, action=action, subject=subject,
        host=platform.node(), detail=dict(detail or {}),
    )  # fmt: skip


async def note(producer: Producer, event: AuditEvent) -> None:
    """Send a note. Return once Kafka has acknowledged it. Raises BrokerUnavailable."""
    await producer.send(AUDIT, event.audit_id.encode(), msgspec.json.encode(event))
