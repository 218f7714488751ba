"""Records of sources, and their declarations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from app.ingest.decoding import Record
from app.settings.event_sources import SourceDeclaration
from app.sources.mapping import MappedRun, SourceMapper


@dataclass
class SourceRecord:
    """A Kafka record of a source."""

    offset: int
    value: bytes | None = None
    timestamp: int = 1_780_000_000_000
    key: bytes | None = b"their own key"
    headers: Sequence[tuple[str, bytes]] = field(default_factory=list)


def json_records(documents: Sequence[Any]) -> list[Record]:
    return [SourceRecord(i, msgspec.json.encode(document)) for i, document in enumerate(documents)]


def declared(carries: str = "predictions", form: str = "json", **mapping: Any) -> SourceDeclaration:
    """Return a source with a complete mapping, changed as given. Keys given as None are left out."""
    default: dict[str, Any] = {"id": "id", "time": "time"}
    if carries != "feedback":
        default |= {"model": {"constant": "churn"}, "version": {"constant": "7"}, "features": "features"}
    if carries != "predictions":
        default |= {"truth": "truth"}
    given = {name: value for name, value in {**default, **mapping}.items() if value is not None}
    return SourceDeclaration.model_validate({"topic": "scored", "format": form, "carries": carries, "mapping": given})


def mapped(documents: Sequence[Any], carries: str = "predictions", **mapping: Any) -> MappedRun:
    return SourceMapper(declared(carries, **mapping)).map(json_records(documents), documents)
