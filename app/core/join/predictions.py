"""The prediction side of the join: rows are placed in panes, counted, and kept for their feedback."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from app.core.join.feedback import join_known
from app.core.join.id_index import Ids
from app.core.join.pending_rows import NewRows
from app.core.join.rows_by_id import are_distinct, firsts
from app.core.join.state import JoinState, PredictionBatch
from app.core.panes.grouping import by_group
from app.core.panes.inputs import CountedRows, pick
from app.core.panes.mixed_inputs import MixedCounts, ModelRows, count_mixed
from app.core.reference.layout import Floats

MANY = 512
"""Rows of one model in a batch from which on they are counted separately."""

TOGETHER = 5_000
"""Rows of many models that are counted at once: their intermediate results stay in the processor's cache."""

Group = tuple[int, NDArray[np.intp]]
"""A model, and its rows in a batch."""


def add_predictions(state: JoinState, batch: PredictionBatch) -> NDArray[np.intp]:
    """Count a batch of predictions. Return the rows that came too late and were left out."""
    if not len(batch.ids):
        return np.empty(0, np.intp)
    by_model = list(by_group(batch.model))
    pane, late = _placed(state, batch, by_model)
    timely = np.flatnonzero(~late if batch.away is None else ~(late | batch.away))
    new_ids, shared = _fresh(state, batch.ids[timely], batch.model[timely])
    fresh = timely[new_ids]
    _count_duplicates(state, batch.model, timely, fresh)
    is_fresh = np.zeros(len(pane), np.bool_)
    is_fresh[fresh] = True
    labels, values = _count_inputs(state, batch, by_model, is_fresh, pane)
    new = NewRows(batch.ids[fresh], batch.model[fresh], pane[fresh], labels[fresh], values[fresh])
    added = state.rows.add(new, shared=shared)
    if shared or state.waiting:
        join_known(state, new, added, shared=shared)
    return np.flatnonzero(late)


