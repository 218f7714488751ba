"""Predictions with their feedback: the first prediction of an id and the last feedback count, in either order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from sqlalchemy import Connection, bindparam, delete, select, update

from app.history.inserting import add, parts, put
from app.history.rows import Row
from app.history.tables import PREDICTION_DAYS, PREDICTIONS, WAITING_FEEDBACK

FEEDBACK = ("actual", "actual_value", "feedback_at")


def add_predictions(connection: Connection, rows: Sequence[Row]) -> dict[str, int]:
    """Insert predictions, with the feedback that waits for them. Answers the rows by table, as `add_feedback` does."""
    first: dict[object, Row] = {}
    for row in rows:
        first.setdefault(row["prediction_id"], row)
    waiting = _waiting(connection, first)
    add(connection, PREDICTIONS, [{**row, **waiting.get(key, {})} for key, row in first.items()])
    for ids in parts(waiting):
        connection.execute(delete(WAITING_FEEDBACK).where(WAITING_FEEDBACK.c.prediction_id.in_(ids)))
    _mark(connection, ((row["model"], row["model_version"], row["predicted_at"]) for row in first.values()))
    return {PREDICTIONS.name: len(first)}


def add_feedback(connection: Connection, rows: Sequence[Row]) -> dict[str, int]:
    """Give predictions their feedback; what comes before its prediction waits."""
    last = {row["prediction_id"]: row for row in rows}
    columns = PREDICTIONS.c
    known: dict[object, tuple[object, object, object]] = {}
    for ids in parts(last):
        wanted = select(columns.prediction_id, columns.model, columns.model_version, columns.predicted_at)
        found = connection.execute(wanted.where(columns.prediction_id.in_(ids)))
        known |= {key: (model, version, moment) for key, model, version, moment in found}
    if known:
        changed = update(PREDICTIONS).where(columns.prediction_id == bindparam("id_"))
        changed = changed.values({name: bindparam(f"{name}_") for name in FEEDBACK})
        connection.execute(
            changed, [{"id_": key, **{f"{name}_": last[key][name] for name in FEEDBACK}} for key in known]
        )
        _mark(connection, known.values())
    waiting = [row for key, row in last.items() if key not in known]
    put(connection, WAITING_FEEDBACK, waiting)
    return {PREDICTIONS.name: len(known), WAITING_FEEDBACK.name: len(waiting)}


def day_of(moment: object) -> str:
    """The day (UTC) of a prediction."""
    assert isinstance(moment, datetime)
    return moment.astimezone(UTC).date().isoformat()


def _waiting(connection: Connection, ids: Iterable[object]) -> dict[object, Row]:
    columns = WAITING_FEEDBACK.c
    if connection.execute(select(columns.prediction_id).limit(1)).first() is None:
        return {}
    found: dict[object, Row] = {}
    for some in parts(ids):
        wanted = select(columns.prediction_id, *(columns[name] for name in FEEDBACK))
        for row in connection.execute(wanted.where(columns.prediction_id.in_(some))).mappings():
            found[row["prediction_id"]] = {name: row[name] for name in FEEDBACK}
    return found


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
