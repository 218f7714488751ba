"""The feedback side of the join: truth is written to its prediction and counted, corrected, or kept waiting."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from app.core.counting import Scalar
from app.core.grouping import by_group
from app.core.id_index import Ids
from app.core.join_rows import NewRows
from app.core.joining import FeedbackBatch, JoinState
from app.core.layout import Floats, Integers
from app.core.outcome import OutcomeRows, mixed_outcome_rows, outcome_rows

MANY = 512
"""Truths of one model in a run from which they are counted by themselves."""


def add_feedback(state: JoinState, batch: FeedbackBatch) -> None:
    """Join a run of feedback: count it, correct what it replaces, or keep it waiting."""
    if not len(batch.ids):
        return
    state.feedback_time = max(state.feedback_time, int(batch.time.max()))
    found = state.rows.find(batch.ids)
    _wait(state, batch, np.flatnonzero(found < 0))
    known = np.flatnonzero(found >= 0)
    _join_last(state, found[known], batch.time[known], [batch.actual[i] for i in known.tolist()])


def _join_last(state: JoinState, rows: NDArray[np.int32], time: NDArray[np.int64], actual: Sequence[Scalar]) -> None:
    """Join feedback of rows, in offset order: of each row the last that is in time wins."""
    watched = np.flatnonzero(state.rows["model"][rows] >= 0)  # a profile may be gone since the prediction
    known = watched[_in_time(state, rows[watched], time[watched])]
    last = dict(zip(rows[known].tolist(), known.tolist(), strict=True))
    if last:
        _join(state, np.fromiter(last, np.int32, len(last)), [actual[i] for i in last.values()])


def _wait(state: JoinState, batch: FeedbackBatch, positions: NDArray[np.intp]) -> None:
    waiting = state.waiting
    times = batch.time[positions].tolist()
    for key, i, time in zip(_keys(batch.ids[positions]), positions.tolist(), times, strict=True):
        had = waiting.get(key)
        earlier = () if had is None else tuple(one for one in had if one[1] < time)  # in time where this is not
        waiting[key] = state.waiting_since[key] = (*earlier, (batch.actual[i], time))


def _in_time(state: JoinState, rows: NDArray[np.int32], time: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether feedback came within the retention of its prediction's pane; the rest is counted as expired."""
    model, pane = state.rows["model"][rows], state.rows["pane"][rows].astype(np.int64)
    size = np.array([w.pane for w in state.watched], np.int64)[model]
    retention = np.array([w.retention for w in state.watched], np.int64)[model]
    expired: NDArray[np.bool_] = time > (pane + 1) * size + retention
    state.expired_feedback += int(expired.sum())
    return ~expired


def join_waiting(state: JoinState, new: NewRows, rows: NDArray[np.int32]) -> None:
    """Join rows that were just added with the feedback that waits for them."""
    keys = [(i, key) for i, key in enumerate(_keys(new.ids)) if key in state.waiting]
    found = [(i, actual, time) for i, key in keys for actual, time in state.waiting.pop(key)]
    state.waiting_since |= {key: None for _, key in keys}
    if found:
        waiting = rows[[i for i, _, _ in found]]
        time = np.array([time for _, _, time in found], np.int64)
        _join_last(state, waiting, time, [actual for _, actual, _ in found])


def _keys(ids: Ids) -> list[bytes]:
    """Ids as bytes, for a dict."""
    keys: list[bytes] = np.ascontiguousarray(ids).view("V16").ravel().tolist()
    return keys


def _join(state: JoinState, rows: NDArray[np.int32], actual: Sequence[Scalar]) -> None:
    """Write the truth of distinct rows and count it; what it replaces is taken back."""
    model = state.rows["model"][rows]
    truth = np.empty(len(rows))
    by_model = list(by_group(model))
    for number, picked in by_model:
        truth[picked], unknown = state.watched[number].actuals_of([actual[i] for i in picked.tolist()])
        if unknown:
            state.learn(number, unknown)
    # Feedback without a time of its own is not older than its prediction: so expiry goes on without times.
    size = np.repeat([state.watched[number].pane for number, _ in by_model], [len(picked) for _, picked in by_model])
    pane = state.rows["pane"][rows[np.concatenate([picked for _, picked in by_model])]]
    state.feedback_time = max(state.feedback_time, int((pane * size).max()))
    _write_truth(state, rows, truth)
    state.joined_since.append((state.rows["ordinal"][rows].astype(np.uint32), truth))


def _write_truth(state: JoinState, rows: NDArray[np.int32], truth: Floats) -> None:
    had = state.rows["joined"][rows].astype(np.bool_)
    before = state.rows["actual"][rows].astype(np.float64)
    state.rows.join(rows, truth)
    same = had & ((before == truth) | (np.isnan(before) & np.isnan(truth)))
    joined = np.bincount(state.rows["model"][rows[~had]])
    for model in np.flatnonzero(joined).tolist():
        state.tally(model).feedback += int(joined[model])
    _count_outcomes(state, rows[~same], truth[~same], +1)
    replaced = had & ~same
    _count_outcomes(state, rows[replaced], before[replaced], -1)
    for key in set(zip(state.rows["model"][rows[same]].tolist(), state.rows["pane"][rows[same]].tolist(), strict=True)):
        state.new_outcomes.number(*key)


def _count_outcomes(state: JoinState, rows: NDArray[np.int32], truth: Floats, sign: int) -> None:
    """Count truths (take them back where `sign` is -1): many of a model by themselves, all others together."""
    few: list[tuple[int, NDArray[np.intp]]] = []
    for number, picked in by_group(state.rows["model"][rows]):
        if len(picked) < MANY:
            few.append((number, picked))
            continue
        found = outcome_rows(state.watched[number].outcomes, *_judged(state, rows[picked]), truth[picked])
        _count_alone(state, number, rows[picked], found, sign)
    if few:
        together = np.concatenate([picked for _, picked in few])
        layouts, sizes = [state.watched[number].outcomes for number, _ in few], [len(picked) for _, picked in few]
        for of_kind, found in mixed_outcome_rows(
            layouts, sizes, *_judged(state, rows[together]), truth[together]
        ):  # fmt: skip
            _count_mixed(state, rows[together[of_kind]], found, sign)


def _judged(state: JoinState, rows: NDArray[np.int32]) -> tuple[Integers, Floats]:
    return state.rows["label"][rows].astype(np.int64), state.rows["value"][rows].astype(np.float64)


def _count_alone(state: JoinState, model: int, rows: NDArray[np.int32], found: OutcomeRows, sign: int) -> None:
    """Count truths of one model in their panes."""
    changes = state.new_outcomes
    panes, group = np.unique(state.rows["pane"][rows], return_inverse=True)
    sums = found.sums(group, len(panes))
    for i, part in by_group(group):
        place = changes.number(model, int(panes[i]))
        changes.count_rows(np.full(len(part), place), sign)
        changes.count_alone(place, found.slots[:, part], sign)
        changes.add_sums(place, sums[i], sign)


def _count_mixed(state: JoinState, rows: NDArray[np.int32], found: OutcomeRows, sign: int) -> None:
    """Count truths of many models in their panes."""
    changes = state.new_outcomes
    places = changes.numbers(state.rows["model"][rows], state.rows["pane"][rows])
    changes.count_rows(places, sign)
    changes.count(np.tile(places, len(found.slots)), found.slots.ravel(), sign)
    distinct, group = np.unique(places, return_inverse=True)
    sums = found.sums(group, len(distinct))
    which, limb = np.nonzero(sums)
    changes.add_each(distinct[which], limb, sums[which, limb], sign)
