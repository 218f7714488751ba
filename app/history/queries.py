"""The questions that the history answers, newest first. `tables.py` has an index for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, FromClause, Row, and_, case, func, select

from app.history.answers import (
    Deployment,
    DriftCheck,
    Prediction,
    RecordedAlert,
    RecordedDelivery,
    TrainingRun,
    VersionPerformance,
    alert_of,
    delivery_of,
    deployment_of,
    drift_check_of,
    prediction_of,
    training_run_of,
)
from app.history.tables import (
    ALERTS,
    DELIVERIES,
    DRIFT_CHECKS,
    MODEL_DEPLOYMENTS,
    PREDICTION_DAYS,
    PREDICTIONS,
    TRAINING_RUNS,
)
from app.history.wanted import Wanted, WantedAlerts, WantedChecks, WantedDeliveries, WantedPredictions

TOLD = (
    select(*DELIVERIES.c, ALERTS.c.model, ALERTS.c.model_version, ALERTS.c.title)
    .select_from(DELIVERIES.outerjoin(ALERTS, DELIVERIES.c.alert_id == ALERTS.c.alert_id))
    .subquery("told")
)
"""Deliveries with what they told of; an alert may be gone, or come later."""


def training_runs(connection: Connection, wanted: Wanted) -> list[TrainingRun]:
    """Trainings, by when they ended."""
    return list(map(training_run_of, _newest(connection, TRAINING_RUNS, "finished_at", wanted)))


def deployments(connection: Connection, wanted: Wanted) -> list[Deployment]:
    """Model versions that went into service."""
    return list(map(deployment_of, _newest(connection, MODEL_DEPLOYMENTS, "deployed_at", wanted)))


def alerts(connection: Connection, wanted: WantedAlerts) -> list[RecordedAlert]:
    """Transitions of alerts, by when they were raised or resolved."""
    return list(map(alert_of, _newest(connection, ALERTS, "emitted_at", wanted)))


def deliveries(connection: Connection, wanted: WantedDeliveries) -> list[RecordedDelivery]:
    """What was told of alerts, or given up."""
    return list(map(delivery_of, _newest(connection, TOLD, "delivered_at", wanted)))


def predictions(connection: Connection, wanted: WantedPredictions) -> list[Prediction]:
    """Predictions with their truth, by when they were made."""
    if wanted.model is None or wanted.model_version is not None or wanted.prediction_id is not None:
        return list(map(prediction_of, _newest(connection, PREDICTIONS, "predicted_at", wanted)))
    found: list[Row[Any]] = []
    for version in _versions(connection, wanted.model):  # the index has the order within a version
        found += _newest(connection, PREDICTIONS, "predicted_at", replace(wanted, model_version=version))
    found.sort(key=lambda row: row.predicted_at, reverse=True)
    return list(map(prediction_of, found[: wanted.limit]))


def performance(connection: Connection, wanted: Wanted) -> list[VersionPerformance]:
    """What the predictions of each model version came to, the version with the newest prediction first."""
    columns = PREDICTIONS.c
    known = columns.actual.is_not(None)
    wrong = case((columns.prediction != columns.actual, 1.0), else_=0.0)
    numbers = and_(columns.prediction_value.is_not(None), columns.actual_value.is_not(None))
    error = case((numbers, func.abs(columns.prediction_value - columns.actual_value)), else_=wrong)
    asked = (
        select(
            columns.model,
            columns.model_version,
            func.count().label("predictions"),
            func.count(columns.actual).label("with_feedback"),
            func.avg(columns.prediction_value).label("average_prediction"),
            func.avg(columns.probability).label("average_probability"),
            func.avg(case((known, error))).label("average_error"),
            func.avg(case((known, wrong))).label("error_rate"),
            func.min(columns.predicted_at).label("first"),
            func.max(columns.predicted_at).label("last"),
        )
        .where(*wanted.conditions(PREDICTIONS, "predicted_at"))
        .group_by(columns.model, columns.model_version)
        .order_by(func.max(columns.predicted_at).desc(), columns.model, columns.model_version)
        .limit(wanted.limit)
    )
    return [VersionPerformance(**row) for row in connection.execute(asked).mappings()]


def drift_checks(connection: Connection, wanted: WantedChecks) -> list[DriftCheck]:
    """Windows as they were judged, by their end."""
    columns = [column for column in DRIFT_CHECKS.c if wanted.report or column.name != "report"]
    asked = select(*columns).where(*wanted.conditions())
    if not wanted.every:
        asked = asked.where(~_is_revised())
    asked = asked.order_by(DRIFT_CHECKS.c.window_end.desc(), DRIFT_CHECKS.c.revision.desc()).limit(wanted.limit)
    return list(map(drift_check_of, connection.execute(asked)))


def _is_revised() -> Any:
    """Whether the same window was judged again."""
    later, own = DRIFT_CHECKS.alias("later"), DRIFT_CHECKS.c
    window = [later.c[name] == own[name] for name in ("model", "model_version", "kind", "window_end")]
    return select(later.c.revision).where(*window, later.c.revision > own.revision).exists()


def _newest(connection: Connection, table: FromClause, moment: str, wanted: Wanted) -> Sequence[Row[Any]]:
    asked = select(table).where(*wanted.conditions(table, moment))
    return connection.execute(asked.order_by(table.c[moment].desc()).limit(wanted.limit)).all()


def _versions(connection: Connection, model: str) -> list[str]:
    columns = PREDICTION_DAYS.c
    return list(connection.execute(select(columns.model_version).where(columns.model == model).distinct()).scalars())