def _placed(
    state: JoinState, batch: PredictionBatch, by_model: Sequence[Group]
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Return each row's pane, and whether the row is too late.

    Lateness depends on the newest believed time before the row, and so on the log alone.
    """
    believed = batch.time if batch.believed is None else batch.believed
    late = np.zeros(len(batch.ids), np.bool_)
    models = [model for model, _ in by_model]
    tallies = [state.tally(model) for model in models]
    sizes = np.array([len(rows) for _, rows in by_model], np.int64)
    order = np.concatenate([rows for _, rows in by_model])
    starts = np.cumsum(sizes) - sizes
    size = np.repeat([state.watched[model].pane for model in models], sizes)
    number = batch.time[order] // size
    pane = np.empty(len(batch.ids), np.int32)
    pane[order] = number
    patience: NDArray[np.int64] = np.repeat([state.watched[model].lateness for model in models], sizes)
    if batch.rekeyed is not None:
        retention = np.repeat([state.watched[model].retention for model in models], sizes)
        patience = np.where(batch.rekeyed[order], retention, patience)
    ends = (number + 1) * size
    until = ends + patience
    swept = ends <= np.repeat([tally.swept for tally in tallies], sizes)
    newest = np.maximum.reduceat(believed[order], starts)
    before = [tally.event_time for tally in tallies]
    after = np.maximum(newest, before)
    # a row can only be late if it is so by the newest time of its model's batch
    may_be = swept | (until <= np.repeat(after, sizes))
    for i in np.unique(np.repeat(np.arange(len(models)), sizes)[may_be]).tolist():
        rows, part = by_model[i][1], slice(starts[i], starts[i] + sizes[i])
        reached = np.maximum.accumulate(np.maximum(believed[rows], before[i]))
        late[rows] = swept[part] | (until[part] <= reached)
        tallies[i].late += int(late[rows].sum())
    for tally, time in zip(tallies, after.tolist(), strict=True):
        tally.event_time = time
    return pane, late


def reaches_back(state: JoinState, batch: PredictionBatch) -> set[int]:
    """Return the models whose re-keyed rows may be of panes that `expiry` has already dropped after the lateness."""
    found: set[int] = set()
    if batch.rekeyed is None:
        return found
    believed = batch.time if batch.believed is None else batch.believed
    for model, rows in by_group(batch.model):
        if model in state.reaching_back or not batch.rekeyed[rows].any():
            continue
        watched = state.watched[model]
        newest = max(state.tally(model).event_time, int(believed[rows].max()))
        oldest = int(batch.time[rows][batch.rekeyed[rows]].min()) // watched.pane
        if (oldest + 1) * watched.pane + watched.lateness <= newest:
            found.add(model)
    return found


def _fresh(state: JoinState, ids: Ids, model: NDArray[np.int16]) -> tuple[NDArray[np.intp], bool]:
    """Return positions of ids that are new to their version, each id's first; and whether any may have another row."""
    known = np.zeros(len(ids), np.bool_)
    shared = False
    scope = state.scopes_of(model)
    for rows in state.rows.find(ids):
        found = np.flatnonzero(rows >= 0)
        known[found] |= state.scopes_of(state.rows["model"][rows[found]]) == scope[found]
        shared = shared or not known[found].all()
    new = np.flatnonzero(~known)
    if are_distinct(ids[new]):
        return new, shared
    new = new[firsts(ids[new], scope[new])]
    return new, shared or not are_distinct(ids[new])


def _count_duplicates(
    state: JoinState, model: NDArray[np.int16], timely: NDArray[np.intp], fresh: NDArray[np.intp]
) -> None:
    came = np.bincount(model[timely])
    kept = np.bincount(model[fresh], minlength=len(came))
    for number in np.flatnonzero(came).tolist():
        tally = state.tally(number)
        tally.predictions += int(kept[number])
        tally.duplicates += int(came[number] - kept[number])
        state.came[number] = state.came.get(number, 0) + int(came[number])


def _count_inputs(
    state: JoinState,
    batch: PredictionBatch,
    by_model: Sequence[Group],
    is_fresh: NDArray[np.bool_],
    pane: NDArray[np.int32],
) -> tuple[NDArray[np.int16], Floats]:
    """Count the fresh rows into their panes: many of a model separately, all others together.

    Return labels and values for the join, of all rows.
    """
    labels, values = np.full(len(pane), -1, np.int16), np.full(len(pane), np.nan)
    every = bool(is_fresh.all())
    few: list[NDArray[np.intp]] = []
    parts: list[ModelRows] = []
    waiting = 0

    def count_together() -> None:
        picked = np.concatenate(few)
        mixed = count_mixed(parts, state.stacked_models())
        labels[picked], values[picked] = mixed.label, mixed.value
        for i, unlisted in mixed.unlisted.items():
            state.learn(parts[i].model, unlisted)
        _count_mixed(state, mixed, batch.model[picked], pane[picked])
        few.clear()
        parts.clear()

    for model, rows in by_model:
        columns = batch.columns[model]
        if not every:
            kept = is_fresh[rows]
            if not kept.all():
                if not kept.any():
                    continue
                columns, rows = pick(columns, np.flatnonzero(kept).tolist()), rows[kept]  # noqa: PLW2901
        watched = state.watched[model]
        if len(rows) < MANY:
            few.append(rows)
            parts.append(ModelRows(model, len(rows), watched.counter, columns))
            waiting += len(rows)
            if waiting >= TOGETHER:
                count_together()
                waiting = 0
            continue
        counted = watched.counter.count(columns)
        labels[rows], values[rows], unlisted = counted.labels_and_values(watched.layout)
        state.learn(model, unlisted)
        _count_alone(state, model, counted, pane[rows])
    if parts:
        count_together()
    _count_unknown(state, batch, is_fresh, pane)
    return labels, values


def _count_alone(state: JoinState, model: int, counted: CountedRows, pane: NDArray[np.int32]) -> None:
    """Count rows of one model into their panes."""
    changes = state.new_inputs
    for number, rows in by_group(pane):
        whole = len(rows) == len(pane)
        place = changes.number(model, number)
        changes.count_rows(np.full(len(rows), place))
        changes.count_alone(place, counted.slots if whole else counted.slots[rows])
        changes.add_sums(place, (counted.sums if whole else counted.sums[rows]).sum(axis=0))
        names = counted.names(None if whole else rows)
        if names:
            changes.add_names(place, names)


def _count_mixed(state: JoinState, mixed: MixedCounts, model: NDArray[np.int16], pane: NDArray[np.int32]) -> None:
    """Count rows of many models into their panes."""
    changes = state.new_inputs
    places = changes.numbers(model, pane)
    changes.count_rows(places)
    changes.count(places[mixed.row], mixed.slot)
    changes.add_each(places[mixed.sum_row], mixed.place, mixed.amount)
    for row, column, name in mixed.names:
        changes.add_names(int(places[row]), {column: {name: 1}})


def _count_unknown(
    state: JoinState, batch: PredictionBatch, is_fresh: NDArray[np.bool_], pane: NDArray[np.int32]
) -> None:
    """Count the unknown features of fresh rows."""
    for model, unknown in batch.unknown.items():
        for row, name in unknown:
            if is_fresh[row]:
                state.new_inputs.add_names(state.new_inputs.number(model, int(pane[row])), {"": {name: 1}})
