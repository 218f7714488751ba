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
        retirement.
        """
        found = self._view.get(model, version)
        return None if found is None or self._over(found) else found

    def of(self, model: str) -> list[VersionEvent]:
        """Return the events in force of each version of a model."""
        return [one for one in self._view.of(model) if not self._over(one)]

    def _over(self, found: VersionEvent) -> bool:
        at = self._registered_at(found.model, found.model_version)
        return found.status == "retired" and at is not None and at > found.since
