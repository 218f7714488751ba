"""Registered model versions, read from the compacted topic `models` and kept up to date."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from app.core.config.monitoring import Monitoring
from app.core.config.rule_layers import Given, differences
from app.core.join.state import CompiledModel
from app.core.reference.profile import Profile, with_identity
from app.kafka.global_table import GlobalTable
from app.registration.hidden_values import together
from app.settings.settings import Settings
from topics.events import Hidden, ModelEvent
from topics.registry import MODELS

log = logging.getLogger(__name__)

_profile = msgspec.json.Decoder(Profile)
_monitoring = msgspec.json.Decoder(Monitoring)


@dataclass(frozen=True, slots=True)
class RegisteredModel:
    """Registered model version: its reference and its monitoring configuration."""

    profile: Profile
    monitoring: Monitoring
    registered_at: datetime
    rules: Given = field(default_factory=dict)
    """Rule settings of the registration itself."""
    hidden: Hidden | None = None
    """Features and metadata that are hidden from Kafka."""

    @property
    def key(self) -> tuple[str, str]:
        """Return the model and the version."""
        return self.profile.model, self.profile.model_version


class ModelsTable(GlobalTable[tuple[str, str], ModelEvent]):
    """Newest registration of each model version.

    A registration is decoded once, on first use. One that cannot be decoded is logged and treated as absent.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, MODELS, ModelEvent, key=lambda event: (event.model, event.model_version))
        self._offsets: dict[tuple[str, str], int] = {}
        self._decoded: dict[tuple[str, str], RegisteredModel | None] = {}

    def get(self, model: str, version: str) -> RegisteredModel | None:
        """Return the newest registration of a model version, of those read so far."""
        key = (model, version)
        event = self._rows.get(key)
        if event is None:
            return None
        if key in self._decoded:
            return self._decoded[key]
        found: RegisteredModel | None = None
        try:
            found = decoded(event)
        except Exception as error:  # noqa: BLE001 - an invalid record must not stop the other models' monitoring
            self._left_out(self._offsets[key], error)
        if self._rows.get(key) is event:  # called in a thread: a newer event may have arrived meanwhile
            self._decoded[key] = found
        return found

    def profile_id(self, model: str, version: str) -> str | None:
        """Return the id of a model version's profile; None where the version is not registered."""
        found = self.get(model, version)
        return None if found is None else found.profile.profile_id

    def registered_at(self, model: str, version: str) -> datetime | None:
        """Return the time of a model version's newest registration; None where it is not registered."""
        event = self._rows.get((model, version))
        return None if event is None else event.registered_at

    def is_registered(self, model: str, version: str) -> bool:
        """Return whether a model version is registered, even if this release cannot decode the registration."""
        return (model, version) in self._rows

    def hidden_of(self, model: str, version: str) -> Hidden | None:
        """Return the hidden columns of a model version; None where there are none.

        For a version that is not registered, these are the hidden columns of all the model's versions.
        """
        event = self._rows.get((model, version))
        if event is not None:
            return event.hidden
        others = [one.hidden for (name, _), one in self._rows.items() if name == model and one.hidden is not None]
        return together(others)

    def all(self) -> list[RegisteredModel]:
        """Return every model version that can be decoded, in the order of their first registration."""
        return [found for key in self._rows if (found := self.get(*key)) is not None]

    def on_update(self, key: tuple[str, str], offset: int) -> None:
        """Discard the decoded form of the previous registration."""
        self._offsets[key] = offset
        self._decoded.pop(key, None)


def decoded(event: ModelEvent) -> RegisteredModel:
    """Return a decoded registration, its profile identified by the current layout of panes.

    Raises an error of msgspec, or any error of invalid content.
    """
    monitoring = _monitoring.decode(event.monitoring)
    if not monitoring.windows.pane > 0 or monitoring.windows.panes < 1:
        raise ValueError("windows without length")
    profile = with_identity(_profile.decode(event.profile))  # an earlier release used the id of another layout
    silence = monitoring.performance.default_truth
    CompiledModel(profile, monitoring.windows, silence)  # raises for a profile that cannot count values
    # A registration from before `rules` existed states at least its differences from the defaults.
    given: Given = {**differences(monitoring.alerting), **event.rules}
    return RegisteredModel(profile, monitoring, event.registered_at, given, event.hidden)
