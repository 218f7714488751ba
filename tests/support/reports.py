"""Reports, verdicts and records as tests want them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import numpy as np

from topics.events import (
    DriftReport,
    Event,
    FeatureDrift,
    MetricChange,
    PerformanceReport,
    TrafficReport,
)

START = datetime(2017, 5, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def end_of(window: int) -> datetime:
    """When the window of this number ends: windows last four hours and end on each."""
    return START + window * HOUR


def feature(name: str = "age", statistic: float | None = 0.02, **changes: Any) -> FeatureDrift:
    """A numeric feature; drifted and significant as 0.1 would have it, unless said otherwise."""
    drifted = statistic is not None and statistic >= 0.1
    fields: dict[str, Any] = {
        "name": name, "kind": "numeric", "test": "ks", "statistic": statistic, "p_value": 1e-20 if drifted else 0.4,
        "threshold": 0.1, "effect": drifted, "significant": drifted, "drifted": drifted, "n": 1000, "missing": 0,
        "invalid": 0, "unseen": 0, "out_of_range": 0, "error_bound": 0.0, "reference": "median 40",
        "current": "median 480" if drifted else "median 41", "direction": "higher", "unseen_names": {},
    }  # fmt: skip
    return FeatureDrift(**fields | changes)


def drift_report(window: int = 0, *, features: Sequence[FeatureDrift] = (), **changes: Any) -> DriftReport:
    """A drift report over its features (by default ten calm ones), with the decision that follows from them."""
    features = tuple(features) or tuple(feature(f"f{i}") for i in range(10))
    drifted = tuple(f.name for f in features if f.drifted)
    prediction = changes.get("prediction", feature("prediction"))
    share = len(drifted) / len(features)
    fields: dict[str, Any] = {
        "model": "income", "model_version": "3", "profile_id": "abc", "window_start": end_of(window) - 4 * HOUR,
        "window_end": end_of(window), "revision": 1, "n": 1000, "sufficient": True, "emitted_at": START,
        "drift_detected": share >= 0.3, "drift_share": share, "drift_threshold": 0.3, "drifted_features": drifted,
        "prediction_drift": prediction is not None and prediction.drifted, "features": features,
        "prediction": prediction, "probability": None, "missing_share": 0.0, "unknown_features": {},
    }  # fmt: skip
    return DriftReport(**fields | changes)


def metric(name: str = "accuracy", relative: float | None = 0.0, **changes: Any) -> MetricChange:
    """A metric that has dropped by a share of its baseline of 0.8, threshold 0.05."""
    value = None if relative is None else 0.8 * (1 - relative)
    fields: dict[str, Any] = {
        "name": name, "value": value, "baseline": 0.8, "absolute": None if value is None else value - 0.8,
        "relative": relative, "low": None if value is None else value - 0.01,
        "high": None if value is None else value + 0.01, "threshold": 0.05, "error_bound": 0.0,
        "degraded": relative is not None and relative > 0.05,
    }  # fmt: skip
    return MetricChange(**fields | changes)


def performance_report(window: int = 0, *metrics: MetricChange, **changes: Any) -> PerformanceReport:
    """A performance report with the decision that follows from its metrics."""
    degraded = tuple(m.name for m in metrics if m.degraded)
    fields: dict[str, Any] = {
        "model": "income", "model_version": "3", "profile_id": "abc", "window_start": end_of(window) - 4 * HOUR,
        "window_end": end_of(window), "revision": 1, "n": 1000, "sufficient": True, "emitted_at": START,
        "feedback": 900, "coverage": 0.9, "degraded": bool(degraded), "degraded_metrics": degraded,
        "metrics": metrics or (metric(),), "estimated": (), "confusion": ((400, 50), (50, 400)),
        "labels": ("no", "yes"),
    }  # fmt: skip
    return PerformanceReport(**fields | changes)


@dataclass
class StubRecord:
    """A Kafka record as far as agents read it."""

    offset: int
    value: bytes | None
    key: bytes | None = b"key"
    timestamp: int = 0
    headers: Sequence[tuple[str, bytes]] = ()


def records_of(events: Sequence[Event | bytes | None], first: int = 0) -> list[StubRecord]:
    """Consecutive records of events (or of raw values)."""
    values = [msgspec.json.encode(event) if isinstance(event, Event) else event for event in events]
    return [StubRecord(first + i, value) for i, value in enumerate(values)]


ENVELOPE: dict[str, Any] = {
    "model": "income", "model_version": "3", "profile_id": "abc", "window_start": end_of(-4), "window_end": end_of(0),
    "revision": 1, "sufficient": True, "emitted_at": START,
}  # fmt: skip


def traffic(counts: list[int], **changes: Any) -> TrafficReport:
    """A window's panes, with feedback as usual."""
    fields: dict[str, Any] = {
        **ENVELOPE, "n": sum(counts), "counts": tuple(counts), "silent": 0, "usual": float(np.mean(counts)),
        "coverage": 0.8, "usual_coverage": 0.8, "feedback_silent": 0, "feedback_longest": 3, "feedback_gaps": 20,
        "feedback": 1000, "duplicates": 0, "late": 0, "expired": 0,
    }  # fmt: skip
    return TrafficReport(**fields | changes)
