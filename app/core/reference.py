"""From reference rows to a profile: columns, labels, the reference's own metrics, calibration."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from app.core.estimation import calibrated, calibration_of, estimation_sums, expected_accuracy, expected_metrics
from app.core.labels import label_codes
from app.core.layout import FIXED_POINT, Floats, Integers
from app.core.metric import Metric
from app.core.outcome import outcome_layout, outcome_pane
from app.core.performance import metrics_of
from app.core.profile import (
    Column,
    Profile,
    Task,
    categorical_column,
    category_of,
    numeric_column,
    with_identity,
)

Raw = Sequence[str | float | bool | None]
Categories = list[str | None]


@dataclass(frozen=True, slots=True)
class _Outcome:
    """Prediction and truth of the reference as `outcome_slots` takes them."""

    predicted: Integers
    value: Floats
    actual: Floats | None


def build_profile(  # noqa: PLR0913 (a profile is made of that many columns)
    model: str,
    model_version: str,
    task: Task,
    features: Mapping[str, Floats | Sequence[str | None]],
    prediction: Raw | NDArray[np.generic],
    probability: Floats | None = None,
    actual: Raw | NDArray[np.generic] | None = None,
    *,
    labels: Sequence[str] = (),
    positive_label: str | None = None,
) -> Profile:
    """The profile of n reference rows.

    Features: arrays are numeric (NaN missing), other sequences categorical (None missing). `probability` is
    that of the positive class, of more than two classes that of the predicted one. `labels` default to those seen,
    ascending; of a binary model `positive_label` (default: the last) becomes `labels[1]`. Baseline metrics need
    `actual`; calibration and the estimated baseline need `probability` too. ValueError names the column of another
    length or labels that do not fit.
    """
    _check_lengths(features, prediction, probability, actual)
    known = () if task == "regression" else _labels(task, prediction, actual, labels, positive_label)
    profile = Profile(
        model=model,
        model_version=model_version,
        task=task,
        features=tuple(_column(name, values) for name, values in features.items()),
        prediction=_prediction(task, prediction, known),
        probability=None if probability is None else numeric_column("probability", _floats(probability)),
        labels=known,
        baseline={},
        estimated_baseline={},
        calibration=(),
        n=len(prediction),
    )
    return with_identity(_with_metrics(profile, _outcome(task, known, prediction, probability, actual)))


def _check_lengths(
    features: Mapping[str, Sequence[object] | Floats],
    prediction: Sequence[object] | NDArray[np.generic],
    probability: Floats | None,
    actual: Sequence[object] | NDArray[np.generic] | None,
) -> None:
    columns = {**features, "probability": probability, "actual": actual}
    for name, values in columns.items():
        if values is not None and len(values) != len(prediction):
            raise ValueError(f"{name}: {len(values)} rows, but the prediction has {len(prediction)}")


def _labels(
    task: Task,
    prediction: Raw | NDArray[np.generic],
    actual: Raw | NDArray[np.generic] | None,
    given: Sequence[str],
    positive: str | None,
) -> tuple[str, ...]:
    seen = {label for label in _categories(prediction) if label is not None}
    seen |= {label for label in _categories([] if actual is None else actual) if label is not None}
    labels = tuple(given) or tuple(sorted(seen))
    if len(set(labels)) != len(labels):
        raise ValueError(f"labels: each may occur once, got {', '.join(labels)}")
    if task == "multiclass":
        return labels
    if len(labels) != 2:
        raise ValueError(f"labels: a binary model has 2, found {len(labels)} ({', '.join(labels)}); give `labels`")
    if positive is None:
        return labels
    if positive not in labels:
        raise ValueError(f"positive_label: {positive!r} is not one of the labels {', '.join(labels)}")
    return (next(label for label in labels if label != positive), positive)


def _column(name: str, values: Floats | Sequence[str | None]) -> Column:
    if isinstance(values, np.ndarray) and values.dtype.kind in "fiu":
        return numeric_column(name, _floats(values))
    return categorical_column(name, _categories(values))


def _prediction(task: Task, values: Raw | NDArray[np.generic], labels: Sequence[str]) -> Column:
    if task == "regression":
        return numeric_column("prediction", _floats(values))
    return categorical_column("prediction", _categories(values), labels)


def _outcome(
    task: Task,
    labels: Sequence[str],
    prediction: Raw | NDArray[np.generic],
    probability: Floats | None,
    actual: Raw | NDArray[np.generic] | None,
) -> _Outcome:
    n = len(prediction)
    if task == "regression":
        truth = None if actual is None else _floats(actual)
        return _Outcome(np.full(n, -1, np.int64), _floats(prediction), truth)
    known = {label: code for code, label in enumerate(labels)}
    predicted, _ = label_codes(known, _categories(prediction))
    value = np.full(n, np.nan) if probability is None else _floats(probability)
    truth = None if actual is None else label_codes(known, _categories(actual))[0].astype(np.float64)
    return _Outcome(predicted, value, truth)


def _with_metrics(profile: Profile, outcome: _Outcome) -> Profile:
    """Baseline metrics, through the same panes as the stream's, then calibration and what it estimates."""
    if outcome.actual is None:
        return profile
    layout = outcome_layout(profile)
    pane = outcome_pane(layout, outcome.predicted, outcome.value, outcome.actual)
    profile = replace(profile, baseline=_values(metrics_of(layout, pane)))
    if profile.task == "regression" or profile.probability is None:
        return profile
    rows = (outcome.value >= 0.0) & (outcome.value <= 1.0) & (outcome.actual >= 0)
    if profile.task == "multiclass":
        right = outcome.predicted == outcome.actual
        profile = replace(profile, calibration=calibration_of(outcome.value[rows], right[rows].astype(np.int64)))
        confident = calibrated(profile, outcome.value)[~np.isnan(outcome.value)]
        mass = int(np.rint(confident * FIXED_POINT).sum())
        return replace(profile, estimated_baseline=_values(expected_accuracy(mass, len(confident))))
    rows &= outcome.actual < len(profile.labels)
    calibration = calibration_of(outcome.value[rows], outcome.actual[rows].astype(np.int64))
    profile = replace(profile, calibration=calibration)
    scored = ~np.isnan(outcome.value)
    predicted = outcome.predicted[scored]
    sums = estimation_sums(profile, predicted, outcome.value[scored]).sum(axis=0)
    counts = np.bincount(predicted[(predicted >= 0) & (predicted < 2)], minlength=2)
    return replace(profile, estimated_baseline=_values(expected_metrics(counts, sums)))


def _values(metrics: Sequence[Metric]) -> dict[str, float]:
    return {metric.name: metric.value for metric in metrics if metric.value is not None}


def _floats(values: Sequence[object] | NDArray[np.generic]) -> Floats:
    """Floats with NaN for None."""
    return np.array(values, dtype=np.float64)


def _categories(values: Sequence[object] | NDArray[np.generic]) -> Categories:
    """The one spelling of each value; None and NaN are missing."""
    return [_spelled(value) for value in (values.tolist() if isinstance(values, np.ndarray) else values)]


def _spelled(value: object) -> str | None:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, np.generic):
        return _spelled(value.item())
    return category_of(value) if isinstance(value, str | int | float) else str(value)
