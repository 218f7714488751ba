"""Served and retired model versions, read from the compacted topic `versions`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from app.kafka.global_table import GlobalTable
from app.settings.settings import Settings
from topics.events import VersionEvent
from topics.registry import VERSIONS


class VersionsTable(GlobalTable[tuple[str, str], VersionEvent]):
    """Newest event of each model version."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, VERSIONS, VersionEvent, key=lambda event: (event.model, event.model_version))
        self.changed: Callable[[str, str], None] = lambda model, version: None
        """Called with each model version whose event has changed."""

    def get(self, model: str, version: str) -> VersionEvent | None:
        """Return the newest event of a model version; None where there is none."""
        return self._rows.get((model, version))

    def of(self, model: str) -> list[VersionEvent]:
        """Return the newest event of each version of a model."""
        return [one for (name, _), one in self._rows.items() if name == model]

    def learning(self) -> list[VersionEvent]:
        """Return the events of the versions that were set to learn their reference."""
        return [one for one in tuple(self._rows.values()) if one.status == "learning"]

    def on_update(self, key: tuple[str, str], offset: int) -> None:
        """Call `changed`."""
        self.changed(*key)


class Registered:
    """Events of model versions that are in force: a new registration cancels an earlier retirement."""

    def __init__(self, view: VersionsTable, registered_at: Callable[[str, str], datetime | None]) -> None:
        self._view = view
        self._registered_at = registered_at

    def get(self, model: str, version: str) -> VersionEvent | None:
        """Return the event of a model version; None where there is none, or where the version was registered after
        retirement, or learns its reference.
        """
        found = self._view.get(model, version)
        return None if found is None or self._over(found) else found

    def learning(self) -> list[VersionEvent]:
        """Return the events of the versions that learn their reference: they have not been registered since."""
        return [one for one in self._view.learning() if self._learns(one)]

    def learns(self, model: str, version: str) -> VersionEvent | None:
        """Return the event of a version that learns its reference; None for any other version."""
        found = self._view.get(model, version)
        return found if found is not None and found.status == "learning" and self._learns(found) else None

    def of(self, model: str) -> list[VersionEvent]:
        """Return the events in force of each version of a model."""
        return [one for one in self._view.of(model) if not self._over(one)]

    def _learns(self, found: VersionEvent) -> bool:
        at = self._registered_at(found.model, found.model_version)
        return at is None or at < found.since

    def _over(self, found: VersionEvent) -> bool:
        if found.status == "learning":
            return True
        at = self._registered_at(found.model, found.model_version)
        return found.status == "retired" and at is not None and at > found.since


def learning_words(life: VersionEvent | None) -> str:
    """Return how far a version that learns its reference is; empty for any other version."""
    if life is None or life.learning is None:
        return ""
    if life.reason:
        return f"it cannot learn its reference: {life.reason}"
    return f"it learns its reference: {life.learning.seen:,} of {life.learning.rows:,} predictions have come"
