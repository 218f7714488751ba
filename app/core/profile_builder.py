"""Building of a profile from reference rows: columns, labels, the reference's own metrics, calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from app.core.evaluation.estimation import (
    calibrated,
    calibration_of,
    estimation_sums,
    expected_accuracy,
    expected_metrics,
)
from app.core.evaluation.metric import Metric
from app.core.evaluation.performance import metrics_of
from app.core.panes.labels import label_codes
from app.core.panes.outcomes import OutcomeRows, outcome_layout, outcome_pane, outcome_rows
from app.core.reference.layout import FIXED_POINT, Floats, Integers
from app.core.reference.profile import (
    ColumnProfile,
    Profile,
    Task,
    categorical_column,
    numeric_column,
    with_identity,
)
from app.core.values.cell import Cell
from app.core.values.reading import Reading, name_of, names, numbers, spelling_of

Raw = Sequence[Cell]
Categories = list[str | None]


@dataclass(frozen=True, slots=True)
class _Outcome:
    """Prediction and truth of the reference in the form that `outcome_rows` needs."""

    predicted: Integers
    value: Floats
    actual: Floats | None


@dataclass(frozen=True, slots=True)
class HowRead:
    """Readings of a reference's columns, by column; `outputs` is for the prediction and the truth alike.

    `invalid` counts the cells of a numeric column that are no numbers, which are NaN in it.
    """

    features: Mapping[str, Reading] = field(default_factory=dict)
    invalid: Mapping[str, int] = field(default_factory=dict)
    outputs: Reading | None = None
    ignored: Sequence[str] = ()


def build_profile(  # noqa: PLR0913 (a profile is made of that many columns)
    model: str,
    model_version: str,
    task: Task,
    features: Mapping[str, Floats | Sequence[Cell]],
    prediction: Raw | NDArray[np.generic] | None,
    probability: Floats | None = None,
    actual: Raw | NDArray[np.generic] | None = None,
    *,
    labels: Sequence[str] = (),
    positive_label: str | None = None,
    read: HowRead | None = None,
) -> Profile:
    """Return the profile of n reference rows.

    Features: arrays are numeric (NaN missing), other sequences categorical (None missing). `prediction` None: task
    `features`. `probability` is that of the positive class; with more than two classes that of the predicted one.
    `labels` default to those seen, ascending. For a binary model `positive_label` (default: the last) becomes
    `labels[1]`. Baseline metrics need `actual`; calibration and the estimated baseline need `probability` too.
    `read`: how the columns were read; readings that it does not have are decided from the values.

    Raises ValueError, which names the column of another length or the labels that do not fit.
    """
    read = HowRead() if read is None else read
    n = len(next(iter(features.values()), ())) if prediction is None else len(prediction)
    _check_lengths(n, features, probability, actual)
    if prediction is None or task == "features":
        task, prediction, probability, actual = "features", None, None, None
    outputs = _reading_of_outputs(task, prediction, actual) if read.outputs is None else read.outputs
    told = None if prediction is None else _labels_or_numbers(task, prediction, outputs)
    truth = None if actual is None else _labels_or_numbers(task, actual, outputs)
    known = _labels(task, told, truth, [name_of(label, outputs) or "" for label in labels],
                    None if positive_label is None else name_of(positive_label, outputs))  # fmt: skip
    profile = Profile(
        model=model,
        model_version=model_version,
        task=task,
        features=tuple(_column(name, values, read) for name, values in features.items()),
        prediction=_prediction(told, known, outputs),
        probability=None if probability is None else numeric_column("probability", _floats(probability)),
        labels=known,
        baseline={},
        estimated_baseline={},
        calibration=(),
        n=n,
        ignored=tuple(read.ignored),
    )
    return with_identity(_with_metrics(profile, _outcome(known, n, told, probability, truth)))


def _reading_of_outputs(
    task: Task, prediction: Raw | NDArray[np.generic] | None, actual: Raw | NDArray[np.generic] | None
) -> Reading:
    """Return how predictions and truth spell their labels: both alike, with the predictions' cells first."""
    if task in ("regression", "features"):
        return Reading()
    return spelling_of([*_cells(prediction), *_cells(actual)])


