"""The feedback side of the join: truth is written to its predictions and counted, corrected, or kept waiting."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from app.core.join import truths
from app.core.join.id_index import Ids
from app.core.join.pending_rows import NewRows
from app.core.join.state import MICROSECONDS, FeedbackBatch, Joined, JoinState, TruthOf, Waiting
from app.core.panes.grouping import by_group
from app.core.panes.inputs import Scalar
from app.core.panes.outcomes import OutcomeRows, mixed_outcome_rows, outcome_rows
from app.core.reference.layout import Floats, Integers

MANY = 512
"""Truths of one model in a batch from which on they are counted separately."""

_LAST = np.iinfo(np.uint32).max


def add_feedback(state: JoinState, batch: FeedbackBatch) -> None:
    """Join a batch of feedback with every version that has its id: count it, correct what it replaces, or keep it.

    Feedback that is limited to a model is joined with that model's versions alone.
    """
    if not len(batch.ids):
        return
    state.feedback_time = max(state.feedback_time, int(batch.time.max()))
    batch = replace(batch, time=truths.whole_seconds(batch.time))
    found = list(state.rows.find(batch.ids))
    _wait(state, batch, np.flatnonzero(found[0] < 0))
    runs = [_run(state, batch, rows) for rows in _of_models(state, batch, found)]
    before = _to_keep(state, batch, found, runs)
    for run in runs:
        models = None if batch.models is None else [batch.models[i] for i in run.positions.tolist()]
        _join_last(state, run, [batch.actual[i] for i in run.positions.tolist()], models)
    for run in runs:
        lossy = run.positions[state.rows["joined"][run.rows] & truths.KIND == truths.OTHER]
        for i, key in _keyed(batch.ids, lossy):
            before.setdefault(key, (_told(batch, i),))
    if before:
        _keep(state, before)


@dataclass(frozen=True, slots=True)
class _Run:
    """Feedback of one row each, in offset order: positions in its batch, rows, times, whether it came in time.

    A row whose profile is not watched any more is `gone`; no feedback is in time for it.
    """

    positions: NDArray[np.intp]
    rows: NDArray[np.int32]
    time: NDArray[np.int64]
    gone: NDArray[np.bool_]
    in_time: NDArray[np.bool_]


def _told(batch: FeedbackBatch, i: int) -> TruthOf:
    return TruthOf(batch.actual[i], int(batch.time[i]), "" if batch.models is None else batch.models[i])


def _of_models(
    state: JoinState, batch: FeedbackBatch, found: Sequence[NDArray[np.int32]]
) -> Sequence[NDArray[np.int32]]:
    """Return the rows that feedback is for; -1 where it is limited to another model."""
    if batch.models is None:
        return found
    return [np.where(state.are_of(rows, batch.models), rows, np.int32(-1)) for rows in found]


def _run(state: JoinState, batch: FeedbackBatch, rows: NDArray[np.int32]) -> _Run:
    positions = np.flatnonzero(rows >= 0)
    return _timed(state, positions, rows[positions], batch.time[positions])


def _timed(state: JoinState, positions: NDArray[np.intp], rows: NDArray[np.int32], time: NDArray[np.int64]) -> _Run:
    """Return the feedback with whether it came within the retention of its prediction's pane, by whole seconds."""
    model, pane = state.rows["model"][rows], state.rows["pane"][rows].astype(np.int64)
    size = np.array([w.pane for w in state.watched], np.int64)
    retention = np.array([w.retention for w in state.watched], np.int64)
    gone = model < 0
    at = np.maximum(model, 0) if gone.any() else model
    in_time = ~gone & (time < (pane + 1) * size[at] + retention[at] + MICROSECONDS)  # a begun second counts as a whole
    return _Run(positions, rows, time, gone, in_time)


def _join_last(state: JoinState, run: _Run, actual: Sequence[Scalar], models: Sequence[str] | None) -> None:
    """Join feedback: of each row the last that is in time wins; feedback that came too late is counted.

    `models`: the model that each is limited to, as in a batch.
    """
    late = ~run.in_time & ~run.gone
    if late.any():
        state.expired_feedback += int(late.sum())
        for model, count in enumerate(np.bincount(state.rows["model"][run.rows[late]]).tolist()):
            if count:
                state.tally(model).too_late += count
    known = np.flatnonzero(run.in_time)
    last = dict(zip(run.rows[known].tolist(), known.tolist(), strict=True))
    if last:
        picked = list(last.values())
        limited = None if models is None else np.array([bool(models[i]) for i in picked], np.bool_)
        _join(state, np.fromiter(last, np.int32, len(last)), run.time[picked], [actual[i] for i in picked], limited)


def _wait(state: JoinState, batch: FeedbackBatch, positions: NDArray[np.intp]) -> None:
    for i, key in _keyed(batch.ids, positions):
        later = truths.with_later(state.waiting.get(key, ()), _told(batch, i))
        state.waiting[key] = state.waiting_since[key] = later


