"""Sample notification for testing a channel, made as the stream makes one: a model's age column arrives in months."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Any

from msgspec.structs import replace

from app.alerting.events.alert_event import alert_of
from app.alerting.notify.decision import Reason
from app.alerting.notify.group_evaluation import PlannedNotification
from app.alerting.notify.notification import Notification
from app.alerting.notify.notification_builder import build_notification
from app.alerting.rules.lifecycle import Transition
from app.alerting.rules.model_rules import DATA_DRIFT, verdicts_of
from app.core.config.monitoring import Monitoring, Rule
from topics.events import AnyReport, DriftReport, FeatureDrift, Level, MetricChange, PerformanceReport, Shape

MODEL = {"model": "sample-churn", "model_version": "3"}
ABOUT = ((DATA_DRIFT, "features"), ("performance", "recall"))
"""Rule and subject of the sample's alerts."""
CALM = ("income", "tenure", "region", "calls")
N, KNOWN = 4812, 3977
FAULT = 0.35
"""Share of the sample's rows whose age is in months."""


def sample(level: Level, *, resolved: bool, now: datetime, page: str) -> Notification:
    """Return a notification about drift of two features and a fall in performance, firing or resolved.

    `page`: the API's address.
    """
    transition = Transition(
        status="resolved" if resolved else "firing", window_end=now.timestamp(),
        started_at=(now - timedelta(minutes=25)).timestamp(),
        ended_at=(now - timedelta(minutes=2)).timestamp() if resolved else None,
    )  # fmt: skip
    reports: tuple[AnyReport, ...] = (_drift(now, drifts=not resolved), _performance(now, worse=not resolved))
    alerts = tuple(
        alert_of(report, verdict, transition, Rule(level=level), emitted_at=now, page=page)
        for report in reports
        for verdict in verdicts_of(report, Monitoring())
        if (verdict.rule, verdict.subject) in ABOUT
    )
    firing, ended = ((), alerts) if resolved else (alerts, ())
    made = build_notification("sample-churn/3", MODEL, PlannedNotification("", Reason.FIRST, firing, ended, 1), now)
    return replace(
        made, notification_id=f"sample-{now:%Y%m%dT%H%M%S}", root="", title=f"Sample: {made.title}",
        reason="a sample, sent by driftline alerts test",
    )  # fmt: skip


def _drift(now: datetime, *, drifts: bool) -> DriftReport:
    features = (*((_age(), _plan()) if drifts else (_calm("age"), _calm("plan"))), *map(_calm, CALM))
    names = tuple(feature.name for feature in features if feature.drifted)
    return DriftReport(
        **_envelope(now), drift_detected=drifts, drift_share=len(names) / len(features), drift_threshold=0.3,
        drifted_features=names, prediction_drift=False, features=features, prediction=None, probability=None,
        missing_share=0.0, unknown_features={},
    )  # fmt: skip


def _performance(now: datetime, *, worse: bool) -> PerformanceReport:
    metrics = _metric("recall", 0.8014 if worse else 0.8691, 0.8705), _metric("accuracy", 0.8211, 0.8302)
    degraded = tuple(metric.name for metric in metrics if metric.degraded)
    return PerformanceReport(
        **_envelope(now), feedback=KNOWN, coverage=KNOWN / N, degraded=worse, degraded_metrics=degraded,
        metrics=metrics, estimated=(), confusion=(), labels=(),
    )  # fmt: skip


def _envelope(now: datetime) -> dict[str, Any]:
    return {
        **MODEL, "profile_id": "sample", "window_start": now - timedelta(hours=1), "window_end": now, "revision": 1,
        "n": N, "sufficient": True, "emitted_at": now,
    }  # fmt: skip


def _age() -> FeatureDrift:
    at = tuple(float(value) for value in range(18, 95)) + tuple(float(value) for value in range(216, 1129, 12))
    reference = tuple(_normal((value - 42) / 14) for value in at)
    months = [_normal((value / 12 - 42) / 14) for value in at]
    current = tuple((1 - FAULT) * a + FAULT * b for a, b in zip(reference, months, strict=True))
    gap = max(abs(a - b) for a, b in zip(reference, current, strict=True))
    shape = Shape(at=at, reference=reference, current=current)
    words = {"reference": "median 42, mean 42", "current": "median 53, mean 203.7", "direction": "higher"}
    return _feature("age", "numeric", "ks", gap, shape=shape, **words)


def _plan() -> FeatureDrift:
    at, reference, current = (
        ("basic", "family", "business", "trial"),
        (0.52, 0.27, 0.16, 0.05),
        (0.31, 0.24, 0.16, 0.29),
    )
    mixed = [(p + q) / 2 for p, q in zip(reference, current, strict=True)]
    divergence = sum(_bits(p, m) + _bits(q, m) for p, q, m in zip(reference, current, mixed, strict=True)) / 2
    words = [
        ", ".join(f"{name}: {share:.1%}" for name, share in zip(at, shares, strict=True))
        for shares in (reference, current)
    ]
    return _feature(
        "plan", "categorical", "jensen-shannon", math.sqrt(divergence), direction="more trial", reference=words[0],
        current=words[1], shape=Shape(at=at, reference=reference, current=current),
    )  # fmt: skip


def _calm(name: str) -> FeatureDrift:
    return _feature(name, "numeric", "ks", 0.02, direction="", reference="", current="")


def _feature(name: str, kind: str, test: str, statistic: float, **words: Any) -> FeatureDrift:
    drifted = statistic >= 0.1
    fields: dict[str, Any] = {
        "name": name, "kind": kind, "test": test, "statistic": statistic, "p_value": 0.0 if drifted else 0.4,
        "threshold": 0.1, "effect": drifted, "significant": drifted, "drifted": drifted, "n": N, "missing": 0,
        "invalid": 0, "unseen": 0, "out_of_range": 0, "error_bound": 0.0, "unseen_names": {},
    }  # fmt: skip
    return FeatureDrift(**fields | words)


def _metric(name: str, value: float, baseline: float) -> MetricChange:
    relative = (baseline - value) / baseline
    return MetricChange(
        name=name, value=value, baseline=baseline, absolute=value - baseline, relative=relative, low=value - 0.015,
        high=value + 0.015, threshold=0.05, error_bound=0.0, degraded=relative > 0.05,
    )  # fmt: skip


def _normal(z: float) -> float:
    return (1 + math.erf(z / math.sqrt(2))) / 2


def _bits(p: float, m: float) -> float:
    return p * math.log2(p / m)
