"""State of a model version: served or retired."""

from __future__ import annotations

from typing import Literal

from msgspec import field

from topics.events.base import Event, Moment, Name


class Learning(Event, frozen=True, kw_only=True):
    """Registration whose reference is the next `rows` predictions; `seen` of them have come.

    `config` is the monitoring.json of the registration, `baseline` its given metrics, and `by` the user.
    """

    rows: int
    seen: int = 0
    config: str = "{}"
    baseline: dict[str, float] = field(default_factory=dict)
    by: str = ""


class VersionEvent(Event, frozen=True, kw_only=True):
    """The newest known state of a model version's life.

    `serving`: it receives predictions, since `since`, lately `rate` a second. `retired`: since `since`, for a `reason`
    in words; its alerts are resolved, and none is raised. It is retired `by` the `command` (`driftline retire`) until
    it is registered again or the command is taken back. It is retired by the `traffic`, which a newer version has
    taken, until predictions come again. `learning`: since `since` its predictions become its reference; the `reason`
    says why that is not possible. It ends when the version is registered.
    """

    model: Name
    model_version: Name
    status: Literal["serving", "retired", "learning"]
    since: Moment
    by: Literal["command", "traffic"] = "traffic"
    reason: str = ""
    rate: float = 0.0
    learning: Learning | None = None