def _cells(values: Raw | NDArray[np.generic] | None) -> Sequence[Cell]:
    if values is None:
        return ()
    found: Sequence[Cell] = values.tolist() if isinstance(values, np.ndarray) else values
    return found


def _labels_or_numbers(task: Task, values: Raw | NDArray[np.generic], reading: Reading) -> Categories | Floats:
    """Return the names of labels (None where missing), or a regression's numbers (NaN where there is none)."""
    cells = _cells(values)
    return numbers(cells, reading)[0] if task == "regression" else names(cells, reading)


def _check_lengths(
    n: int,
    features: Mapping[str, Sequence[object] | Floats],
    probability: Floats | None,
    actual: Sequence[object] | NDArray[np.generic] | None,
) -> None:
    columns = {**features, "probability": probability, "actual": actual}
    for name, values in columns.items():
        if values is not None and len(values) != n:
            raise ValueError(f"{name}: {len(values)} rows, but the prediction has {n}")


def _labels(
    task: Task,
    prediction: Categories | Floats | None,
    actual: Categories | Floats | None,
    given: Sequence[str],
    positive: str | None,
) -> tuple[str, ...]:
    if task in ("regression", "features"):
        return ()
    seen = {label for values in (prediction, actual) if isinstance(values, list) for label in values}
    labels = tuple(given) or tuple(sorted(label for label in seen if label is not None))
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


def _column(name: str, values: Floats | Sequence[Cell], read: HowRead) -> ColumnProfile:
    reading = read.features.get(name)
    if isinstance(values, np.ndarray) and values.dtype.kind in "fiu":
        return numeric_column(
            name, _floats(values), reading=reading or Reading(), invalid=read.invalid.get(name, 0)
        )  # fmt: skip
    cells = _cells(values)
    reading = spelling_of(cells) if reading is None else reading
    return categorical_column(name, names(cells, reading), reading=reading)


def _prediction(values: Categories | Floats | None, labels: Sequence[str], reading: Reading) -> ColumnProfile:
    if isinstance(values, np.ndarray):
        return numeric_column("prediction", values, reading=reading)
    return categorical_column("prediction", values or (), labels, reading=reading)


def _outcome(
    labels: Sequence[str],
    n: int,
    prediction: Categories | Floats | None,
    probability: Floats | None,
    actual: Categories | Floats | None,
) -> _Outcome:
    if isinstance(prediction, np.ndarray):
        return _Outcome(np.full(n, -1, np.int64), prediction, actual if isinstance(actual, np.ndarray) else None)
    known = {label: code for code, label in enumerate(labels)}
    predicted, _ = label_codes(known, prediction or ())
    value = np.full(n, np.nan) if probability is None else _floats(probability)
    truth = label_codes(known, actual)[0].astype(np.float64) if isinstance(actual, list) else None
    return _Outcome(predicted, value, truth)


def outcome_rows_of(
    profile: Profile,
    prediction: Raw | NDArray[np.generic],
    probability: Floats | None,
    actual: Raw | NDArray[np.generic],
    outputs: Reading,
) -> OutcomeRows:
    """Return the counts of each row of a profile's reference in its outcome panes. `outputs`: how labels are read."""
    told, truth = (_labels_or_numbers(profile.task, values, outputs) for values in (prediction, actual))
    found = _outcome(profile.labels, len(prediction), told, probability, truth)
    assert found.actual is not None
    return outcome_rows(outcome_layout(profile), found.predicted, found.value, found.actual)


def _with_metrics(profile: Profile, outcome: _Outcome) -> Profile:
    """Return the profile with baseline metrics, from the stream's own panes, then calibration and its estimates."""
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
    """Return floats with NaN for None."""
    return np.array(values, dtype=np.float64)
