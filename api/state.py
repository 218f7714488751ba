"""The state of a model version in one word."""

from __future__ import annotations

from typing import Literal

from api.views import Findings

State = Literal["waiting", "insufficient", "healthy", "drifting", "degraded", "alerting"]


def state_of(found: Findings) -> State:
    """The worst that the last windows and the firing alerts say; too few samples are never called healthy."""
    if found.firing:
        return "alerting"
    drift, performance = found.drift.latest, found.performance.latest
    if drift is None and performance is None:
        return "waiting"
    if performance is not None and performance.sufficient and (performance.degraded or performance.degraded_metrics):
        return "degraded"
    if drift is not None and drift.sufficient and (drift.drift_detected or drift.prediction_drift):
        return "drifting"
    return "healthy" if drift is not None and drift.sufficient else "insufficient"
