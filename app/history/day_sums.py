"""Sums of predictions for each model version and day, and each hour (UTC), updated with every row."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, Table, and_, case, delete, func, literal, select, update

from app.history.default_truths import RecordedDefaultTruth, default_truths
from app.history.inserting import insertion
from app.history.tables import PREDICTION_DAYS, PREDICTION_HOURS, PREDICTIONS

LARGEST = sys.float_info.max

Cells = Callable[[str], Any]
"""Function that returns a row's value by the column's name."""


class Hour(NamedTuple):
    """One hour (UTC) of a model version; `hour` is ISO 8601 (`2026-01-31T05`)."""

    model: str
    model_version: str
    hour: str


class VersionDay(NamedTuple):
    """One day (UTC) of a model version; `day` is ISO 8601."""

    model: str
    model_version: str
    day: str


@dataclass
class Sums:
    """Counts and sums of a set of predictions.

    Sums are floats: a subtracted value leaves a rounding error, relative to the largest earlier sum. Infinite numbers
    are in no sum, and in no count of numbers. `error_sum`: the errors of predictions with truth; an error is the
    absolute difference of numbers, and 0 or 1 for labels. `silent_…`: the same for predictions without truth, computed
    with the version's default truth; 0 where the version has none.
    """

    predictions: int = 0
    with_feedback: int = 0
    prediction_values: int = 0
    prediction_sum: float = 0.0
    probabilities: int = 0
    probability_sum: float = 0.0
    error_sum: float = 0.0
    wrong: int = 0
    silent_wrong: int = 0
    silent_error_sum: float = 0.0
    first_at: datetime | None = None
    last_at: datetime | None = None

    def add(self, cells: Cells, default: RecordedDefaultTruth | None, sign: int = 1) -> None:
        """Add a prediction, or subtract it with a `sign` of -1. Subtracting does not change the times."""
        self._add_truth(cells, default, sign)
        value, probability, moment = cells("prediction_value"), cells("probability"), cells("predicted_at")
        self.predictions += sign
        if is_finite(value):
            self.prediction_values += sign
            self.prediction_sum += sign * value
        if is_finite(probability):
            self.probabilities += sign
            self.probability_sum += sign * probability
        if sign > 0:
            self.first_at = moment if self.first_at is None else min(self.first_at, moment)
            self.last_at = moment if self.last_at is None else max(self.last_at, moment)

    def correct(self, before: Cells, after: Cells, default: RecordedDefaultTruth | None) -> None:
        """Replace a prediction's truth in the sums."""
        self._add_truth(before, default, -1)
        self._add_truth(after, default, 1)

    def join(self, other: Sums) -> Sums:
        """Return the sums of both sets of predictions."""
        firsts = [at for at in (self.first_at, other.first_at) if at is not None]
        lasts = [at for at in (self.last_at, other.last_at) if at is not None]
        added = {name: getattr(self, name) + getattr(other, name) for name in ADDED}
        return Sums(**added, first_at=min(firsts, default=None), last_at=max(lasts, default=None))

    def _add_truth(self, cells: Cells, default: RecordedDefaultTruth | None, sign: int) -> None:
        if cells("actual") is not None:
            wrong, error = _errors(cells, cells("actual"), cells("actual_value"))
            self.with_feedback += sign
            self.wrong += sign * wrong
            self.error_sum += sign * error
        elif default is not None:
            wrong, error = _errors(cells, default.actual, default.actual_value)
            self.silent_wrong += sign * wrong
            self.silent_error_sum += sign * error


def _errors(cells: Cells, actual: str, truth: float | None) -> tuple[int, float]:
    """Return whether a prediction is wrong (0 or 1), and its error."""
    value, wrong = cells("prediction_value"), int(cells("prediction") != actual)
    both = value is not None and truth is not None and is_finite(value) and is_finite(truth)
    return wrong, abs(value - truth) if both else wrong


ADDED = tuple(field.name for field in fields(Sums) if not field.name.endswith("_at"))


def is_finite(value: float | None) -> bool:
    """Return whether a value is a finite number."""
    return value is not None and abs(value) <= LARGEST


def hour_of(moment: datetime) -> str:
    """Return the hour (UTC) of a time, as ISO 8601."""
    return moment.astimezone(UTC).isoformat()[:13]


def key_of(cells: Cells) -> Hour:
    """Return the hour and the model version of a prediction."""
    return Hour(cells("model"), cells("model_version"), hour_of(cells("predicted_at")))


def _by_day(hours: Mapping[Hour, Sums]) -> dict[VersionDay, Sums]:
    found: dict[VersionDay, Sums] = {}
    for (model, version, hour), sums in hours.items():
        day = VersionDay(model, version, hour[:10])
        found[day] = found.get(day, Sums()).join(sums)
    return found


def save(connection: Connection, changes: Mapping[Hour, Sums]) -> None:
    """Add changes to the hours and to their days, and increase the revision of these days."""
    hours = [{**hour._asdict(), **vars(sums)} for hour, sums in changes.items()]
    days = [{**day._asdict(), **vars(sums), "revision": 1, "trimmed": False} for day, sums in _by_day(changes).items()]
    _add(connection, PREDICTION_HOURS, Hour._fields, hours)
    _add(connection, PREDICTION_DAYS, VersionDay._fields, days)


