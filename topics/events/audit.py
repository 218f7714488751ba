"""Audit of changes: who changed what."""

from __future__ import annotations

from typing import Literal

import msgspec

from topics.events.base import Event, Moment, Name

Action = Literal[
    "silence.created", "silence.ended", "receiver.set", "receiver.removed", "model.registered",
    "model.learning", "key.created",
    "key.revoked", "alerts.redelivered", "dead-letters.resent", "history.forgotten", "alert.sent", "alert.resolved",
    "training-run.added", "deployment.added", "model.served", "model.retired", "model.restored",
]  # fmt: skip


class AuditEvent(Event, frozen=True, kw_only=True):
    """One change, published before it is made: the named actor requested it, and was allowed to.

    `actor` is the name of the API key (`key_id`), or the user of the machine where a command was typed (`host`). It is
    empty where the API requires no key. An event that is sent again has the same `audit_id`.
    """

    audit_id: Name
    at: Moment
    actor: str
    action: Action
    subject: str
    key_id: str = ""
    host: str = ""
    detail: dict[str, str] = msgspec.field(default_factory=dict)
