"""Predictions with their feedback, in either order.

Of each model version the first prediction of an id counts, and the last feedback of the id counts for all of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime

from sqlalchemy import Connection, Table, and_, bindparam, delete, not_, or_, select, update

from app.history.inserting import add, parts, put
from app.history.rows import Row
from app.history.tables import PREDICTION_DAYS, PREDICTIONS, WAITING_FEEDBACK

FEEDBACK = ("actual", "actual_value", "feedback_at")


def add_predictions(connection: Connection, rows: Sequence[Row]) -> dict[str, int]:
    """Insert predictions, with the feedback that there is of their ids. Return the rows by table."""
    first: dict[tuple[object, ...], Row] = {}
    for row in rows:
        first.setdefault((row["prediction_id"], row["model"], row["model_version"]), row)
    ids = list(dict.fromkeys(key for key, _, _ in first))
    waiting = _feedback_of(connection, WAITING_FEEDBACK, ids)
    known = waiting
    if _has_others(connection, {(model, version) for _, model, version in first}):
        known = _feedback_of(connection, PREDICTIONS, ids) | waiting
    add(connection, PREDICTIONS, [{**row, **known.get(row["prediction_id"], {})} for row in first.values()])
    for some in parts(waiting):
        connection.execute(delete(WAITING_FEEDBACK).where(WAITING_FEEDBACK.c.prediction_id.in_(some)))
    _mark(connection, ((row["model"], row["model_version"], row["predicted_at"]) for row in first.values()))
    return {PREDICTIONS.name: len(first)}


def add_feedback(connection: Connection, rows: Sequence[Row]) -> dict[str, int]:
    """Give predictions their feedback, of every version that has the id; what comes before all of them waits."""
    last = {row["prediction_id"]: row for row in rows}
    columns = PREDICTIONS.c
    known: set[object] = set()
    changed: list[tuple[object, object, object]] = []
    for ids in parts(last):
        wanted = select(columns.prediction_id, columns.model, columns.model_version, columns.predicted_at)
        for key, model, version, moment in connection.execute(wanted.where(columns.prediction_id.in_(ids))):
            known.add(key)
            changed.append((model, version, moment))
    if known:
        joined = update(PREDICTIONS).where(columns.prediction_id == bindparam("id_"))
        joined = joined.values({name: bindparam(f"{name}_") for name in FEEDBACK})
        connection.execute(
            joined,
            [{"id_": key, **{f"{name}_": row[name] for name in FEEDBACK}} for key, row in last.items() if key in known],
        )
        _mark(connection, changed)
    waiting = [row for key, row in last.items() if key not in known]
    put(connection, WAITING_FEEDBACK, waiting)
    return {PREDICTIONS.name: len(changed), WAITING_FEEDBACK.name: len(waiting)}


def day_of(moment: object) -> str:
    """The day (UTC) of a prediction."""
    assert isinstance(moment, datetime)
    return moment.astimezone(UTC).date().isoformat()


def _feedback_of(connection: Connection, table: Table, ids: Iterable[object]) -> dict[object, Row]:
    """Return the feedback that a table has of some ids."""
    columns = table.c
    if connection.execute(select(columns.prediction_id).limit(1)).first() is None:
        return {}
    found: dict[object, Row] = {}
    for some in parts(ids):
        wanted = select(columns.prediction_id, *(columns[name] for name in FEEDBACK))
        wanted = wanted.where(columns.prediction_id.in_(some), columns.actual.is_not(None))
        for row in connection.execute(wanted).mappings():
            found[row["prediction_id"]] = {name: row[name] for name in FEEDBACK}
    return found


def _has_others(connection: Connection, versions: Collection[tuple[object, object]]) -> bool:
    """Whether there are predictions of other model versions, so that ids may be of two."""
    days = PREDICTION_DAYS.c
    if len(versions) > 1:
        return True
    its = or_(*(and_(days.model == model, days.model_version == version) for model, version in versions))
    return connection.execute(select(days.day).where(not_(its)).limit(1)).first() is not None


def trim(connection: Connection, predictions: Iterable[tuple[object, object, object]]) -> None:
    """Note which days some predictions are taken from: model, version and time of each."""
    days = PREDICTION_DAYS.c
    for model, version, day in {(model, version, day_of(moment)) for model, version, moment in predictions}:
        its = (days.model == model, days.model_version == version, days.day == day)
        connection.execute(update(PREDICTION_DAYS).where(*its).values(trimmed=True))


def _mark(connection: Connection, predictions: Iterable[tuple[object, object, object]]) -> None:
    """Note which days have changed."""
    days = {(model, version, day_of(moment)) for model, version, moment in predictions}
    rows: list[Row] = [
        {"model": model, "model_version": version, "day": day, "revision": 1, "trimmed": False}
        for model, version, day in days
    ]
    put(connection, PREDICTION_DAYS, rows, {"revision": PREDICTION_DAYS.c.revision + 1})
