"""Every registered model version, read from the compacted topic `models` and kept up to date."""

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
from app.settings.settings import Settings
from topics.events import Hidden, ModelEvent
from topics.registry import MODELS

log = logging.getLogger(__name__)

_profile = msgspec.json.Decoder(Profile)
_monitoring = msgspec.json.Decoder(Monitoring)


@dataclass(frozen=True, slots=True)
class RegisteredModel:
    """One model version: its reference and how it is watched."""

    profile: Profile
    monitoring: Monitoring
    registered_at: datetime
    rules: Given = field(default_factory=dict)
    """What the registration itself says of the rules."""
    hidden: Hidden | None = None
    """What of its features and metadata is hidden from Kafka."""

    @property
    def key(self) -> tuple[str, str]:
        """Model and version."""
        return self.profile.model, self.profile.model_version


class ModelsTable(GlobalTable[tuple[str, str], ModelEvent]):
    """The newest registration of each model version.

    Decoded when first asked for, once. What cannot be decoded is logged and is as if it were not there.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, MODELS, ModelEvent, key=lambda event: (event.model, event.model_version))
        self._offsets: dict[tuple[str, str], int] = {}
        self._decoded: dict[tuple[str, str], RegisteredModel | None] = {}

    def get(self, model: str, version: str) -> RegisteredModel | None:
        """The newest registration of a model version, of those read so far."""
        key = (model, version)
        event = self._rows.get(key)
        if event is None:
            return None
        if key in self._decoded:
            return self._decoded[key]
        found: RegisteredModel | None = None
        try:
            found = decoded(event)
        except Exception as error:  # noqa: BLE001 - whatever somebody has sent there, the others are watched
            self._left_out(self._offsets[key], error)
        if self._rows.get(key) is event:  # asked in a thread, another may have come meanwhile
            self._decoded[key] = found
        return found

    def profile_id(self, model: str, version: str) -> str | None:
        """The id of a model version's profile; None where it is not registered."""
        found = self.get(model, version)
        return None if found is None else found.profile.profile_id

    def registered_at(self, model: str, version: str) -> datetime | None:
        """When a model version was registered last; None where it is not."""
        event = self._rows.get((model, version))
        return None if event is None else event.registered_at

    def is_registered(self, model: str, version: str) -> bool:
        """Whether a model version is registered, be it in a way that this release cannot read."""
        return (model, version) in self._rows

    def all(self) -> list[RegisteredModel]:
        """Every model version, in the order of their first registration."""
        return [found for key in self._rows if (found := self.get(*key)) is not None]

    def on_update(self, key: tuple[str, str], offset: int) -> None:
        """Forget what was decoded of the registration before."""
        self._offsets[key] = offset
        self._decoded.pop(key, None)


def decoded(event: ModelEvent) -> RegisteredModel:
    """A registration, its profile named for today's layout of panes.

    Raises an error of msgspec, or whatever is wrong with what it says.
    """
    monitoring = _monitoring.decode(event.monitoring)
    if not monitoring.windows.pane > 0 or monitoring.windows.panes < 1:
        raise ValueError("windows without length")
    profile = with_identity(_profile.decode(event.profile))  # an earlier release named it for another layout
    silence = monitoring.performance.default_truth
    CompiledModel(profile, monitoring.windows, silence)  # what cannot be counted by is no profile
    # One from before `rules` were sent says at least what is not as by default.
    given: Given = {**differences(monitoring.alerting), **event.rules}
    return RegisteredModel(profile, monitoring, event.registered_at, given, event.hidden)
