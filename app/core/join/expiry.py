"""Expiry: drops predictions whose retention has passed, and panes that cannot change any more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from app.core.join.delta import JoinDelta, columns_of, numbers_of
from app.core.join.state import NEVER, JoinState
from app.core.panes.grouping import by_group

_NO_PANE = -(1 << 62)
_SWEEP_PARTS = 3
"""Number of sweeps per retention. A sweep's cost is thereby spread over many batches."""


def sweep(state: JoinState, *, feedback_caught_up: bool, clock: int = NEVER) -> bool:
    """Drop what has expired, if enough has; return whether it did. To be called only between checkpoints.

    A prediction has expired when it is older than its model's event time by the retention. While feedback lags
    behind, the feedback's own time limits this too; otherwise a fast replay would expire predictions whose feedback
    is still to come. `clock`: the broker time up to which everything was read, in microseconds; NEVER where this is
    not known.
    """
    fed = -NEVER if feedback_caught_up else state.feedback_time
    horizons: dict[int, int] = {}
    due: dict[int, int] = {}
    for model, tally in state.tallies.items():  # at each checkpoint, over all models
        newest, retention = min(tally.event_time, fed), state.watched[model].retention
        until = horizons[model] = newest - retention if newest > NEVER else NEVER
        if until > NEVER and (tally.swept == NEVER or until - tally.swept >= retention // _SWEEP_PARTS):
            due[model] = until
    for model, until in _by_broker(state, clock).items():
        if until > max(due.get(model, NEVER), state.tally(model).swept):
            due[model] = until
    for model, gone in _forget(state, due).items():
        state.tally(model).expired += gone
        state.tally(model).swept = due[model]
    if due:
        _forget_kept(state)
        # A prediction that is not too late now is younger than its model's horizon less a pane.
        _forget_waiting(state, _oldest_wanted(state, horizons, clock))
    return bool(due)


def _by_broker(state: JoinState, clock: int) -> dict[int, int]:
    """Return horizons by the broker's clock, for models whose event time stands still or advances very slowly.

    Predictions that were there at the mark are dropped when the mark is a patience ago; then another mark is set. So
    each is dropped between one and two patiences after it came. Of a model whose traffic has stopped nothing is left.
    """
    if clock == NEVER:
        return {}
    found: dict[int, int] = {}
    stopped: list[int] = []
    for model, tally in state.tallies.items():
        watched = state.watched[model]
        if tally.event_time == NEVER or (tally.marked > NEVER and clock - tally.marked < watched.patience):
            continue
        if NEVER < tally.recorded <= tally.marked:
            stopped.append(model)
        elif tally.mark > NEVER:
            found[model] = tally.mark // watched.pane * watched.pane
        tally.marked, tally.mark = clock, tally.event_time
    for model, newest in _newest_panes(state, stopped).items():
        found[model] = (newest + 1) * state.watched[model].pane
    return found


def _newest_panes(state: JoinState, models: Sequence[int]) -> dict[int, int]:
    """Return the newest pane of each model that is kept or has a row; models without any are left out."""
    if not models:
        return {}
    newest = np.full(len(state.watched), _NO_PANE, np.int64)
    watched = np.flatnonzero(state.rows["model"] >= 0)
    np.maximum.at(newest, state.rows["model"][watched], state.rows["pane"][watched])
    found = {m: max([int(newest[m]), *state.inputs.panes(m), *state.outcomes.panes(m)]) for m in models}
    return {model: pane for model, pane in found.items() if pane > _NO_PANE}


def _oldest_wanted(state: JoinState, horizons: dict[int, int], clock: int) -> int:
    """Return the time before which feedback waits in vain; models whose traffic has stopped wait for none."""
    times = [
        h - state.watched[m].pane if h > NEVER else h
        for m, h in horizons.items()
        if clock == NEVER or clock - state.tally(m).recorded < state.watched[m].patience
    ]
    return min(times, default=NEVER)


def sweep_again(state: JoinState) -> None:
    """Drop, after a restore, what had been swept; it is counted already."""
    _forget(state, {model: tally.swept for model, tally in state.tallies.items() if tally.swept > NEVER})
    _forget_kept(state)


def _forget_waiting(state: JoinState, oldest: int) -> None:
    stale = [
        key
        for key, waits in state.waiting.items()
        if waits[0].time > NEVER
        and waits[-1].time < oldest
        and (len(waits) == 1 or all(NEVER < one.time < oldest for one in waits))
    ]
    for key in stale:
        del state.waiting[key]
        state.waiting_since[key] = None
    state.expired_feedback += len(stale)
    only = _only_model(state)
    if stale and only is not None:
        state.tally(only).too_late += len(stale)


def _only_model(state: JoinState) -> int | None:
    """Return the newest version of the only model that has predictions here; None where there are several models.

    Truth whose prediction is dropped, or never came, names no model. It is counted for the only model.
    """
    served = [model for model, tally in state.tallies.items() if tally.predictions]
    if len({state.watched[model].profile.model for model in served}) != 1:
        return None
    return max(served, key=lambda model: (state.tallies[model].event_time, model))


def _forget_kept(state: JoinState) -> None:
    """Drop the kept feedback of ids whose last prediction was removed."""
    if not state.kept:
        return
    keys = list(state.kept)
    rows = next(state.rows.find(np.frombuffer(b"".join(keys), np.uint64).reshape(-1, 2)))
    for i in np.flatnonzero(rows < 0).tolist():
        del state.kept[keys[i]]
        state.kept_since[keys[i]] = None


def _forget(state: JoinState, horizons: Mapping[int, int]) -> dict[int, int]:
    """Drop expired rows and settled panes of models. Return by model how many of the rows had no feedback."""
    if not horizons:
        return {}
    rows = state.rows
    # The newest pane that ends by the horizon; the last place is for rows whose profile is not watched any more.
    last = np.full(len(state.watched) + 1, _NO_PANE, np.int64)
    for model, horizon in horizons.items():
        last[model] = horizon // state.watched[model].pane - 1
    gone = rows["pane"] <= last[np.maximum(rows["model"], -1)]
    unjoined = np.bincount(rows["model"][gone & ~rows["joined"].astype(np.bool_)], minlength=len(last))
    if gone.any():
        rows.drop(gone)
    for model in horizons:
        settled = _settled(state, model)
        state.inputs.forget(model, max(int(last[model]), settled), state.new_inputs.has)
        state.outcomes.forget(model, int(last[model]), state.new_outcomes.has)
    return {model: int(unjoined[model]) for model in horizons}


def settle(state: JoinState) -> None:
    """Drop the panes of inputs that no prediction can reach any more. To be called only between checkpoints."""
    watched, known, reaching_back = state.watched, state.settled, state.reaching_back
    for model, tally in state.tallies.items():
        of = watched[model]
        settled = (tally.event_time - of.lateness) // of.pane - 1
        if settled > known.get(model, _NO_PANE) and model not in reaching_back:
            known[model] = settled
            state.inputs.forget(model, settled, state.new_inputs.has)


def _settled(state: JoinState, model: int) -> int:
    """Return the newest pane of inputs of a model that no prediction can reach any more."""
    if model in state.reaching_back:
        return _NO_PANE
    watched = state.watched[model]
    return (state.tally(model).event_time - watched.lateness) // watched.pane - 1


def is_spent(delta: JoinDelta, state: JoinState, horizons: dict[int, int]) -> bool:
    """Return whether the oldest delta can be dropped, once what still waits is copied forward (see `keep_waiting`)."""
    numbers = numbers_of(state)
    newest: dict[int, int] = {}
    columns = columns_of(delta)
    for model, rows in by_group(columns["model"]):
        newest[model] = int(columns["pane"][rows].max())
    for packed in (*delta.inputs, *delta.outcomes):
        newest[packed.model] = max(newest.get(packed.model, packed.pane), packed.pane)
    for model, pane in newest.items():
        number = numbers.get(delta.models[model])
        if number is not None and (pane + 1) * state.watched[number].pane > horizons.get(number, NEVER):
            return False
    return True


def keep_waiting(delta: JoinDelta, state: JoinState) -> None:
    """Copy forward from a delta that will be dropped: the next one repeats its waiting feedback, labels and tallies."""
    for key in delta.waiting:
        if key in state.waiting:
            state.waiting_since.setdefault(key, state.waiting[key])
    for key in delta.kept:
        if key in state.kept:
            state.kept_since.setdefault(key, state.kept[key])
    numbers = numbers_of(state)
    for model, code, name in delta.unknown_labels:
        number = numbers.get(delta.models[model])
        if number is not None:
            state.unknown_since.append((number, code, name))
    for model in delta.tallies:
        state.saved_tallies.pop(numbers.get(delta.models[model], NEVER), None)
