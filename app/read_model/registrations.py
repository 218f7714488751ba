"""Every registered model version, in a few words each: a profile may have megabytes, of which the API needs none."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import msgspec

from app.kafka.global_table import GlobalTable
from app.read_model.changes import Changes
from app.settings.settings import Settings
from topics.events import Hidden
from topics.registry import MODELS


class Windowing(msgspec.Struct, frozen=True):
    """How long a window is: its last `panes` panes of `pane` seconds."""

    pane: float
    panes: int


class _Column(msgspec.Struct, frozen=True):
    name: str


class _Profile(msgspec.Struct, frozen=True):
    task: str
    features: tuple[_Column, ...]
    n: int


class _Monitoring(msgspec.Struct, frozen=True):
    windows: Windowing


class _Event(msgspec.Struct, frozen=True):
    model: str
    model_version: str
    profile: _Profile
    monitoring: _Monitoring
    registered_at: datetime
    hidden: Hidden | None = None


class Registration(msgspec.Struct, frozen=True, kw_only=True):
    """One model version: what it predicts, from which features, against how many rows of reference."""

    task: str
    features: tuple[str, ...]
    rows: int
    windows: Windowing
    registered_at: datetime
    hidden: Hidden | None = None


_events = msgspec.json.Decoder(_Event)


class RegistrationsTable(GlobalTable):
    """The newest registration of each model version. What cannot be decoded is logged and left out."""

    def __init__(self, settings: Settings, changes: Changes) -> None:
        super().__init__(settings, MODELS)
        self._changes = changes
        self._known: dict[tuple[str, str], Registration] = {}
        self.any_hidden = False
        """Whether any of them hides something."""

    def get(self, model: str, version: str) -> Registration | None:
        """The newest registration of a model version, of those read so far."""
        return self._known.get((model, version))

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(tuple(self._known))

    def hidden_of_any(self, model: str | None) -> list[Hidden]:
        """What the versions of a model hide, or of all models."""
        return [
            one.hidden
            for (name, _), one in tuple(self._known.items())
            if one.hidden is not None and model in (None, name)
        ]

    def _apply(self, key: bytes | None, value: bytes | None, offset: int) -> None:
        if value is None:
            for named in [named for named in self._known if "/".join(named).encode() == key]:
                del self._known[named]
                self._noted(*named)
            return
        event = _events.decode(value)
        self._known[event.model, event.model_version] = Registration(
            task=event.profile.task,
            features=tuple(column.name for column in event.profile.features),
            rows=event.profile.n,
            windows=event.monitoring.windows,
            registered_at=event.registered_at,
            hidden=event.hidden,
        )
        self._noted(event.model, event.model_version)

    def _noted(self, model: str, version: str) -> None:
        self.revision += 1
        self.any_hidden = any(one.hidden is not None for one in self._known.values())
        self._changes.note(("model", model, version))
