"""Queries of the history; lists are sorted newest first. `tables.py` has an index for each query."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, FromClause, Row, Select, Table, select

from app.history import paging
from app.history.answers import (
    Audited,
    Deployment,
    DriftCheck,
    Prediction,
    RecordedAlert,
    RecordedDelivery,
    TrainingRun,
    VersionPerformance,
    alert_of,
    audited_of,
    delivery_of,
    deployment_of,
    drift_check_of,
    performance_of,
    prediction_of,
    training_run_of,
    with_default_truth,
)
from app.history.day_sums import Sums, summed, sums_of
from app.history.default_truths import RecordedDefaultTruth, Version, default_truths, whole_until
from app.history.paging import PageOrder
from app.history.tables import (
    ALERTS,
    AUDIT,
    DELIVERIES,
    DRIFT_CHECKS,
    MODEL_DEPLOYMENTS,
    PREDICTION_DAYS,
    PREDICTION_HOURS,
    PREDICTIONS,
    TRAINING_RUNS,
)
from app.history.wanted import (
    AlertsFilter,
    AuditFilter,
    ChecksFilter,
    DeliveriesFilter,
    DeploymentsFilter,
    HistoryFilter,
    PredictionsFilter,
    TrainingFilter,
)


class SummedBy(NamedTuple):
    """Granularity of stored sums: the table, its time column, a time's number of characters, and the unit's length."""

    table: Table
    column: str
    characters: int
    length: timedelta


SUMMED = (
    SummedBy(PREDICTION_DAYS, "day", len("2026-01-31"), timedelta(days=1)),
    SummedBy(PREDICTION_HOURS, "hour", len("2026-01-31T05"), timedelta(hours=1)),
)
"""Granularities, the longest first."""

SENT_DELIVERIES = (
    select(*DELIVERIES.c, ALERTS.c.model, ALERTS.c.model_version, ALERTS.c.title)
    .select_from(DELIVERIES.outerjoin(ALERTS, DELIVERIES.c.alert_id == ALERTS.c.alert_id))
    .subquery("told")
)
"""Deliveries with their alert's model and title. The alert may be deleted already, or recorded later."""


def training_runs(connection: Connection, wanted: TrainingFilter) -> list[TrainingRun]:
    """Return training runs, sorted by when they ended."""
    return list(map(training_run_of, _newest(connection, TRAINING_RUNS, paging.TRAINING, wanted)))


def deployments(connection: Connection, wanted: DeploymentsFilter) -> list[Deployment]:
    """Return model versions that went into service, sorted by when they did."""
    return list(map(deployment_of, _newest(connection, MODEL_DEPLOYMENTS, paging.DEPLOYMENTS, wanted)))


def alerts(connection: Connection, wanted: AlertsFilter) -> list[RecordedAlert]:
    """Return transitions of alerts, sorted by when they were published."""
    return list(map(alert_of, _newest(connection, ALERTS, paging.ALERTS, wanted)))


def audit(connection: Connection, wanted: AuditFilter) -> list[Audited]:
    """Return audited changes."""
    return list(map(audited_of, _newest(connection, AUDIT, paging.AUDIT, wanted)))


def deliveries(connection: Connection, wanted: DeliveriesFilter) -> list[RecordedDelivery]:
    """Return deliveries of alerts, delivered or failed."""
    return list(map(delivery_of, _newest(connection, SENT_DELIVERIES, paging.DELIVERIES, wanted)))


def predictions(connection: Connection, wanted: PredictionsFilter) -> list[Prediction]:
    """Return predictions with their truth, sorted by when they were made."""
    if wanted.model is None or wanted.model_version is not None or wanted.prediction_id is not None:
        return list(map(prediction_of, _newest(connection, PREDICTIONS, paging.PREDICTIONS, wanted)))
    found: list[Row[Any]] = []
    for version in _versions(connection, wanted.model):  # the index has the order within a version
        found += _newest(connection, PREDICTIONS, paging.PREDICTIONS, replace(wanted, model_version=version))
    found.sort(key=lambda row: [row._mapping[name] for name in paging.PREDICTIONS.columns], reverse=True)
    return list(map(prediction_of, found[: wanted.limit]))


def performance(connection: Connection, wanted: HistoryFilter) -> list[VersionPerformance]:
    """Return the performance of each model version, the version with the newest prediction first.

    Whole days are read from their sums. At the ends of the time range, whole hours are read from their sums, and the
    remaining predictions one by one.
    """
    found = _sums(connection, wanted)
    versions = [performance_of(*key, sums) for key, sums in found.items() if sums.predictions]
    versions.sort(key=paging.PERFORMANCE.key, reverse=True)
    if wanted.after is not None:
        versions = [one for one in versions if paging.PERFORMANCE.key(one) < wanted.after]
    shown = versions[: wanted.limit]
    defaults = default_truths(connection, [(one.model, one.model_version) for one in shown])
    return [_with_default(connection, wanted, one, defaults.get((one.model, one.model_version))) for one in shown]


