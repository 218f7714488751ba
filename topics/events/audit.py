"""Who has changed what."""

from __future__ import annotations

from typing import Literal

import msgspec

from topics.events.base import Event, Moment, Name

Action = Literal[
    "silence.created", "silence.ended", "receiver.set", "receiver.removed", "model.registered", "key.created",
    "key.revoked", "alerts.redelivered", "dead-letters.resent", "history.forgotten", "alert.sent", "alert.resolved",
    "training-run.added", "deployment.added", "model.served",
]  # fmt: skip


class AuditEvent(Event, frozen=True, kw_only=True):
    """One change, before it is made: whoever is named asked for it, and it was allowed.

    `actor` is the name of the API key (`key_id`), or the user of the machine where a command was typed (`host`).
    It is empty where the API asks for no key. An event that is sent again has the same `audit_id`.
    """

    audit_id: Name
    at: Moment
    actor: str
    action: Action
    subject: str
    key_id: str = ""
    host: str = ""
    detail: dict[str, str] = msgspec.field(default_factory=dict)
