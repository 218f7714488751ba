"""Results of history queries: one struct for a row of each kind, as the command line and the API print it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, TypeVar

import msgspec
from msgspec import Struct
from sqlalchemy import Row

from app.core.values.reading import spelled
from app.history.day_sums import Sums
from app.history.default_truths import RecordedDefaultTruth
from topics.events import AlertStatus, Label, Level, Scalar

T = TypeVar("T", bound=Struct)


class TrainingRun(Struct, frozen=True, kw_only=True):
    """One training of one model version."""

    run_id: str
    model: str
    model_version: str
    model_type: str
    status: str
    started_at: datetime
    finished_at: datetime
    rows: int
    features: int
    metrics: dict[str, float]
    parameters: dict[str, Scalar]
    dataset: str
    sha256: str
    detail: str
    is_retraining: bool = False
    environment: str = ""
    metadata: dict[str, Scalar] = msgspec.field(default_factory=dict)


class Deployment(Struct, frozen=True, kw_only=True):
    """A model version that went into service."""

    model: str
    model_version: str
    deployed_at: datetime
    source: str
    model_type: str
    detail: str
    environment: str = ""
    status: str = "active"
    metadata: dict[str, Scalar] = msgspec.field(default_factory=dict)


class Prediction(Struct, frozen=True, kw_only=True):
    """One prediction with its truth.

    `actual` and `feedback_at` are null until feedback comes. `prediction` is null where only features were sent.
    """

    prediction_id: str
    model: str
    model_version: str
    timestamp: datetime
    features: dict[str, Scalar]
    prediction: Label | None
    probability: float | dict[str, float] | None
    metadata: dict[str, Scalar] | None
    actual: Label | None
    feedback_at: datetime | None


class SilenceAsTruth(Struct, frozen=True, kw_only=True):
    """Effect of a model version's default truth (`performance.default_truth`) on its performance.

    Predictions that were made before `until` and have no feedback get the truth `value`; `predictions` is their number.
    Predictions made since `until` are `left_out` of the errors, with their feedback. For those, only one kind of truth
    has come so far.
    """

    value: Label
    after_seconds: float
    until: datetime
    predictions: int
    left_out: int


class VersionPerformance(Struct, frozen=True, kw_only=True):
    """Performance of one model version: counts, means and errors of its predictions.

    `average_prediction`: the mean of predictions that are numbers or booleans. `average_error`: the mean error where
    truth is known; an error is the absolute difference of numbers, and 0 or 1 for labels. `error_rate`: the share whose
    label is not the true one. `default_truth`: where the version has a default truth, both errors include that truth;
    `with_feedback` counts feedback alone.
    """

    model: str
    model_version: str
    predictions: int
    with_feedback: int
    average_prediction: float | None
    average_probability: float | None
    average_error: float | None
    error_rate: float | None
    first: datetime
    last: datetime
    default_truth: SilenceAsTruth | None = None


def performance_of(model: str, version: str, sums: Sums) -> VersionPerformance:
    """Return the performance of a model version from its sums, which must include at least one prediction.

    A mean is None where nothing was counted for it.
    """

    def mean(total: float, n: int) -> float | None:
        return total / n if n else None

    assert sums.first_at is not None
    assert sums.last_at is not None
    return VersionPerformance(
        model=model,
        model_version=version,
        predictions=sums.predictions,
        with_feedback=sums.with_feedback,
        average_prediction=mean(sums.prediction_sum, sums.prediction_values),
        average_probability=mean(sums.probability_sum, sums.probabilities),
        average_error=mean(sums.error_sum, sums.with_feedback),
        error_rate=mean(sums.wrong, sums.with_feedback),
        first=sums.first_at,
        last=sums.last_at,
    )


def with_default_truth(
    one: VersionPerformance, whole: Sums, default: RecordedDefaultTruth, until: datetime
) -> VersionPerformance:
    """Return a performance whose errors are those of the predictions made before `until`.

    `whole` are the sums of these predictions.
    """
    n = whole.predictions
    return msgspec.structs.replace(
        one,
        average_error=(whole.error_sum + whole.silent_error_sum) / n if n else None,
        error_rate=(whole.wrong + whole.silent_wrong) / n if n else None,
        default_truth=SilenceAsTruth(
            value=_as_sent(default.actual, default.actual_value),
            after_seconds=default.after,
            until=until,
            predictions=n - whole.with_feedback,
            left_out=one.predictions - n,
        ),
    )


class DriftCheck(Struct, frozen=True, kw_only=True):
    """Result of one window's evaluation.

    `named`: drifted features, or degraded metrics. `share`: the share of drifted features; of a performance check, the
    share of predictions with feedback. `report`: the complete report, where it was requested.
    """

    model: str
    model_version: str
    kind: Literal["drift", "performance"]
    window_start: datetime
    window_end: datetime
    revision: int
    n: int
    sufficient: bool
    detected: bool
    share: float | None
    named: list[str]
    emitted_at: datetime
    report: dict[str, Any] | None = None


class RecordedAlert(Struct, frozen=True, kw_only=True):
    """One transition of one alert.

    `alert_id` identifies the transition, `fingerprint` the alert. `model` and `model_version` are empty where the alert
    is about no model.
    """

    alert_id: str
    fingerprint: str
    status: AlertStatus
    level: Level
    rule: str
    model: str
    model_version: str
    title: str
    message: str
    labels: dict[str, str]
    evidence: dict[str, Any]
    started_at: datetime
    ended_at: datetime | None
    emitted_at: datetime


class RecordedDelivery(Struct, frozen=True, kw_only=True):
    """Result of sending one alert through one channel: delivered or failed.

    `model`, `model_version` and `title` are those of the alert. They are null where the history does not have the
    alert.
    """

    alert_id: str
    fingerprint: str
    notification_id: str
    channel: str
    outcome: Literal["delivered", "failed"]
    attempts: int
    reason: str
    detail: str
    delivered_at: datetime
    model: str | None
    model_version: str | None
    title: str | None


class Audited(Struct, frozen=True, kw_only=True):
    """One change, and who requested it: an API key (`key_id`) or the user of a command.

    `actor` is empty where the API required no key.
    """

    audit_id: str
    at: datetime
    actor: str
    key_id: str
    action: str
    subject: str
    detail: dict[str, str]


def audited_of(row: Row[Any]) -> Audited:
    """Return the result for a row of `audit`."""
    return _answer(Audited, row, detail=_json(row.detail))


def training_run_of(row: Row[Any]) -> TrainingRun:
    """Return the result for a row of `training_runs`."""
    given = {name: _json(row._mapping[name]) for name in ("metrics", "parameters", "metadata")}
    return _answer(TrainingRun, row, **given)


def deployment_of(row: Row[Any]) -> Deployment:
    """Return the result for a row of `model_deployments`."""
    return _answer(Deployment, row, metadata=_json(row.metadata))


def drift_check_of(row: Row[Any]) -> DriftCheck:
    """Return the result for a row of `drift_checks`, with the report where the query selected the report."""
    report = row._mapping.get("report")
    return _answer(DriftCheck, row, named=_json(row.named), report=None if report is None else _json(report))


def alert_of(row: Row[Any]) -> RecordedAlert:
    """Return the result for a row of `alerts`."""
    return _answer(RecordedAlert, row, labels=_json(row.labels), evidence=_json(row.evidence))


def delivery_of(row: Row[Any]) -> RecordedDelivery:
    """Return the result for a row of `deliveries`, with the alert's model and title."""
    return _answer(RecordedDelivery, row)


def prediction_of(row: Row[Any]) -> Prediction:
    """Return the result for a row of `predictions`."""
    by_class = row.probabilities
    return Prediction(
        prediction_id=row.prediction_id,
        model=row.model,
        model_version=row.model_version,
        timestamp=row.predicted_at,
        features=_json(row.features),
        prediction=_as_sent(row.prediction, row.prediction_value) if row.prediction else None,
        probability=row.probability if by_class is None else _json(by_class),
        metadata=None if row.metadata is None else _json(row.metadata),
        actual=None if row.actual is None else _as_sent(row.actual, row.actual_value),
        feedback_at=row.feedback_at,
    )


def _as_sent(label: str, value: float | None) -> str | float | bool:
    """Return a label as it was sent.

    A whole number is returned as an int where a float cannot represent every digit.
    """
    if value is None:
        return label
    if label in ("true", "false"):
        return label == "true"
    return value if spelled(value) == label or not label.lstrip("-").isdigit() else int(label)


def _answer(kind: type[T], row: Row[Any], **decoded: object) -> T:
    names = kind.__struct_fields__
    found = {name: value for name, value in row._mapping.items() if name in names}
    return kind(**{**found, **decoded})


def _json(text: str) -> Any:
    return msgspec.json.decode(text)
