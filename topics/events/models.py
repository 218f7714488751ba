"""A model version, registered."""

from __future__ import annotations

from datetime import datetime

from msgspec import Raw

from topics.events.base import Event, Name


class ModelEvent(Event, frozen=True, kw_only=True):
    """A registered model version: its reference profile and its monitoring configuration.

    `profile` is an `app.core.profile.Profile`, `monitoring` an `app.core.config.Monitoring`.
    """

    model: Name
    model_version: Name
    profile: Raw
    monitoring: Raw
    registered_at: datetime
