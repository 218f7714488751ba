"""Every registered model version, in a few words each: a profile may have megabytes, of which the API needs none."""

from __future__ import annotations

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


class _Monitoring(msgspec.Struct, frozen=True):
    windows: Windowing


class Registration(msgspec.Struct, frozen=True):
    """As much of a `ModelEvent` as the API needs: what a model version predicts, from which features."""

    model: str
    model_version: str
    profile: _Profile
    monitoring: _Monitoring
    registered_at: datetime
    hidden: Hidden | None = None

    @property
    def task(self) -> str:
        """What is predicted, as the profile names it."""
        return self.profile.task

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the features, in the order of the profile."""
        return tuple(column.name for column in self.profile.features)

    @property
    def windows(self) -> Windowing:
        """How long a window is."""
        return self.monitoring.windows


class RegistrationsTable(GlobalTable[tuple[str, str], Registration]):
    """The newest registration of each model version."""

    def __init__(self, settings: Settings, changes: Changes) -> None:
        super().__init__(settings, MODELS, Registration, key=lambda event: (event.model, event.model_version))
        self._changes = changes
        self.any_hidden = False
        """Whether any of them hides something."""

    def get(self, model: str, version: str) -> Registration | None:
        """Return the newest registration of a model version, of those read so far."""
        return self._rows.get((model, version))

    def hidden_of_any(self, model: str | None) -> list[Hidden]:
        """Return what the versions of a model hide, or of all models."""
        return [
            one.hidden
            for (name, _), one in tuple(self._rows.items())
            if one.hidden is not None and model in (None, name)
        ]

    def on_update(self, key: tuple[str, str], offset: int) -> None:
        """Note the change."""
        self.any_hidden = any(one.hidden is not None for one in self._rows.values())
        self._changes.note(("model", *key))
