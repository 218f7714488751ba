"""Predictions joined with their feedback, which may come in either order.

Of each model version, the first prediction of an id counts. The last feedback of an id counts for all versions.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from sqlalchemy import Connection, and_, bindparam, delete, not_, or_, select, update

from app.history.day_sums import Hour, Sums, key_of, save
from app.history.default_truths import default_truths
from app.history.inserting import add, parts, put
from app.history.rows import Row
from app.history.tables import PREDICTION_DAYS, PREDICTIONS, WAITING_FEEDBACK

FEEDBACK = ("actual", "actual_value", "feedback_at")

Limited = tuple[object, object]
"""An id, and the model to which its feedback is limited; empty where the feedback is for every model."""


def add_predictions(connection: Connection, rows: Sequence[Row]) -> dict[str, int]:
    """Insert predictions, with the feedback that exists for their ids. Return the number of rows by table."""
    first: dict[tuple[object, ...], Row] = {}
    for row in rows:
        first.setdefault((row["prediction_id"], row["model"], row["model_version"]), row)
    ids = list(dict.fromkeys(key for key, _, _ in first))
    for key in _known(connection, ids):
        first.pop(key, None)
    if not first:
        return {PREDICTIONS.name: 0}
    waiting = _waiting(connection, ids)
    known: dict[Limited, Row] = {}
    if _has_others(connection, {(model, version) for _, model, version in first}):
        known = _told(connection, ids)
    given = {key: _feedback_for(key[0], key[1], waiting, known) for key in first}
    new = [{**row, "actual": None, "actual_value": None, **given[key]} for key, row in first.items()]
    add(connection, PREDICTIONS, new)
    _delete_waiting(connection, {(key[0], truth["feedback_model"] or "") for key, truth in given.items() if truth})
    changes: dict[Hour, Sums] = {}
    defaults = default_truths(connection)
    for row in new:
        hour = key_of(row.__getitem__)
        changes.setdefault(hour, Sums()).add(row.__getitem__, defaults.get(hour[:2]) if defaults else None)
    save(connection, changes)
    return {PREDICTIONS.name: len(first)}


def add_feedback(connection: Connection, rows: Sequence[Row]) -> dict[str, int]:
    """Add feedback to the predictions of every version that has the id; feedback without a prediction waits.

    Feedback that is limited to a model is added to that model's versions only. Return the number of rows by table.
    """
    last = _last(rows)
    columns = PREDICTIONS.c
    versions: dict[object, set[object]] = {}
    updates: list[Row] = []
    replaced: list[Row] = []
    changes: dict[Hour, Sums] = {}
    defaults = default_truths(connection)
    judged = [columns[name] for name in ("prediction", "prediction_value", *FEEDBACK, "feedback_model")]
    for ids in parts(last):
        wanted = select(columns.prediction_id, columns.model, columns.model_version, columns.predicted_at, *judged)
        for row in connection.execute(wanted.where(columns.prediction_id.in_(ids))).mappings():
            id_, model = row["prediction_id"], row["model"]
            versions.setdefault(id_, set()).add(model)
            told = last[id_].get(model, last[id_].get(""))
            if told is None:
                continue
            if told["model"] and row["actual"] is not None and not row["feedback_model"]:
                replaced.append({**{name: row[name] for name in ("prediction_id", *FEEDBACK)}, "model": "",
                                 "recorded_at": told["recorded_at"]})  # fmt: skip
            after = {**row, **{name: told[name] for name in FEEDBACK}}
            hour = key_of(row.__getitem__)
            sums, default = changes.setdefault(hour, Sums()), defaults.get(hour[:2])
            sums.correct(row.__getitem__, after.__getitem__, default)
            updates.append(
                {"id_": id_, "of": model, "version": row["model_version"], "limit": told["model"] or None}
                | {f"{name}_": told[name] for name in FEEDBACK}
            )
    _delete_waiting(connection, ((id_, None) for id_, its in last.items() if "" in its))
    if updates:
        version = (columns.prediction_id == bindparam("id_"), columns.model == bindparam("of"))
        joined = update(PREDICTIONS).where(*version, columns.model_version == bindparam("version"))
        joined = joined.values(
            {name: bindparam(f"{name}_") for name in FEEDBACK} | {"feedback_model": bindparam("limit")}
        )
        connection.execute(joined, updates)
        save(connection, changes)
    waiting = {(row["prediction_id"], row["model"]): row for row in replaced}
    for id_, its in last.items():
        of = versions.get(id_, set())
        over = any(model in of for model in its)
        waiting |= {
            (id_, model): row for model, row in its.items()
            if (model not in of if model else not of or over)
        }  # fmt: skip
    put(connection, WAITING_FEEDBACK, list(waiting.values()))
    return {PREDICTIONS.name: len(updates), WAITING_FEEDBACK.name: len(waiting)}


def _last(rows: Sequence[Row]) -> dict[object, dict[object, Row]]:
    """Return the latest feedback of each id, by the model to which it is limited.

    Feedback that a later record replaces is left out.
    """
    last: dict[object, dict[object, Row]] = {}
    for row in rows:
        its = last.setdefault(row["prediction_id"], {})
        if not row["model"]:
            its.clear()
        its[row["model"]] = row
    return last


def _feedback_for(id_: object, model: object, waiting: dict[Limited, Row], known: dict[Limited, Row]) -> Row:
    """Return the last feedback for a new prediction; empty where there is none.

    Feedback that is limited to the prediction's model is later than feedback for every model.
    """
    for found, limit in ((waiting, model), (known, model), (waiting, ""), (known, "")):
        if (id_, limit) in found:
            return found[id_, limit] | {"feedback_model": limit or None}
    return {}


def _waiting(connection: Connection, ids: Iterable[object]) -> dict[Limited, Row]:
    """Return the feedback that waits for some ids, by id and the model to which it is limited."""
    columns = WAITING_FEEDBACK.c
    if connection.execute(select(columns.prediction_id).limit(1)).first() is None:
        return {}
    wanted = select(columns.prediction_id, columns.model, *(columns[name] for name in FEEDBACK))
    found: dict[Limited, Row] = {}
    for some in parts(ids):
        for row in connection.execute(wanted.where(columns.prediction_id.in_(some))).mappings():
            found[row["prediction_id"], row["model"]] = {name: row[name] for name in FEEDBACK}
    return found


def _told(connection: Connection, ids: Iterable[object]) -> dict[Limited, Row]:
    """Return the feedback of recorded predictions of some ids, by id and the model to which it is limited."""
    columns = PREDICTIONS.c
    wanted = select(columns.prediction_id, columns.feedback_model, *(columns[name] for name in FEEDBACK))
    found: dict[Limited, Row] = {}
    for some in parts(ids):
        its = wanted.where(columns.prediction_id.in_(some), columns.actual.is_not(None))
        for row in connection.execute(its).mappings():
            found[row["prediction_id"], row["feedback_model"] or ""] = {name: row[name] for name in FEEDBACK}
    return found


def _delete_waiting(connection: Connection, keys: Iterable[tuple[object, object]]) -> None:
    """Delete feedback that no longer waits, by id and limit. A limit of None means any limit."""
    columns = WAITING_FEEDBACK.c
    by_limit: dict[object, list[object]] = {}
    for id_, limit in keys:
        by_limit.setdefault(limit, []).append(id_)
    if not by_limit or connection.execute(select(columns.prediction_id).limit(1)).first() is None:
        return
    for limit, ids in by_limit.items():
        of_limit = () if limit is None else (columns.model == limit,)
        for some in parts(ids):
            connection.execute(delete(WAITING_FEEDBACK).where(columns.prediction_id.in_(some), *of_limit))


def _known(connection: Connection, ids: Iterable[object]) -> Iterator[tuple[object, ...]]:
    """Yield the keys of the recorded predictions of some ids."""
    columns = PREDICTIONS.c
    for some in parts(ids):
        wanted = select(columns.prediction_id, columns.model, columns.model_version)
        yield from map(tuple, connection.execute(wanted.where(columns.prediction_id.in_(some))).all())


def _has_others(connection: Connection, versions: Collection[tuple[object, object]]) -> bool:
    """Return whether an id may belong to predictions of several model versions."""
    days = PREDICTION_DAYS.c
    if len(versions) > 1:
        return True
    its = or_(*(and_(days.model == model, days.model_version == version) for model, version in versions))
    return connection.execute(select(days.day).where(not_(its)).limit(1)).first() is not None
