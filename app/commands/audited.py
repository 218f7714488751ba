"""Changes by commands: recorded in the audit first, then sent."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple

from app.commands.options import CommandError, actor

if TYPE_CHECKING:
    from app.kafka.producer import Producer
    from app.settings.settings import Settings
    from topics.events import Action
    from topics.registry import Topic


class AuditedChange(NamedTuple):
    """Change by the user of a command, as the audit records it."""

    action: Action
    subject: str
    detail: Mapping[str, str] | None = None


@asynccontextmanager
async def audited(settings: Settings, *changes: AuditedChange, topics: Sequence[Topic] = ()) -> AsyncIterator[Producer]:
    """Record changes in the audit, then yield the producer that sends the changes.

    Create `topics` where they are absent. Raises CommandError where Kafka refuses a record, and BrokerUnavailable.
    """
    from app.kafka.audit import by_user, note
    from app.kafka.producer import Producer, RecordRefused
    from app.kafka.topics import ensure_topics
    from topics.registry import AUDIT

    await ensure_topics(settings, [*topics, AUDIT])
    async with Producer(settings) as producer:
        for change in changes:
            await note(producer, by_user(change.action, change.subject, actor(), change.detail))
        try:
            yield producer
        except RecordRefused as error:
            raise CommandError(str(error)) from None
