"""Which model versions are served and which are retired, read from the compacted topic `versions`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import msgspec

from app.kafka.global_table import GlobalTable
from app.settings.settings import Settings
from topics.events import VersionEvent
from topics.registry import VERSIONS

_versions = msgspec.json.Decoder(VersionEvent)


class VersionsTable(GlobalTable):
    """The newest word on each model version. What cannot be decoded is logged and left out."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, VERSIONS)
        self._known: dict[tuple[str, str], VersionEvent] = {}
        self.changed: Callable[[str, str], None] = lambda model, version: None
        """Called with each model version of which something new is known."""

    def get(self, model: str, version: str) -> VersionEvent | None:
        """What is known of a model version; None where that is nothing."""
        return self._known.get((model, version))

    def of(self, model: str) -> list[VersionEvent]:
        """What is known of each version of a model."""
        return [one for (name, _), one in self._known.items() if name == model]

    def _apply(self, key: bytes | None, value: bytes | None, offset: int) -> None:
        if value is None:
            for named in [named for named in self._known if "/".join(named).encode() == key]:
                del self._known[named]
                self.changed(*named)
        else:
            found = _versions.decode(value)
            self._known[found.model, found.model_version] = found
            self.changed(found.model, found.model_version)
        self.revision += 1


class Registered:
    """The versions' lives as they count: who is registered anew is not retired any more."""

    def __init__(self, view: VersionsTable, registered_at: Callable[[str, str], datetime | None]) -> None:
        self._view = view
        self._registered_at = registered_at

    def get(self, model: str, version: str) -> VersionEvent | None:
        """What is known of a model version; None where that is nothing, or it was registered since it was retired."""
        found = self._view.get(model, version)
        return None if found is None or self._over(found) else found

    def of(self, model: str) -> list[VersionEvent]:
        """The same of each version of a model."""
        return [one for one in self._view.of(model) if not self._over(one)]

    def _over(self, found: VersionEvent) -> bool:
        at = self._registered_at(found.model, found.model_version)
        return found.status == "retired" and at is not None and at > found.since