def join_known(state: JoinState, new: NewRows, rows: NDArray[np.int32], *, shared: bool) -> None:
    """Join rows that were just added with the known truth of their ids: waiting feedback, or that of other versions.

    `shared`: whether any of their ids may have more than one row.
    """
    keys: dict[int, bytes] = {}
    earlier: dict[bytes, Waiting] = {}
    if state.waiting:
        keys = {i: key for i, key in enumerate(_keys(new.ids)) if key in state.waiting}
        for key in set(keys.values()):
            earlier[key] = state.waiting.pop(key)
            state.waiting_since[key] = None
    found = list(state.rows.find(new.ids)) if shared else []
    several = np.flatnonzero(found[1] >= 0) if len(found) > 1 else np.empty(0, np.intp)
    joined = np.zeros(len(several), np.bool_)
    for its in found:
        joined |= (its[several] >= 0) & truths.is_told(state.rows["joined"][its[several]])
    if not state.kept:
        several = several[joined]
    for i, key in _keyed(new.ids, several):
        if key not in earlier:
            earlier[key] = _known(state, key, [int(its[i]) for its in found])
        keys[i] = key
    given = [(i, told) for i, key in sorted(keys.items()) for told in earlier[key]]
    if any(told.model for _, told in given):
        fitting = state.are_of(rows[[i for i, _ in given]], [told.model for _, told in given])
        given = [one for one, fits in zip(given, fitting.tolist(), strict=True) if fits]
    if given:
        time = np.array([told.time for _, told in given], np.int64)
        positions = np.array([i for i, _ in given], np.intp)
        actual, models = [told.actual for _, told in given], [told.model for _, told in given]
        _join_last(state, _timed(state, positions, rows[positions], time), actual, models)
    kept = {key: waiting for key, waiting in earlier.items() if waiting}
    if kept:
        _keep(state, kept)


def _to_keep(
    state: JoinState, batch: FeedbackBatch, found: Sequence[NDArray[np.int32]], runs: Sequence[_Run]
) -> dict[bytes, Waiting]:
    """Return by id all feedback that a later version may need, where its rows' last truths may not represent it."""
    unusual = np.zeros(len(batch.ids), np.bool_)
    for run in runs:
        told = np.where(truths.is_told(state.rows["joined"][run.rows]), state.rows["told"][run.rows], _LAST)
        unusual[run.positions] |= ~run.in_time | (told < truths.seconds_told(run.time))
    _add_limited(state, batch, found, unusual)
    known = np.flatnonzero(found[0] >= 0)
    ordered = np.sort(found[0][known])
    repeated = ordered[1:][ordered[1:] == ordered[:-1]]
    if len(repeated):
        unusual |= (found[0] >= 0) & np.isin(found[0], repeated)
    positions = np.flatnonzero(unusual)
    if state.kept:
        positions = np.array([i for i, key in _keyed(batch.ids, known) if unusual[i] or key in state.kept], np.intp)
    earlier: dict[bytes, Waiting] = {}
    for i, key in _keyed(batch.ids, positions):
        if key not in earlier:
            earlier[key] = _known(state, key, [int(rows[i]) for rows in found])
        earlier[key] = truths.with_later(earlier[key], _told(batch, i))
    return earlier


def _add_limited(
    state: JoinState, batch: FeedbackBatch, found: Sequence[NDArray[np.int32]], unusual: NDArray[np.bool_]
) -> None:
    """Mark the feedback whose rows cannot represent it, because it is not limited as the truth of these rows is."""
    limited = np.zeros(len(batch.ids), np.bool_)
    if batch.models is not None:
        limited = np.array(list(map(bool, batch.models)), np.bool_)
    for rows in found:
        some = np.flatnonzero(rows >= 0)
        kinds = state.rows["joined"][rows[some]]
        unusual[some] |= truths.is_told(kinds) & ((kinds & truths.LIMITED > 0) != limited[some])
        if batch.models is not None:
            unusual[some] |= ~state.are_of(rows, batch.models)[some]


def _known(state: JoinState, key: bytes, rows: Iterable[int]) -> Waiting:
    """Return the feedback that has come for an id with predictions."""
    if key in state.kept:
        return state.kept[key]
    columns = state.rows
    for row in rows:
        model = int(columns["model"][row]) if row >= 0 else -1
        if model < 0 or not columns["joined"][row]:
            continue
        unknown = state.unknown_labels.get(model, {})
        watched, kind = state.watched[model], int(columns["joined"][row])
        value = truths.value_of(watched, float(columns["actual"][row]), kind & truths.KIND, unknown)
        if value is not None:
            limit = watched.profile.model if kind & truths.LIMITED else ""
            return truths.waiting_of(value, int(columns["told"][row]), limit)
    return ()


