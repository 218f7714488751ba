"""A model version, registered."""

from __future__ import annotations

from msgspec import Raw, field

from topics.events.base import Event, Moment, Name


class Hidden(Event, frozen=True, kw_only=True):
    """What is hidden of a model's features and metadata before they are sent to Kafka.

    `redact` are dropped, `hash` are replaced by a keyed hash; `key_check` says of which key. `order`: the model's
    inputs in their order, those that are dropped too, for values that come without names.
    """

    redact: tuple[str, ...] = ()
    hash: tuple[str, ...] = ()
    order: tuple[str, ...] = ()
    key_check: str = ""


class ModelEvent(Event, frozen=True, kw_only=True):
    """A registered model version: its reference profile and its monitoring configuration.

    `profile` is an `app.core.reference.profile.Profile`, `monitoring` an `app.core.config.monitoring.Monitoring`.
    `rules`: what monitoring.json itself says of the rules, by rule and setting; the rest of them is default, or the
    settings'.
    """

    model: Name
    model_version: Name
    profile: Raw
    monitoring: Raw
    registered_at: Moment
    rules: dict[str, dict[str, bool | int | float | str]] = field(default_factory=dict)
    hidden: Hidden | None = None
