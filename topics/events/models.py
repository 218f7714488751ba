"""A model version, registered."""

from __future__ import annotations

from msgspec import Raw, field

from topics.events.base import Event, Moment, Name


class ModelEvent(Event, frozen=True, kw_only=True):
    """A registered model version: its reference profile and its monitoring configuration.

    `profile` is an `app.core.profile.Profile`, `monitoring` an `app.core.config.Monitoring`. `rules`: what
    monitoring.json itself says of the rules, by rule and setting; the rest of them is default, or the settings'.
    """

    model: Name
    model_version: Name
    profile: Raw
    monitoring: Raw
    registered_at: Moment
    rules: dict[str, dict[str, bool | int | float | str]] = field(default_factory=dict)
