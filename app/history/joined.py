"""Predictions with their feedback, in either order.

Of each model version the first prediction of an id counts, and the last feedback of the id counts for all of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from sqlalchemy import Connection, Table, and_, bindparam, delete, not_, or_, select, update

from app.history.day_sums import Day, Sums, key_of, save
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
    for key in _known(connection, ids):
        first.pop(key, None)
    if not first:
        return {PREDICTIONS.name: 0}
    waiting = _feedback_of(connection, WAITING_FEEDBACK, ids)
    known = waiting
    if _has_others(connection, {(model, version) for _, model, version in first}):
        known = _feedback_of(connection, PREDICTIONS, ids) | waiting
    new = [
        {**row, "actual": None, "actual_value": None, **known.get(row["prediction_id"], {})} for row in first.values()
    ]
    add(connection, PREDICTIONS, new)
    for some in parts(waiting):
        connection.execute(delete(WAITING_FEEDBACK).where(WAITING_FEEDBACK.c.prediction_id.in_(some)))
    changes: dict[Day, Sums] = {}
    for row in new:
        changes.setdefault(key_of(row.__getitem__), Sums()).add(row.__getitem__)
    save(connection, changes)
    return {PREDICTIONS.name: len(first)}


def add_feedback(connection: Connection, rows: Sequence[Row]) -> dict[str, int]:
    """Give predictions their feedback, of every version that has the id; what comes before all of them waits."""
    last = {row["prediction_id"]: row for row in rows}
    columns = PREDICTIONS.c
    known: set[object] = set()
    updated = 0
    changes: dict[Day, Sums] = {}
    judged = [columns[name] for name in ("prediction", "prediction_value", "actual", "actual_value")]
    for ids in parts(last):
        wanted = select(columns.prediction_id, columns.model, columns.model_version, columns.predicted_at, *judged)
        for row in connection.execute(wanted.where(columns.prediction_id.in_(ids))).mappings():
            known.add(row["prediction_id"])
            after = {**row, **{name: last[row["prediction_id"]][name] for name in FEEDBACK}}
            changes.setdefault(key_of(row.__getitem__), Sums()).correct(row.__getitem__, after.__getitem__)
            updated += 1
    if known:
        joined = update(PREDICTIONS).where(columns.prediction_id == bindparam("id_"))
        joined = joined.values({name: bindparam(f"{name}_") for name in FEEDBACK})
        connection.execute(
            joined,
            [{"id_": key, **{f"{name}_": row[name] for name in FEEDBACK}} for key, row in last.items() if key in known],
        )
        save(connection, changes)
    waiting = [row for key, row in last.items() if key not in known]
    put(connection, WAITING_FEEDBACK, waiting)
    return {PREDICTIONS.name: updated, WAITING_FEEDBACK.name: len(waiting)}


def _known(connection: Connection, ids: Iterable[object]) -> Iterator[tuple[object, ...]]:
    """Return the keys of the predictions that there are of some ids."""
    columns = PREDICTIONS.c
    for some in parts(ids):
        wanted = select(columns.prediction_id, columns.model, columns.model_version)
        yield from map(tuple, connection.execute(wanted.where(columns.prediction_id.in_(some))).all())


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
