"""What `driftline history` prints: each answer as the cells of a line."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.history import answers


def training(one: answers.TrainingRun) -> tuple[str, ...]:
    """Finished, model, version, type, status, environment, retraining, rows, metrics."""
    metrics = "  ".join(f"{name} {value:.4g}" for name, value in one.metrics.items()) or one.detail
    what = (one.model, one.model_version, one.model_type, one.status, one.environment)
    return _time(one.finished_at), *what, "yes" if one.is_retraining else "", f"{one.rows:,}", metrics


def deployment(one: answers.Deployment) -> tuple[str, ...]:
    """Deployed, model, version, by, type, environment, status."""
    what = (one.model, one.model_version, one.source, one.model_type)
    return _time(one.deployed_at), *what, one.environment, one.status


def audited(one: answers.Audited) -> tuple[str, ...]:
    """Time, who, by which key, what, of what, detail."""
    detail = "  ".join(f"{name} {value}" for name, value in one.detail.items() if value)
    return _time(one.at), one.actor or "-", one.key_id or "-", one.action, one.subject, detail


def prediction(one: answers.Prediction) -> tuple[str, ...]:
    """Time, model, version, id, prediction, probability, truth."""
    likely = "by class" if isinstance(one.probability, dict) else _number(one.probability)
    made = (_time(one.timestamp), one.model, one.model_version, one.prediction_id)
    return *made, _value(one.prediction), likely, _value(one.actual)


def performance(one: answers.VersionPerformance) -> tuple[str, ...]:
    """Model, version, counts, averages, share that is wrong, last."""
    wrong = "" if one.error_rate is None else f"{one.error_rate:.1%}"
    averages = (one.average_prediction, one.average_probability, one.average_error)
    counts = (f"{one.predictions:,}", f"{one.with_feedback:,}")
    return one.model, one.model_version, *counts, *map(_number, averages), wrong, _time(one.last)


def check(one: answers.DriftCheck) -> tuple[str, ...]:
    """Window's end, model, version, rows, found, share, which."""
    found = ("yes" if one.detected else "no") if one.sufficient else "insufficient"
    window = (_time(one.window_end), one.model, one.model_version, f"{one.n:,}")
    return *window, found, _number(one.share), ", ".join(one.named)


def alert(one: answers.RecordedAlert) -> tuple[str, ...]:
    """Time, status, level, rule, alert, id."""
    return _time(one.emitted_at), one.status, one.level, one.rule, one.title, one.alert_id


def delivery(one: answers.RecordedDelivery) -> tuple[str, ...]:
    """Time, channel, outcome, attempts, alert, why, detail."""
    told = (_time(one.delivered_at), one.channel, one.outcome, str(one.attempts))
    return *told, one.title or one.alert_id, one.reason, one.detail


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _value(value: str | float | bool | None) -> str:
    return f"{value:.6g}" if isinstance(value, float) else "" if value is None else str(value)
