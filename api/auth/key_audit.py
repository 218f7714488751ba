"""Audit of created and revoked keys.

The key file is written without Kafka, so the API polls the file and publishes the changes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import NoReturn

from app.access import Key, KeyFile, KeyFileError
from app.kafka.audit import note
from app.kafka.errors import BrokerUnavailable
from app.kafka.producer import Producer
from topics.events import AuditEvent

log = logging.getLogger(__name__)

LOOK_SECONDS = 2.0


async def note_keys(keys: KeyFile, producer: Producer, connected: asyncio.Event) -> NoReturn:
    """Publish changes of the key file to the audit, forever.

    After a start all changes are published again, under the same audit ids.
    """
    noted: set[str] = set()
    await connected.wait()
    while True:
        try:
            for event in _events(keys.all()):
                if event.audit_id not in noted:
                    await note(producer, event)
                    noted.add(event.audit_id)
        except (BrokerUnavailable, KeyFileError) as error:
            log.debug("keys are not noted in the audit yet: %s", error)
        await asyncio.sleep(LOOK_SECONDS)


def _events(keys: list[Key]) -> Iterator[AuditEvent]:
    for key in keys:
        detail = {"name": key.name, "roles": ", ".join(key.roles), "models": ", ".join(key.models) or "all"}
        yield AuditEvent(
            audit_id=f"key-{key.id}-created", at=key.created_at, actor=key.created_by, action="key.created",
            subject=key.id, detail=detail,
        )  # fmt: skip
        if key.revoked_at is not None:
            yield AuditEvent(
                audit_id=f"key-{key.id}-revoked", at=key.revoked_at, actor=key.revoked_by, action="key.revoked",
                subject=key.id, detail=detail,
            )  # fmt: skip
