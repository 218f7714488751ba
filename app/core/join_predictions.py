"""The prediction side of the join: rows are placed in panes, counted, and kept for their feedback."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from app.core.counting import pick
from app.core.id_index import Ids
from app.core.join_feedback import join_known
from app.core.join_rows import NewRows
from app.core.joining import JoinState, PredictionBatch
from app.core.layout import Floats
from app.core.pane_buffer import by_group


def add_predictions(state: JoinState, batch: PredictionBatch) -> NDArray[np.intp]:
    """Count a run of predictions; answers the rows that came too late and were left out."""
    if not len(batch.ids):
        return np.empty(0, np.intp)
    pane, late = _placed(state, batch)
    timely = np.flatnonzero(~late if batch.away is None else ~(late | batch.away))
    new_ids, shared = _fresh(state, batch.ids[timely], batch.model[timely])
    fresh = timely[new_ids]
    _count_duplicates(state, batch.model, timely, fresh)
    is_fresh = np.zeros(len(pane), np.bool_)
    is_fresh[fresh] = True
    labels, values = np.full(len(pane), -1, np.int16), np.full(len(pane), np.nan)
    for model, rows in by_group(batch.model.astype(np.int32)):
        _count_inputs(state, batch, model, rows, is_fresh[rows], pane, labels, values)
    new = NewRows(batch.ids[fresh], batch.model[fresh], pane[fresh], labels[fresh], values[fresh])
    added = state.rows.add(new, new.model if shared else None)
    if shared or state.waiting:
        join_known(state, new, added, shared=shared)
    return np.flatnonzero(late)


def _placed(state: JoinState, batch: PredictionBatch) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Each row's pane, and whether it is too late: by the newest believed time before it, so by the log alone."""
    pane = np.empty(len(batch.ids), np.int32)
    believed = batch.time if batch.believed is None else batch.believed
    late = np.zeros(len(batch.ids), np.bool_)
    for model, rows in by_group(batch.model.astype(np.int32)):
        watched, tally = state.watched[model], state.tally(model)
        newest = np.maximum.accumulate(np.maximum(believed[rows], tally.event_time))
        number = batch.time[rows] // watched.pane
        pane[rows] = number
        lateness: int | NDArray[np.int64] = watched.lateness
        if batch.rekeyed is not None:
            lateness = np.where(batch.rekeyed[rows], watched.retention, watched.lateness)
        ends = (number + 1) * watched.pane
        late[rows] = (ends + lateness <= newest) | (ends <= tally.swept)
        tally.event_time = int(newest[-1])
        tally.late += int(late[rows].sum())
    return pane, late


def reaches_back(state: JoinState, batch: PredictionBatch) -> set[int]:
    """Models whose re-keyed rows may be of panes that are forgotten already, as `expiry` does after the lateness."""
    found: set[int] = set()
    if batch.rekeyed is None:
        return found
    believed = batch.time if batch.believed is None else batch.believed
    for model, rows in by_group(batch.model.astype(np.int32)):
        if model in state.reaching_back or not batch.rekeyed[rows].any():
            continue
        watched = state.watched[model]
        newest = max(state.tally(model).event_time, int(believed[rows].max()))
        oldest = int(batch.time[rows][batch.rekeyed[rows]].min()) // watched.pane
        if (oldest + 1) * watched.pane + watched.lateness <= newest:
            found.add(model)
    return found


def _fresh(state: JoinState, ids: Ids, model: NDArray[np.int16]) -> tuple[NDArray[np.intp], bool]:
    """Return positions of ids that are new to their version, each id's first; whether any may have another row."""
    known = np.zeros(len(ids), np.bool_)
    shared = False
    scope = state.scopes_of(model)
    for rows in state.rows.find(ids):
        found = np.flatnonzero(rows >= 0)
        known[found] |= state.scopes_of(state.rows["model"][rows[found]]) == scope[found]
        shared = shared or not known[found].all()
    new = np.flatnonzero(~known)
    if _are_distinct(ids[new]):
        return new, shared
    firsts = [new[some[_firsts(ids[new[some]])]] for _, some in by_group(scope[new].astype(np.int32))]
    return np.sort(np.concatenate(firsts)), shared or len(firsts) > 1


def _are_distinct(ids: Ids) -> bool:
    """Whether all are certainly distinct: already their low halves are."""
    return len(np.unique(ids[:, 1])) == len(ids)


def _firsts(ids: Ids) -> NDArray[np.intp]:
    """Positions of each id's first."""
    if _are_distinct(ids):
        return np.arange(len(ids))
    first: dict[bytes, int] = {}
    raw = np.ascontiguousarray(ids).tobytes()
    for i in range(len(ids)):
        first.setdefault(raw[16 * i : 16 * i + 16], i)
    return np.fromiter(first.values(), np.intp, len(first))


def _count_duplicates(
    state: JoinState, model: NDArray[np.int16], timely: NDArray[np.intp], fresh: NDArray[np.intp]
) -> None:
    for number, rows in by_group(model[timely].astype(np.int32)):
        kept = int((model[fresh] == number).sum())
        tally = state.tally(number)
        tally.predictions += kept
        tally.duplicates += len(rows) - kept


def _count_inputs(
    state: JoinState,
    batch: PredictionBatch,
    model: int,
    rows: NDArray[np.intp],
    kept: NDArray[np.bool_],
    pane: NDArray[np.int32],
    labels: NDArray[np.int16],
    values: Floats,
) -> None:
    """Count the kept rows of one model into their panes; note their labels and values for the join."""
    if not kept.any():
        return
    watched = state.watched[model]
    columns = batch.columns[model]
    if not kept.all():
        columns = pick(columns, np.flatnonzero(kept).tolist())
    rows = rows[kept]
    counted = watched.counter.count(columns)
    labels[rows], values[rows], unlisted = counted.labels_and_values(watched.layout)
    state.learn(model, unlisted)
    unknown = _unknown_names(batch.unknown.get(model, ()), rows)
    for number, picked in by_group(pane[rows]):
        whole = len(picked) == len(rows)
        buffer = state.input_pane((model, number))
        names = counted.names(None if whole else picked)
        tally: dict[str, int] = {}
        for i in picked.tolist() if unknown else ():
            for name in unknown.get(i, ()):
                tally[name] = tally.get(name, 0) + 1
        if tally:
            names[""] = tally
        buffer.add(
            counted.slots if whole else counted.slots[picked], counted.sums if whole else counted.sums[picked], names
        )


def _unknown_names(unknown: Sequence[tuple[int, str]], rows: NDArray[np.intp]) -> dict[int, list[str]]:
    """Unknown features by position among `rows`."""
    if not unknown:
        return {}
    position = {row: i for i, row in enumerate(rows.tolist())}
    names: dict[int, list[str]] = {}
    for row, name in unknown:
        if row in position:
            names.setdefault(position[row], []).append(name)
    return names
