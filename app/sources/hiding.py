"""Hiding of features in mapped predictions before they are sent, as the registrations of their models require."""

from __future__ import annotations

from typing import Protocol

from msgspec.structs import replace

from app.core.values.hiding import Hiding
from app.registration.hidden_values import HidingError, hiding_with
from app.sources.fields import Wrong
from app.sources.mapping import MappedRun
from topics.events import Hidden

MOST_VERSIONS = 10_000
"""Model versions whose hiding is remembered: names come from records."""


class HiddenColumns(Protocol):
    """The hidden columns of the registered model versions."""

    revision: int

    def hidden_of(self, model: str, version: str) -> Hidden | None:
        """Return the hidden columns of a model version; None where there are none."""
        ...


class SourceHiding:
    """Filter that hides features as the newest registrations require. `key` is that of hashes, None where unset."""

    def __init__(self, models: HiddenColumns, key: bytes | None) -> None:
        self._models = models
        self._key = key
        self._revision = -1
        self._known: dict[tuple[str, str], Hiding | str | None] = {}

    def hide(self, mapped: MappedRun) -> Wrong:
        """Hide features of a run's predictions. Return the positions of records that may not be sent, with reasons."""
        found = {
            version: hiding
            for version in {(event.model, event.model_version) for event in mapped.predictions}
            if (hiding := self._of(version)) is not None
        }
        wrong = Wrong()
        if not found:
            return wrong
        for place, (event, i) in enumerate(zip(mapped.predictions, mapped.predictions_at, strict=True)):
            hiding = found.get((event.model, event.model_version))
            if isinstance(hiding, str):
                wrong[i] = hiding
            elif hiding is not None:
                mapped.predictions[place] = replace(event, features=hiding.row(event.features))
        return wrong

    def _of(self, version: tuple[str, str]) -> Hiding | str | None:
        """Return the hiding of a model version, or the reason why none of its predictions may be sent."""
        if self._revision != self._models.revision or len(self._known) > MOST_VERSIONS:
            self._revision, self._known = self._models.revision, {}
        if version not in self._known:
            hidden = self._models.hidden_of(*version)
            try:
                self._known[version] = None if hidden is None else hiding_with(hidden, self._key)
            except HidingError as error:
                self._known[version] = str(error)
        return self._known[version]