def _sums(
    connection: Connection, wanted: HistoryFilter, default: RecordedDefaultTruth | None = None
) -> dict[Version, Sums]:
    """Return the sums of the predictions of each model version.

    `default` is the default truth of all versions that the filter selects.
    """
    found: dict[Version, Sums] = {}
    for table, conditions in _parts_of(wanted, SUMMED):
        columns = table.c
        asked = select(columns.model, columns.model_version, *summed(table, default)).where(*conditions)
        for model, version, *values in connection.execute(asked.group_by(columns.model, columns.model_version)):
            found[model, version] = found.get((model, version), Sums()).join(sums_of(values))
    return found


def _with_default(
    connection: Connection, wanted: HistoryFilter, one: VersionPerformance, default: RecordedDefaultTruth | None
) -> VersionPerformance:
    """Return a version's performance with its default truth, for the predictions that have waited long enough."""
    if default is None:
        return one
    version = one.model, one.model_version
    until = whole_until(connection, version, default)
    end = until if wanted.until is None else min(until, wanted.until)
    if end.year <= paging.FIRST_YEAR:
        return with_default_truth(one, Sums(), default, until)
    its = replace(wanted, model=one.model, model_version=one.model_version, until=end)
    return with_default_truth(one, _sums(connection, its, default).get(version, Sums()), default, until)


def _parts_of(
    wanted: HistoryFilter, summed_by: Sequence[SummedBy]
) -> Iterator[tuple[Table, list[ColumnElement[bool]]]]:
    """Yield the tables and conditions that cover a time range.

    Whole units are read from the coarsest table, and the parts at the ends from the finer ones.
    """
    if not summed_by:
        yield PREDICTIONS, wanted.conditions(PREDICTIONS, "predicted_at")
        return
    by, *finer = summed_by
    first, end = wanted.whole(by.length)
    if first is not None and end is not None and first >= end:
        yield from _parts_of(wanted, finer)
        return
    names = by.table.c[by.column]
    whole = replace(wanted, since=None, until=None).conditions(by.table, "first_at")
    whole += [] if first is None else [names >= first.isoformat()[: by.characters]]
    whole += [] if end is None else [names < end.isoformat()[: by.characters]]
    yield by.table, whole
    if first is not None and first != wanted.since:
        yield from _parts_of(replace(wanted, until=first), finer)
    if end is not None and end != wanted.until:
        yield from _parts_of(replace(wanted, since=end), finer)


def drift_checks(connection: Connection, wanted: ChecksFilter) -> list[DriftCheck]:
    """Return the results of evaluated windows, sorted by the window's end."""
    columns = [column for column in DRIFT_CHECKS.c if wanted.report or column.name != "report"]
    asked = select(*columns).where(*wanted.conditions())
    if not wanted.every:
        asked = asked.where(~_is_revised())
    return list(map(drift_check_of, connection.execute(_sorted(connection, asked, DRIFT_CHECKS, paging.DRIFT, wanted))))


def _is_revised() -> Any:
    """Return the condition that the same window has a newer revision."""
    later, own = DRIFT_CHECKS.alias("later"), DRIFT_CHECKS.c
    window = [later.c[name] == own[name] for name in ("model", "model_version", "kind", "window_end")]
    return select(later.c.revision).where(*window, later.c.revision > own.revision).exists()


def _newest(connection: Connection, table: FromClause, order: PageOrder, wanted: HistoryFilter) -> Sequence[Row[Any]]:
    asked = select(table).where(*wanted.conditions(table, order.moment))
    return connection.execute(_sorted(connection, asked, table, order, wanted)).all()


def _sorted(
    connection: Connection, asked: Select[Any], table: FromClause, order: PageOrder, wanted: HistoryFilter
) -> Select[Any]:
    """Return the query with its order, its start after the cursor, and its limit."""
    if wanted.after is not None:
        asked = asked.where(order.after(connection, table, wanted.after))
    return asked.order_by(*(clause.desc() for clause in order.clauses(connection, table))).limit(wanted.limit)


def _versions(connection: Connection, model: str) -> list[str]:
    columns = PREDICTION_DAYS.c
    return list(connection.execute(select(columns.model_version).where(columns.model == model).distinct()).scalars())