def _add(connection: Connection, table: Table, key: Sequence[str], rows: Sequence[dict[str, Any]]) -> None:
    if not rows:
        return
    insert, columns = insertion(connection, table), table.c
    postgresql = connection.dialect.name == "postgresql"
    least, most = (func.least, func.greatest) if postgresql else (func.min, func.max)
    new = insert.excluded
    changed = insert.on_conflict_do_update(
        index_elements=list(key),
        set_={
            **({"revision": columns.revision + 1} if "revision" in columns else {}),
            **{name: columns[name] + new[name] for name in ADDED},
            "first_at": least(
                func.coalesce(columns.first_at, new.first_at), func.coalesce(new.first_at, columns.first_at)
            ),
            "last_at": most(func.coalesce(columns.last_at, new.last_at), func.coalesce(new.last_at, columns.last_at)),
        },
    )
    connection.execute(changed, rows)


def trim(connection: Connection, gone: Iterable[Row[Any]]) -> None:
    """Subtract deleted predictions from their hours and days, and mark these days as incomplete (`trimmed`)."""
    _take_all(connection, gone, {"trimmed": True})


def take_away(connection: Connection, gone: Iterable[Row[Any]]) -> None:
    """Subtract deleted predictions from their hours and days; the days count as complete without them."""
    _take_all(connection, gone, {"revision": PREDICTION_DAYS.c.revision + 1})


def _take_all(connection: Connection, gone: Iterable[Row[Any]], noted: dict[str, Any]) -> None:
    """Subtract deleted predictions from their hours and days. `noted`: further changes to each day's row."""
    taken: dict[Hour, Sums] = {}
    defaults = default_truths(connection)
    for row in gone:
        cells = row._mapping.__getitem__
        hour = key_of(cells)
        taken.setdefault(hour, Sums()).add(cells, defaults.get(hour[:2]), -1)
    for hour, sums in taken.items():
        _take(connection, PREDICTION_HOURS, hour, sums, timedelta(hours=1), {})
    for day, sums in _by_day(taken).items():
        _take(connection, PREDICTION_DAYS, day, sums, timedelta(days=1), noted)


def _take(
    connection: Connection, table: Table, key: Hour | VersionDay, sums: Sums, length: timedelta, noted: dict[str, Any]
) -> None:
    columns, rows = table.c, PREDICTIONS.c
    its = and_(*(columns[name] == value for name, value in key._asdict().items()))
    start = datetime.fromisoformat(key[2]).replace(tzinfo=UTC)
    left = select(func.min(rows.predicted_at), func.max(rows.predicted_at)).where(
        rows.model == key.model, rows.model_version == key.model_version,
        rows.predicted_at >= start, rows.predicted_at < start + length,
    )  # fmt: skip
    first, last = connection.execute(left).one()
    if first is None and table is PREDICTION_HOURS:
        connection.execute(delete(table).where(its))
        return
    values = {name: columns[name] + getattr(sums, name) for name in ADDED}
    if first is None:  # no prediction is left, so no rounding error stays
        values = dict.fromkeys(ADDED, 0)
    connection.execute(update(table).where(its).values(**values, first_at=first, last_at=last, **noted))


def errors(columns: Any, default: RecordedDefaultTruth) -> tuple[Any, Any]:
    """Return, as SQL, whether a prediction is wrong by a default truth, and its error."""
    wrong = case((columns.prediction != default.actual, 1), else_=0)
    value, truth = columns.prediction_value, default.actual_value
    if not is_finite(truth):
        return wrong, wrong
    return wrong, case((func.abs(value) <= LARGEST, func.abs(value - truth)), else_=wrong)


def summed(table: Table, default: RecordedDefaultTruth | None = None) -> list[Any]:
    """Return the columns of a query that sums predictions, hours or days, in the order of the fields of Sums.

    Pass the version's `default` truth for predictions; hours and days already include their version's default truth.
    """
    columns = table.c
    if table is not PREDICTIONS:
        return [*(func.sum(columns[name]) for name in ADDED), func.min(columns.first_at), func.max(columns.last_at)]
    value, truth = columns.prediction_value, columns.actual_value
    wrong = case((columns.actual.is_(None), 0), (columns.prediction != columns.actual, 1), else_=0)
    numbers = and_(func.abs(value) <= LARGEST, func.abs(truth) <= LARGEST, columns.actual.is_not(None))
    silent = (literal(0), literal(0.0)) if default is None else errors(columns, default)
    finite = [case((func.abs(one) <= LARGEST, one)) for one in (value, columns.probability)]
    return [
        func.count(), func.count(columns.actual),
        *(column for one in finite for column in (func.count(one), func.coalesce(func.sum(one), 0.0))),
        func.coalesce(func.sum(case((numbers, func.abs(value - truth)), else_=wrong)), 0.0),
        func.coalesce(func.sum(wrong), 0),
        *(func.coalesce(func.sum(case((columns.actual.is_(None), one), else_=0)), 0) for one in silent),
        func.min(columns.predicted_at), func.max(columns.predicted_at),
    ]  # fmt: skip


def sums_of(values: Sequence[Any]) -> Sums:
    """Return the Sums for a result row of `summed`. PostgreSQL returns sums of integers as decimals."""
    *added, first_at, last_at = values
    numbers: list[Any] = [
        (float if name.endswith("_sum") else int)(value or 0) for name, value in zip(ADDED, added, strict=True)
    ]
    return Sums(**dict(zip(ADDED, numbers, strict=True)), first_at=first_at, last_at=last_at)
