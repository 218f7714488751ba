"""State of a model version: served or retired."""

from __future__ import annotations

from typing import Literal

from topics.events.base import Event, Moment, Name


class VersionEvent(Event, frozen=True, kw_only=True):
    """The newest known state of a model version's life.

    `serving`: it receives predictions, since `since`, lately `rate` a second. `retired`: since `since`, for a `reason`
    in words; its alerts are resolved, and none is raised. It is retired `by` the `command` (`driftline retire`) until
    it is registered again or the command is taken back. It is retired by the `traffic`, which a newer version has
    taken, until predictions come again.
    """

    model: Name
    model_version: Name
    status: Literal["serving", "retired"]
    since: Moment
    by: Literal["command", "traffic"] = "traffic"
    reason: str = ""
    rate: float = 0.0
