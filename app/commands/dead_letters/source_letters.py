"""Dead letters of sources, mapped again by what driftline.toml declares now."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from app.commands.dead_letters.mending import mended
from app.commands.dead_letters.reader import KnownLetters, LetterFilter, letters
from app.commands.options import CommandError
from app.settings.secrets import hash_key_of
from app.sources.hiding import SourceHiding
from app.sources.schema_registry import RegistryUnavailable
from app.sources.source import by_topic, registry_of, sources_of
from topics.events import FeedbackEvent, PredictionEvent
from topics.registry import FEEDBACK, PREDICTIONS, Topic

if TYPE_CHECKING:
    from app.ingest.decoding import Record
    from app.ingest.letters import Letter
    from app.registration.models_table import ModelsTable
    from app.settings.settings import Settings
    from app.sources.source import EventSource

TOGETHER = 1000
"""Dead letters that are mapped at a time."""
NOT_OF_TEXT = "its source's format is not JSON, which --through cannot mend"
LEFT_OUT = "its source leaves it out now"
NO_TIME = "the time of its Kafka record is not known, and its source's mapping has no `time`"

_predictions = msgspec.json.Decoder(PredictionEvent)
_feedback = msgspec.json.Decoder(FeedbackEvent)


@asynccontextmanager
async def source_letters(settings: Settings, models: ModelsTable) -> AsyncIterator[SourceLetters]:
    """Open the declared sources, whose features are hidden as the registrations require. Raises SettingsError."""
    registry = registry_of(settings)
    try:
        hiding = SourceHiding(models, hash_key_of(settings))
        yield SourceLetters(sources_of(settings, registry), hiding)
    finally:
        if registry is not None:
            await registry.close()


async def feedback_keys(
    settings: Settings, wanted: LetterFilter, known: KnownLetters, sources: SourceLetters, through: str
) -> set[bytes]:
    """Return the keys of the feedback in the selected letters of sources, whose values `through` corrects.

    Raises CommandError.
    """
    found: set[bytes] = set()
    if not sources:
        return found
    waiting: dict[str, list[Letter]] = {}
    async for letter in letters(settings, wanted, known):
        if not sources.carries_feedback(letter.topic) or letter.counted:
            continue
        some = waiting.setdefault(letter.topic, [])
        some.append(letter)
        if len(some) >= TOGETHER:
            found |= await sources.feedback_keys(letter.topic, some, through)
            some.clear()
    for topic, some in waiting.items():
        found |= await sources.feedback_keys(topic, some, through)
    return found


@dataclass(slots=True)
class OriginalRecord:
    """The record of a dead letter; its offset is the letter's position among those that are mapped together."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


class MappedEvent(NamedTuple):
    """An event of a dead letter, with its topic, key and value."""

    topic: Topic
    event: PredictionEvent | FeedbackEvent
    key: bytes
    value: bytes


@dataclass(slots=True)
class MappedLetter:
    """Events of a dead letter, or the reason why there are none."""

    events: list[MappedEvent] = field(default_factory=list)
    reason: str = ""


class SourceLetters:
    """The declared sources by topic, which map dead letters of their topics again."""

    def __init__(self, sources: Sequence[EventSource], hiding: SourceHiding | None) -> None:
        self._hiding = hiding
        self._by_topic = {group[0].topic.name: group for group in by_topic(sources)}

    def __bool__(self) -> bool:
        return bool(self._by_topic)

    def __contains__(self, topic: str) -> bool:
        return topic in self._by_topic

    def carries_feedback(self, topic: str) -> bool:
        """Return whether a source of the topic carries feedback."""
        return any(one.declaration.carries != "predictions" for one in self._by_topic.get(topic, ()))

    def is_of_text(self, topic: str) -> bool:
        """Return whether all records of the topic are JSON without a header."""
        return all(one.declaration.format == "json" for one in self._by_topic[topic])

    async def feedback_keys(self, topic: str, given: Sequence[Letter], through: str) -> set[bytes]:
        """Return the keys of the feedback in letters of one topic. Raises CommandError."""
        values = mended(given, through if self.is_of_text(topic) else "")
        found = await self.map(topic, [*zip(given, values, strict=True)])
        return {event.key for one in found for event in one.events if event.topic == FEEDBACK}

    async def map(self, topic: str, given: Sequence[tuple[Letter, bytes | None]]) -> list[MappedLetter]:
        """Map letters of one topic, each with the value to read, by every source of the topic.

        Raises CommandError where a schema cannot be requested now.
        """
        found = [MappedLetter() for _ in given]
        records: list[Record] = [
            OriginalRecord(i, letter.timestamp or 0, letter.key, value, _headers(letter))
            for i, (letter, value) in enumerate(given)
        ]
        for source in self._by_topic[topic]:
            known = records
            if source.declaration.mapping.time is None:
                known = [record for record in records if given[record.offset][0].timestamp is not None]
                for i, (letter, _) in enumerate(given):
                    found[i].reason = found[i].reason or (NO_TIME if letter.timestamp is None else "")
            await self._add(source, known, found)
        for one in found:
            if not (one.reason or one.events):
                one.reason = LEFT_OUT
        return found

    async def _add(self, source: EventSource, records: Sequence[Record], found: list[MappedLetter]) -> None:
        try:
            run = await source.map(records, self._hiding)
        except RegistryUnavailable as error:
            raise CommandError(str(error)) from None
        for (key, value), record in zip(run.predictions, run.prediction_records, strict=True):
            found[record.offset].events.append(MappedEvent(PREDICTIONS, _predictions.decode(value), key, value))
        for (key, value), record in zip(run.feedback, run.feedback_records, strict=True):
            found[record.offset].events.append(MappedEvent(FEEDBACK, _feedback.decode(value), key, value))
        for rejected in run.rejected:
            found[rejected.record.offset].reason = f"still does not map: {rejected.reason.partition(':')[0]}"


def _headers(letter: Letter) -> Sequence[tuple[str, bytes]]:
    return [(name, value) for name, value in letter.headers if value is not None]
