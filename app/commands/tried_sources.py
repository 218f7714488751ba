"""Trial of a source: its newest records mapped, with hints for those that do not map."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from operator import attrgetter
from typing import Any, Protocol

from aiokafka import ConsumerRecord

from app.commands.options import CommandError
from app.commands.topic_reader import newest_records, registry
from app.ingest.decoding import Record
from app.registration.models_table import RegisteredModel
from app.settings.secrets import hash_key_of
from app.settings.settings import Settings
from app.sources.hiding import SourceHiding
from app.sources.paths import CompiledPath
from app.sources.schema_registry import RegistryUnavailable
from app.sources.source import EventSource, MappedRecord
from topics.events import PredictionEvent

ELEMENT = re.compile(r" \(element \d+\)$")
LISTED = 20
"""Members and features that a hint names."""


class RegisteredVersions(Protocol):
    """The registered model versions."""

    def get(self, model: str, version: str) -> RegisteredModel | None:
        """Return a registered model version; None where it is not registered."""
        ...


@dataclass(slots=True)
class TriedSource:
    """A source's newest records, mapped. `hints` are by partition and offset; `notes` are about all records."""

    source: EventSource
    mapped: list[MappedRecord] = field(default_factory=list)
    hints: dict[tuple[int, int], str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def rejected(self) -> bool:
        """Return whether a record does not map."""
        return any(one.rejected for one in self.mapped)


async def try_source(settings: Settings, source: EventSource, last: int) -> TriedSource:
    """Map the newest records of a source. Raises CommandError, BrokerUnavailable."""
    records = await _newest(settings, source, last)
    models = await registry(settings)
    return await tried_of(source, records, models, SourceHiding(models, hash_key_of(settings)))


async def tried_of(
    source: EventSource, records: Sequence[Record], models: RegisteredVersions, hiding: SourceHiding | None = None
) -> TriedSource:
    """Map records of a source one by one. Raises CommandError where a schema cannot be asked for."""
    tried = TriedSource(source)
    try:
        tried.mapped = [await source.map_one(record, hiding) for record in records]
    except RegistryUnavailable as error:
        raise CommandError(str(error)) from None
    for one in tried.mapped:
        record: Any = one.record
        if hint := hint_for(one.rejected, one.document):
            tried.hints[record.partition, record.offset] = hint
    tried.notes = [*_nulls(source, tried.mapped), *_differences(models, tried.mapped)]
    return tried


async def _newest(settings: Settings, source: EventSource, last: int) -> list[ConsumerRecord]:
    """Return the newest records by their time, oldest first. Nothing is committed, and no group is joined."""
    topic = source.declaration.topic
    found = await newest_records(settings, topic, last)
    if found is None:
        raise CommandError(
            f"source {source.declaration.label}: topic {topic} does not exist on {settings.bootstrap_servers}"
        )
    return sorted(found, key=attrgetter("timestamp"))[-last:]


def hint_for(reason: str, document: Any) -> str:
    """Return what a document has in the place where a path finds nothing; empty for other reasons."""
    _, found, path = ELEMENT.sub("", reason).partition("nothing at ")
    steps = CompiledPath.compile(path).steps if found and path and not path.startswith("the Kafka") else None
    if not steps:
        return ""
    walked = ""
    for step in steps:
        if isinstance(document, dict) and step in document and document[step] is not None:
            document, walked = document[step], f"{walked}.{step}".removeprefix(".")
        elif isinstance(document, list) and isinstance(step, int) and -len(document) <= step < len(document):
            document, walked = document[step], f"{walked}[{step}]"
        else:
            return _instead(document, step, walked)
    return ""


def _instead(document: Any, step: str | int, walked: str) -> str:
    where = walked or "the record"
    if isinstance(document, dict):
        if step in document:
            return f"{where} has {step}, which is null"
        by_lower = {str(name).lower(): str(name) for name in document}
        close = [by_lower[name] for name in get_close_matches(str(step).lower(), by_lower, n=1)]
        names = ", ".join(map(str, list(document)[:LISTED])) or "no members"
        return f"{where} has {names}{f'; did you mean {close[0]}?' if close else ''}"
    if isinstance(document, list):
        return f"{where} is a list of {len(document)}"
    return f"{where} is {'null' if document is None else 'no object'}"


def _nulls(source: EventSource, mapped: Sequence[MappedRecord]) -> Iterable[str]:
    """Yield the fields that are null in all predictions. Their paths may be wrong."""
    predictions = [event for one in mapped for event in one.events if isinstance(event, PredictionEvent)]
    if not predictions:
        return
    names = {name for event in predictions for name in event.features}
    null = sorted(name for name in names if all(event.features.get(name) is None for event in predictions))
    has_path = source.declaration.mapping.probability is not None
    null += ["probability"] * (has_path and all(event.probability is None for event in predictions))
    if null:
        yield f"null in all {len(predictions)} predictions: {', '.join(null[:LISTED])}; are the paths right?"


def _differences(models: RegisteredVersions, mapped: Sequence[MappedRecord]) -> Iterable[str]:
    """Yield the model versions that are not registered, and the features that differ from the registered ones."""
    names: dict[tuple[str, str], set[str]] = {}
    for one in mapped:
        for event in one.events:
            if isinstance(event, PredictionEvent):
                names.setdefault((event.model, event.model_version), set()).update(event.features)
    for (model, version), given in sorted(names.items()):
        found = models.get(model, version)
        if found is None:
            yield (
                f"{model} {version} is not registered, so its predictions go to the dead letters: "
                f"driftline register --model {model} --version {version} --reference FILE"
            )
            continue
        wanted = {column.name for column in found.profile.features}
        if missing := sorted(wanted - given):
            yield f"{model} {version} has features that no record has: {', '.join(missing[:LISTED])}"
