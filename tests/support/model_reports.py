"""Reports and alerts of one model, window by window."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from topics.events import (
    AlertEvent,
    DriftReport,
    MetricChange,
    PerformanceReport,
)

START = datetime(2026, 1, 1, tzinfo=UTC)


def a_drift_report(end: int, revision: int = 1, **changes: Any) -> DriftReport:
    values: dict[str, Any] = {
        "model": "m", "model_version": "1", "profile_id": "p", "window_start": START, "revision": revision, "n": 900,
        "window_end": START + timedelta(minutes=end), "sufficient": True, "emitted_at": START, "drift_detected": False,
        "drift_share": 0.1, "drift_threshold": 0.3, "drifted_features": (), "prediction_drift": False, "features": (),
        "prediction": None, "probability": None, "missing_share": 0.0, "unknown_features": {},
    }  # fmt: skip
    return DriftReport(**values | changes)


def a_performance_report(end: int, accuracy: float, **changes: Any) -> PerformanceReport:
    metric = MetricChange(
        name="accuracy", value=accuracy, baseline=0.9, absolute=0.0, relative=0.0, low=accuracy - 0.01,
        high=accuracy + 0.01, threshold=0.05, error_bound=0.0, degraded=False,
    )  # fmt: skip
    values: dict[str, Any] = {
        "model": "m", "model_version": "1", "profile_id": "p", "window_start": START, "revision": 1, "n": 900,
        "window_end": START + timedelta(minutes=end), "sufficient": True, "emitted_at": START, "feedback": 450,
        "coverage": 0.5, "degraded": False, "degraded_metrics": (), "metrics": (metric,), "estimated": (metric,),
        "confusion": (), "labels": (),
    }  # fmt: skip
    return PerformanceReport(**values | changes)


def an_alert(number: int, status: str = "firing", after: int = 0) -> AlertEvent:
    return AlertEvent(
        alert_id=f"{number}{status}", fingerprint=str(number), status=status, level="error", rule="data_drift",  # type: ignore[arg-type]
        title="t", message="m", labels={"model": "m", "model_version": "1"}, evidence={}, links={}, ended_at=None,
        started_at=START + timedelta(minutes=number), emitted_at=START + timedelta(minutes=number + after),
    )  # fmt: skip
