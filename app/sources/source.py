"""Sources that the settings declare, each with the decoder and the mapper of its records."""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from app.ingest.decoding import Record, Rejected
from app.settings.event_sources import SourceDeclaration
from app.settings.secrets import secret_of
from app.settings.settings import Settings, SettingsError
from app.sources.formats import DecodedRun, SourceDecoder
from app.sources.hiding import SourceHiding
from app.sources.mapping import MappedRun, SourceMapper
from app.sources.schema_registry import SchemaRegistry, SchemaUnknown
from topics.events import FeedbackEvent, PredictionEvent
from topics.registry import TOPICS, ForeignTopic, Topic

_encode = msgspec.json.Encoder().encode


@dataclass(slots=True)
class SourceRun:
    """Encoded events of a run of a source's records, with the record of each event.

    `filtered` counts the records that `where` leaves out, or that have no elements; `tombstones` those without a value.
    """

    predictions: list[tuple[bytes, bytes]] = field(default_factory=list)
    prediction_records: list[Record] = field(default_factory=list)
    feedback: list[tuple[bytes, bytes]] = field(default_factory=list)
    feedback_records: list[Record] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    filtered: int = 0
    tombstones: int = 0


@dataclass(frozen=True, slots=True)
class MappedRecord:
    """Outcome of one record: its events, or the reason why it is rejected or left out."""

    record: Record
    document: Any
    events: tuple[PredictionEvent | FeedbackEvent, ...]
    rejected: str
    left_out: str


class EventSource:
    """A source of predictions, feedback or both, in a topic of another system."""

    def __init__(self, declaration: SourceDeclaration, registry: SchemaRegistry | None) -> None:
        """Create a source. Raises SettingsError if its schema file cannot be read."""
        self.declaration = declaration
        self.topic: Topic = ForeignTopic(name=declaration.topic, key="the record's own", event="the record's own bytes")
        try:
            self._decoder = SourceDecoder(declaration, registry)
        except SchemaUnknown as error:
            raise SettingsError(f"sources: source {declaration.label!r}: {error}") from None
        self._mapper = SourceMapper(declaration)

    async def map(self, records: Sequence[Record], hiding: SourceHiding | None = None) -> SourceRun:
        """Map a run and hide its features. Raises RegistryUnavailable if a schema cannot be requested now."""
        decoded, mapped = await self._mapped(records, hiding)
        rejected = [*decoded.rejected, *mapped.rejected]
        return SourceRun(
            [(event.prediction_id.encode(), _encode(event)) for event in mapped.predictions],
            [decoded.records[i] for i in mapped.predictions_at],
            [(event.prediction_id.encode(), _encode(event)) for event in mapped.feedback],
            [decoded.records[i] for i in mapped.feedback_at],
            sorted(rejected, key=lambda one: one.record.offset),
            len(mapped.filtered) + len(mapped.empty),
            decoded.tombstones,
        )

    async def _mapped(self, records: Sequence[Record], hiding: SourceHiding | None) -> tuple[DecodedRun, MappedRun]:
        decoded = await self._decoder.decode(records)
        mapped = self._mapper.map(decoded.records, decoded.documents)
        if hiding is not None and (wrong := hiding.hide(mapped)):
            mapped.leave_out(wrong)
            mapped.rejected += [Rejected(decoded.records[i], reason) for i, reason in wrong.items()]
        return decoded, mapped

    async def map_one(self, record: Record, hiding: SourceHiding | None = None) -> MappedRecord:
        """Map one record and hide its features. Raises RegistryUnavailable."""
        decoded, mapped = await self._mapped([record], hiding)
        rejected = next((one.reason for one in (*decoded.rejected, *mapped.rejected)), "")
        left_out = "by where" if mapped.filtered else "its lists have no elements" if mapped.empty else ""
        left_out = "it has no value" if decoded.tombstones else left_out
        document = mapped.wrong_elements.get(0, decoded.documents[0] if decoded.documents else None)
        return MappedRecord(record, document, (*mapped.predictions, *mapped.feedback), rejected, left_out)


def registry_of(settings: Settings) -> SchemaRegistry | None:
    """Create a client of the Schema Registry in the settings; None without one. Raises SettingsError."""
    if settings.schema_registry_url is None:
        return None
    password = secret_of(settings, "schema_registry_password")
    user = settings.schema_registry_username
    if (user is None) != (password is None):
        missing = "schema_registry_username" if user is None else "schema_registry_password"
        raise SettingsError(f"{missing}: it is not set, and the other half of the login is")
    try:
        return SchemaRegistry(
            settings.schema_registry_url, login=None if user is None or password is None else (user, password),
            ca_file=settings.schema_registry_ca_file,
        )  # fmt: skip
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"schema_registry_ca_file: {error.strerror or error}") from None


def by_topic(sources: Iterable[EventSource]) -> list[list[EventSource]]:
    """Group sources by their topic."""
    found: dict[str, list[EventSource]] = {}
    for source in sources:
        found.setdefault(source.topic.name, []).append(source)
    return list(found.values())


def sources_of(settings: Settings, registry: SchemaRegistry | None) -> tuple[EventSource, ...]:
    """Create the declared sources.

    Raises SettingsError for one that needs a registry and has none, or that reads one of Driftline's own topics.
    """
    own = {topic.full_name(settings.prefix) for topic in TOPICS}
    for one in settings.sources or ():
        if one.topic in own:
            raise SettingsError(f"sources: source {one.label!r}: topic {one.topic} is one of Driftline's own")
        if one.needs_registry and registry is None:
            raise SettingsError(
                f"sources: source {one.label!r}: format {one.format} needs schema_registry_url, or a schema_file"
            )
    return tuple(EventSource(one, registry) for one in settings.sources or ())
