"""A registered model version."""

from __future__ import annotations

from msgspec import Raw, field

from topics.events.base import Event, Moment, Name


class Hidden(Event, frozen=True, kw_only=True):
    """Columns of a model that are hidden before its features and metadata are sent to Kafka.

    `redact` are dropped, `hash` are replaced by a keyed hash; `key_check` identifies the key. `order`: the model's
    inputs in their order, including dropped ones, for values that come without names.
    """

    redact: tuple[str, ...] = ()
    hash: tuple[str, ...] = ()
    order: tuple[str, ...] = ()
    key_check: str = ""


class ModelEvent(Event, frozen=True, kw_only=True):
    """A registered model version: its reference profile and its monitoring configuration.

    `profile` is an `app.core.reference.profile.Profile`, `monitoring` an `app.core.config.monitoring.Monitoring`.
    `rules`: settings of rules in monitoring.json itself, by rule and setting; the others come from defaults or the
    service's settings.
    """

    model: Name
    model_version: Name
    profile: Raw
    monitoring: Raw
    registered_at: Moment
    rules: dict[str, dict[str, bool | int | float | str]] = field(default_factory=dict)
    hidden: Hidden | None = None
