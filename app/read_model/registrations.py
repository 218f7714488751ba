"""Registered model versions, as far as the API needs them: it does not need a profile's megabytes."""

from __future__ import annotations

from datetime import datetime

import msgspec

from app.kafka.global_table import GlobalTable
from app.read_model.changes import Changes
from app.settings.settings import Settings
from topics.events import Hidden
from topics.registry import MODELS


class Windowing(msgspec.Struct, frozen=True):
    """Length of a window: the last `panes` panes of `pane` seconds."""

    pane: float
    panes: int


class _Column(msgspec.Struct, frozen=True):
    name: str


class _Profile(msgspec.Struct, frozen=True):
    task: str
    features: tuple[_Column, ...]


class _Monitoring(msgspec.Struct, frozen=True):
    windows: Windowing


class Registration(msgspec.Struct, frozen=True):
    """The part of a `ModelEvent` that the API needs: the task, the features and the windows of a model version."""

    model: str
    model_version: str
    profile: _Profile
    monitoring: _Monitoring
    registered_at: datetime
    hidden: Hidden | None = None

    @property
    def task(self) -> str:
        """Return the task, as the profile names it."""
        return self.profile.task

    @property
    def features(self) -> tuple[str, ...]:
        """Return the names of the features, in the order of the profile."""
        return tuple(column.name for column in self.profile.features)

    @property
    def windows(self) -> Windowing:
        """Return the length of a window."""
        return self.monitoring.windows


class RegistrationsTable(GlobalTable[tuple[str, str], Registration]):
    """The newest registration of each model version."""

    def __init__(self, settings: Settings, changes: Changes) -> None:
        super().__init__(settings, MODELS, Registration, key=lambda event: (event.model, event.model_version))
        self._changes = changes
        self.any_hidden = False
        """True where any registration hides a column."""
        self._offsets: dict[tuple[str, str], int] = {}

    def get(self, model: str, version: str) -> Registration | None:
        """Return a model version's newest registration that was read so far; None without one."""
        return self._rows.get((model, version))

    def offset(self, model: str, version: str) -> int | None:
        """Return the offset of a model version's newest registration; None without one."""
        return self._offsets.get((model, version))

    def hidden_of_any(self, model: str | None) -> list[Hidden]:
        """Return the hidden columns of a model's versions; of all models where `model` is None."""
        return [
            one.hidden
            for (name, _), one in tuple(self._rows.items())
            if one.hidden is not None and model in (None, name)
        ]

    def on_update(self, key: tuple[str, str], offset: int) -> None:
        """Note the change of a registration."""
        self._offsets[key] = offset
        if key not in self._rows:
            del self._offsets[key]
        self.any_hidden = any(one.hidden is not None for one in self._rows.values())
        self._changes.note(("model", *key))
