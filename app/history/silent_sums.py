"""Sums of predictions without feedback, by hour and day, computed with their version's default truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table, bindparam, func, literal_column, select, text, update

from app.history.day_sums import errors
from app.history.default_truths import RecordedDefaultTruth, Version, default_truths
from app.history.inserting import put
from app.history.rows import Row
from app.history.tables import DEFAULT_TRUTHS, PREDICTION_DAYS, PREDICTION_HOURS, PREDICTIONS

SILENT = ("silent_wrong", "silent_error_sum")


def add_default_truths(connection: Connection, rows: Sequence[Row]) -> Mapping[str, int]:
    """Write the default truths of registrations. Return the number of rows by table.

    Where a version's default truth has changed, the sums of its predictions without feedback are computed again.
    """
    before = default_truths(connection)
    last = {(str(row["model"]), str(row["model_version"])): row for row in rows}
    put(connection, DEFAULT_TRUTHS, list(last.values()))
    after = default_truths(connection)
    for version in last:
        if _truth(before.get(version)) != _truth(after.get(version)):
            _add_up(connection, version, after.get(version))
    return {DEFAULT_TRUTHS.name: len(last)}


def _truth(default: RecordedDefaultTruth | None) -> tuple[str, float | None] | None:
    return None if default is None else (default.actual, default.actual_value)


def _add_up(connection: Connection, version: Version, default: RecordedDefaultTruth | None) -> None:
    hours = {} if default is None else _sums_by_hour(connection, version, default)
    days: dict[str, tuple[int, float]] = {}
    for hour, (wrong, error) in hours.items():
        known = days.get(hour[:10], (0, 0.0))
        days[hour[:10]] = known[0] + wrong, known[1] + error
    _save(connection, PREDICTION_HOURS, "hour", version, hours)
    _save(connection, PREDICTION_DAYS, "day", version, days)


def _sums_by_hour(
    connection: Connection, version: Version, default: RecordedDefaultTruth
) -> dict[str, tuple[int, float]]:
    """Return the number of wrong predictions and the sum of errors by hour, for predictions without feedback.

    The version's predictions are read once.
    """
    columns = PREDICTIONS.c
    hour: Any = func.replace(func.substr(columns.predicted_at, 1, 13), " ", "T")
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        hour = func.to_char(func.timezone("UTC", columns.predicted_at), 'YYYY-MM-DD"T"HH24')
    asked = select(hour.label("hour"), *(func.sum(one) for one in errors(columns, default))).where(
        columns.model == version[0], columns.model_version == version[1], columns.actual.is_(None)
    )
    found = connection.execute(asked.group_by(literal_column("1")))
    return {hour: (int(wrong), float(error)) for hour, wrong, error in found}


def _save(
    connection: Connection, table: Table, unit: str, version: Version, sums: Mapping[str, tuple[int, float]]
) -> None:
    columns = table.c
    its = update(table).where(columns.model == version[0], columns.model_version == version[1])
    connection.execute(its.values(dict.fromkeys(SILENT, 0)))
    if sums:
        values: dict[str, Any] = {name: bindparam(f"{name}_") for name in SILENT}
        rows = [{"of": key, **{f"{n}_": v for n, v in zip(SILENT, one, strict=True)}} for key, one in sums.items()]
        connection.execute(its.where(columns[unit] == bindparam("of")).values(values), rows)
