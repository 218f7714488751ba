"""Columns of the tables that the history commands print."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from app.history.answers import DriftCheck, Prediction, RecordedDelivery, TrainingRun, VersionPerformance

Column = str | Callable[[Any], object]
"""A column: the name of a row's field, or a function that makes a value of a row. `cell` prints the value."""


def cells(columns: Mapping[str, Column], row: object) -> tuple[str, ...]:
    """Return a row as texts, one for each column."""
    return tuple(cell(getattr(row, one) if isinstance(one, str) else one(row)) for one in columns.values())


def cell(value: object) -> str:
    """Return a value as text: floats with 4 digits, times in UTC to the second, nothing for None and False."""
    if value is None or value is False:
        return ""
    if value is True:
        return "yes"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, int):
        return f"{value:,}"
    return ", ".join(value) if isinstance(value, list) else str(value)


def label(field: str) -> Callable[[Any], str]:
    """Return a column of predictions or of their truth. Numbers are printed as sent, with up to 6 digits."""

    def text(row: object) -> str:
        value = getattr(row, field)
        return f"{value:.6g}" if isinstance(value, float) else "" if value is None else str(value)

    return text


def or_dash(field: str) -> Callable[[Any], str]:
    """Return a column of texts; an empty text is printed as `-`."""
    return lambda row: getattr(row, field) or "-"


def metrics_or_detail(run: TrainingRun) -> str:
    """Return a training's metrics, or the reason why the training has none."""
    return "  ".join(f"{name} {value:.4g}" for name, value in run.metrics.items()) or run.detail


def probability(prediction: Prediction) -> object:
    """Return the probability of a prediction, or "by class" where the prediction has several probabilities."""
    return "by class" if isinstance(prediction.probability, dict) else prediction.probability


def error_rate(performance: VersionPerformance) -> str:
    """Return the share of wrong labels in percent."""
    return "" if performance.error_rate is None else f"{performance.error_rate:.1%}"


def by_default(performance: VersionPerformance) -> object:
    """Return how many predictions have the version's default truth; None where the version has no default truth."""
    return None if performance.default_truth is None else performance.default_truth.predictions


def found(check: DriftCheck) -> str:
    """Return whether a check found drift or degradation: "yes", "no" or "insufficient"."""
    return ("yes" if check.detected else "no") if check.sufficient else "insufficient"


def alert(delivery: RecordedDelivery) -> str:
    """Return the title of the delivered alert, or the alert's id where the history has no title."""
    return delivery.title or delivery.alert_id


def details(change: Any) -> str:
    """Return the details of an audited change as text."""
    return "  ".join(f"{name} {value}" for name, value in change.detail.items() if value)
