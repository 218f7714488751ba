"""Filter for dead letters, and functions that read them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.options import CommandError, moment_of

if TYPE_CHECKING:
    from aiokafka import ConsumerRecord

    from app.ingest.letters import Letter
    from app.settings.settings import Settings

OnlyReason = Annotated[
    str | None, typer.Option("--reason", help="Only those whose reason has these words; 'late', say.")
]
OnlyModel = Annotated[str | None, typer.Option("--model", help="Only those that name this model.")]
OnlyVersion = Annotated[str | None, typer.Option("--version", help="Only those that name this version.")]
OnlyTopic = Annotated[str | None, typer.Option("--topic", help="Only those of this topic: predictions, feedback, …")]
Since = Annotated[str | None, typer.Option("--since", help="Set aside from this time on, 2026-06-01T12:00:00Z say.")]
Until = Annotated[str | None, typer.Option("--until", help="Set aside before this time.")]
OnlyId = Annotated[int | None, typer.Option("--id", min=0, help="Only this one, by its number in `show`.")]


@dataclass(frozen=True, slots=True)
class LetterFilter:
    """Filter for dead letters. `topic` is the full name."""

    reason: str | None
    model: str | None
    version: str | None
    topic: str | None
    since: datetime | None
    until: datetime | None
    id: int | None = None

    def has(self, letter: Letter) -> bool:
        """Return whether the filter selects a letter."""
        if self.id not in (None, letter.offset) or self.topic not in (None, letter.topic):
            return False
        if self.reason is not None and self.reason.casefold() not in letter.reason.casefold():
            return False
        if (self.since and letter.at < self.since) or (self.until and letter.at >= self.until):
            return False
        if self.model is None and self.version is None:
            return True
        model, version = letter.version or (None, None)
        return self.model in (None, model) and self.version in (None, version)

    @property
    def everything(self) -> bool:
        """Return whether the filter selects all letters."""
        return all(getattr(self, name) is None for name in self.__slots__)


def wanted_of(
    settings: Settings, reason: str | None, model: str | None, version: str | None, topic: str | None,
    since: str | None, until: str | None, id_: int | None = None,
) -> LetterFilter:  # fmt: skip
    """Return the filter that the flags describe. Raises CommandError."""
    from topics.registry import TOPICS

    own = {settings.prefix + one.name: one for one in TOPICS}
    named = topic if topic is None or settings.prefix + topic not in own else settings.prefix + topic
    return LetterFilter(reason, model, version, named, moment_of("--since", since), moment_of("--until", until), id_)


@dataclass(slots=True)
class KnownLetters:
    """Result of a first pass over the topic: letters sent again, and letters that are copies of earlier ones."""

    resent: set[int] = field(default_factory=set)
    copies: set[int] = field(default_factory=set)
    origins: set[tuple[str, int, int]] = field(default_factory=set)
    feedback_keys: set[bytes] = field(default_factory=set)
    """Keys of the feedback that the filter selects."""
    count: int = 0
    last: int = -1
    """Offset of the newest record."""


async def known_letters(settings: Settings, wanted: LetterFilter) -> KnownLetters:
    """Read the whole topic once. Raises CommandError where the topic does not exist."""
    from app.ingest.letters import letter_of, resent_in
    from topics.registry import FEEDBACK

    feedback = FEEDBACK.full_name(settings.prefix)
    known, seen = KnownLetters(), set[tuple[object, ...]]()
    async for record in _records(settings):
        letter = letter_of(record)
        known.last = record.offset
        if letter is None:
            known.resent.update(resent_in(record))
            continue
        known.count += 1
        if letter.identity in seen:
            known.copies.add(letter.offset)
        seen.add(letter.identity)
        if letter.origin is not None and not letter.counted:
            known.origins.add(letter.origin)
        if letter.topic == feedback and letter.key is not None and wanted.has(letter):
            known.feedback_keys.add(letter.key)
    return known


async def letters(settings: Settings, wanted: LetterFilter, known: KnownLetters) -> AsyncIterator[Letter]:
    """Yield the letters that the filter selects, oldest first, without copies."""
    from app.ingest.letters import letter_of

    async for record in _records(settings):
        if record.offset > known.last:  # written after the first pass
            return
        letter = letter_of(record)
        if letter is not None and letter.offset not in known.copies and wanted.has(letter):
            yield letter


async def _records(settings: Settings) -> AsyncIterator[ConsumerRecord]:
    from app.commands.topic_reader import exists, records
    from topics.registry import DEAD_LETTERS

    if not await exists(settings, DEAD_LETTERS):
        name = DEAD_LETTERS.full_name(settings.prefix)
        raise CommandError(f"topic {name} does not exist on {settings.bootstrap_servers}: start a worker first")
    async for record in records(settings, DEAD_LETTERS.full_name(settings.prefix)):
        if record is not None:
            yield record
