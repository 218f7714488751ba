"""One metric of a window."""

from __future__ import annotations

from dataclasses import dataclass

from app.core.evaluation.intervals import Interval


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric's value (None where undefined), its largest error from counting in slots, and its interval."""

    name: str
    value: float | None
    error_bound: float = 0.0
    interval: Interval = None