def _keep(state: JoinState, earlier: Mapping[bytes, Waiting]) -> None:
    """Keep feedback of ids that have predictions, unless each of their rows represents it completely."""
    keys, waiting = list(earlier), list(earlier.values())
    said = np.array([len(one) == 1 for one in waiting], np.bool_)
    told = truths.seconds_told(np.array([one[0].time for one in waiting], np.int64))
    limited = np.array([bool(one[0].model) for one in waiting], np.bool_)
    columns = state.rows
    for rows in columns.find(np.frombuffer(b"".join(keys), np.uint64).reshape(-1, 2)):
        some = np.flatnonzero(rows >= 0)
        its = rows[some]
        kinds = columns["joined"][its]
        said[some] &= (columns["model"][its] >= 0) & truths.is_told(kinds) & (kinds & truths.KIND != truths.OTHER)
        said[some] &= (kinds & truths.LIMITED > 0) == limited[some]
        said[some] &= columns["told"][its] == told[some]
    for key, one, is_said in zip(keys, waiting, said.tolist(), strict=True):
        if not is_said:
            state.kept[key] = state.kept_since[key] = one
        elif state.kept.pop(key, None) is not None:
            state.kept_since[key] = None


def _keys(ids: Ids) -> list[bytes]:
    """Return ids as bytes, for a dict."""
    keys: list[bytes] = np.ascontiguousarray(ids).view("V16").ravel().tolist()
    return keys


def _keyed(ids: Ids, positions: NDArray[np.intp]) -> Iterable[tuple[int, bytes]]:
    """Pair positions with their ids as bytes."""
    return zip(positions.tolist(), _keys(ids[positions]), strict=True)


def _join(
    state: JoinState, rows: NDArray[np.int32], time: NDArray[np.int64], actual: Sequence[Scalar],
    limited: NDArray[np.bool_] | None,
) -> None:  # fmt: skip
    """Write the truth of distinct rows and count it; the counts of the replaced truth are subtracted."""
    model = state.rows["model"][rows]
    truth, kinds = np.empty(len(rows)), np.empty(len(rows), np.uint8)
    by_model = list(by_group(model))
    together = np.concatenate([picked for _, picked in by_model])
    ordered = [actual[i] for i in together.tolist()]
    codes, start = np.empty(len(rows)), 0
    plain = np.full(len(rows), truths.TEXT, np.uint8)
    for number, picked in by_model:
        watched, part = state.watched[number], slice(start, start + len(picked))
        start = part.stop
        values = ordered[part]
        found = [*map(watched.labels.get, values)] if watched.outcomes.k else [None]
        if None not in found:  # all are spelled as in the reference
            codes[part] = found
            continue
        codes[part], unknown = watched.actuals_of(values)
        if unknown:
            state.learn(number, unknown)
        plain[part] = truths.kinds_of(watched, values, codes[part], state.unknown_labels.get(number, {}))
    truth[together], kinds[together] = codes, plain
    if limited is not None:
        kinds[limited] |= truths.LIMITED
    # Feedback without a time is not older than its prediction: so expiry works without times too.
    size = np.repeat([state.watched[number].pane for number, _ in by_model], [len(picked) for _, picked in by_model])
    pane = state.rows["pane"][rows[together]]
    state.feedback_time = max(state.feedback_time, int((pane * size).max()))
    _write_truth(state, rows, truth, kinds, truths.seconds_told(time))


def _write_truth(
    state: JoinState, rows: NDArray[np.int32], truth: Floats, kinds: NDArray[np.uint8], told: NDArray[np.uint32]
) -> None:
    had_kinds = state.rows["joined"][rows]
    had = had_kinds > 0
    before = state.rows["actual"][rows].astype(np.float64)
    same = had & ((before == truth) | (np.isnan(before) & np.isnan(truth)))
    again = same & (kinds == had_kinds) & (kinds & truths.KIND != truths.OTHER)
    told = np.where(again, np.minimum(told, state.rows["told"][rows]), told)
    state.rows.join(rows, truth, kinds, told)
    state.joined_since.append(Joined(state.rows["ordinal"][rows].astype(np.uint32), truth, kinds, told))
    joined = np.bincount(state.rows["model"][rows[~truths.is_told(had_kinds)]])
    for model in np.flatnonzero(joined).tolist():
        state.tally(model).feedback += int(joined[model])
    count_outcomes(state, rows[~same], truth[~same], +1)
    replaced = had & ~same
    count_outcomes(state, rows[replaced], before[replaced], -1)
    for key in set(zip(state.rows["model"][rows[same]].tolist(), state.rows["pane"][rows[same]].tolist(), strict=True)):
        state.new_outcomes.number(*key)


def count_outcomes(state: JoinState, rows: NDArray[np.int32], truth: Floats, sign: int) -> None:
    """Count truths (subtract them if `sign` is -1): large parts of one model separately, all others together."""
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
