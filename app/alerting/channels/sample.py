"""A notification as it might be, for trying a channel: a model's age column arrives in months."""

from __future__ import annotations

import math
from datetime import datetime, timedelta

import msgspec

from app.alerting.events.links import ALERTS, DASHBOARD, FEATURE
from app.alerting.notify.notification import Notification
from topics.events import AlertEvent, AlertStatus, FeatureDrift, Level, MetricChange, Shape

MODEL = {"model": "sample-churn", "model_version": "3"}
ABOUT = {"data_drift": {"subject": "features"}, "performance": {"subject": "recall", "metric": "recall"}}
FAULT = 0.35
"""Share of the rows of the sample whose age is in months."""


def sample(level: Level, *, resolved: bool, now: datetime, page: str) -> Notification:
    """Drift of two features and a fall in performance, firing or resolved. `page`: the API's address, for the link."""
    since = now - timedelta(minutes=25)
    ended = now - timedelta(minutes=2) if resolved else None
    start = f"{page}/dashboard"
    links = {DASHBOARD: f"{start}?model=sample-churn&version=3"}
    if not resolved:
        links[FEATURE] = f"{start}#/model/sample-churn/3/feature/age"
    links[ALERTS] = f"{start}#/alerts"
    alerts = tuple(_alerts(level, since, ended, now, links))
    title = "sample-churn 3: data drift in 2 of 6 features (age, plan); recall has got worse"
    if resolved:
        title = "sample-churn 3: data drift is over; recall is as good as before again"
    return Notification(
        notification_id=f"sample-{now:%Y%m%dT%H%M%S}",
        group="sample-churn/3",
        group_labels=MODEL,
        labels=MODEL,
        status="resolved" if resolved else "firing",
        level=level,
        reason="a sample, sent by driftline alerts test",
        title=f"Sample: {title}",
        firing=() if resolved else alerts,
        resolved=alerts if resolved else (),
        links=links,
        emitted_at=now,
    )


def _alerts(
    level: Level, since: datetime, ended: datetime | None, now: datetime, links: dict[str, str]
) -> list[AlertEvent]:
    status: AlertStatus = "firing" if ended is None else "resolved"
    span = f"Since {since:%Y-%m-%d %H:%M} UTC."
    if ended is not None:
        span = f"From {since:%Y-%m-%d %H:%M} UTC to {ended:%Y-%m-%d %H:%M} UTC (23 min)."
    window = f"Seen in the window {now - timedelta(hours=1):%Y-%m-%d %H:%M} UTC to {now:%Y-%m-%d %H:%M} UTC"
    drifts = ended is None
    share = (
        "2 of 6 features differ from the reference (33%" if drifts else "0 of 6 features differ from the reference (0%"
    )
    told = {
        "data_drift": (
            "data drift in 2 of 6 features (age, plan)" if drifts else "data drift is over",
            f"{span}\n{window}: 4,812 predictions.\n{share}, threshold 30%).",
            {"n": 4812, "features": [_age(), _plan()] if drifts else []},
        ),
        "performance": (
            "recall has got worse" if drifts else "recall is as good as before again",
            f"{span}\n{window}: 4,812 predictions.\nThe truth of 3,977 of 4,812 predictions is known (83%).",
            {
                "n": 4812,
                "metrics": [
                    _metric("recall", 0.6214 if drifts else 0.8691, 0.8705),
                    _metric("accuracy", 0.8011 if drifts else 0.8315, 0.8302),
                ],
            },
        ),
    }
    return [
        AlertEvent(
            alert_id=f"sample-{rule}", fingerprint=f"{i:016x}", status=status, level=level, rule=rule,
            title=f"sample-churn 3: {title}", message=message, labels={**MODEL, "rule": rule, **ABOUT[rule]},
            started_at=since, ended_at=ended, evidence=evidence, links=links, emitted_at=now,
        )
        for i, (rule, (title, message, evidence)) in enumerate(told.items(), 1)
    ]  # fmt: skip


def _age() -> dict[str, object]:
    at = tuple(float(value) for value in range(18, 95)) + tuple(float(value) for value in range(216, 1129, 12))
    reference = tuple(_normal((value - 42) / 14) for value in at)
    months = [_normal((value / 12 - 42) / 14) for value in at]
    current = tuple((1 - FAULT) * a + FAULT * b for a, b in zip(reference, months, strict=True))
    gap = max(abs(a - b) for a, b in zip(reference, current, strict=True))
    return _feature(
        "age", "numeric", "ks", gap, "higher", "median 42, mean 42", "median 53, mean 203.7",
        Shape(at=at, reference=reference, current=current),
    )  # fmt: skip


def _plan() -> dict[str, object]:
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
        "plan", "categorical", "jensen-shannon", math.sqrt(divergence), "more trial", words[0], words[1],
        Shape(at=at, reference=reference, current=current),
    )  # fmt: skip


def _feature(
    name: str, kind: str, test: str, statistic: float, direction: str, reference: str, current: str, shape: Shape
) -> dict[str, object]:
    fields: dict[str, object] = {
        "name": name, "kind": kind, "test": test, "statistic": statistic, "p_value": 0.0, "threshold": 0.1,
        "effect": True, "significant": True, "drifted": True, "n": 4812, "missing": 0, "invalid": 0, "unseen": 0,
        "out_of_range": 0, "error_bound": 0.0, "reference": reference, "current": current, "direction": direction,
        "unseen_names": {},
    }  # fmt: skip
    found: dict[str, object] = msgspec.to_builtins(msgspec.convert(fields, FeatureDrift))
    return found | {"shape": msgspec.to_builtins(shape)}


def _metric(name: str, value: float, baseline: float) -> dict[str, object]:
    relative = (baseline - value) / baseline
    metric = MetricChange(
        name=name, value=value, baseline=baseline, absolute=value - baseline, relative=relative, low=value - 0.015,
        high=value + 0.015, threshold=0.05, error_bound=0.0, degraded=relative > 0.05,
    )  # fmt: skip
    built: dict[str, object] = msgspec.to_builtins(metric)
    return built


def _normal(z: float) -> float:
    return (1 + math.erf(z / math.sqrt(2))) / 2


def _bits(p: float, m: float) -> float:
    return p * math.log2(p / m)
