"""Forgetting: predictions whose time for feedback is over, and panes that can no longer change."""

from __future__ import annotations

import numpy as np

from app.core.join_delta import JoinDelta, columns_of
from app.core.joining import NEVER, JoinState

_SWEEP_PARTS = 3
"""Swept each time this share of the retention has passed, so that a sweep's cost is spread over many runs."""


def horizon(state: JoinState, model: int, *, feedback_caught_up: bool) -> int:
    """The time before which predictions of a model have expired, in microseconds.

    While feedback lags behind, its own time counts too, or a fast replay would expire what is still to come.
    """
    newest = state.tally(model).event_time
    if not feedback_caught_up:
        newest = min(newest, state.feedback_time)
    return newest - state.watched[model].retention if newest > NEVER else NEVER


def sweep(state: JoinState, *, feedback_caught_up: bool, clock: int = NEVER) -> bool:
    """Forget what has expired, when enough has; answers whether it did. Only between checkpoints.

    `clock`: how far all has been read by the broker's time, in microseconds; NEVER where that is not known.
    """
    horizons = {m: horizon(state, m, feedback_caught_up=feedback_caught_up) for m in list(state.tallies)}
    due = {m: h for m, h in horizons.items() if h > NEVER and _is_due(state, m, h)}
    for model in horizons:
        by_broker = _by_broker(state, model, clock)
        if by_broker > max(due.get(model, NEVER), state.tally(model).swept):
            due[model] = by_broker
    for model, until in due.items():
        gone = _forget(state, model, until)
        state.tally(model).expired += gone
        state.tally(model).swept = until
    if due:
        _forget_kept(state)
        # A prediction that is not too late now is younger than its model's horizon less a pane.
        _forget_waiting(state, _oldest_wanted(state, horizons, clock))
    return bool(due)


def _by_broker(state: JoinState, model: int, clock: int) -> int:
    """The horizon of a model by the broker's clock, for event time that stands still, or creeps; NEVER without one.

    What was there at the mark goes when that is a patience ago; then another mark is set. So everything goes between
    one and two patiences after it came, and of a model whose traffic has stopped nothing is left.
    """
    tally, watched = state.tally(model), state.watched[model]
    if NEVER in (clock, tally.event_time):
        return NEVER
    if tally.marked > NEVER and clock - tally.marked < watched.patience:
        return NEVER
    mark, stopped = tally.mark, NEVER < tally.recorded <= tally.marked
    tally.marked, tally.mark = clock, tally.event_time
    if not stopped:
        return mark if mark == NEVER else mark // watched.pane * watched.pane
    rows = state.rows["pane"][state.rows["model"] == model]
    panes = [pane for of in (state.inputs, state.outcomes) for number, pane in of if number == model]
    newest = max([*panes, *([int(rows.max())] if len(rows) else [])], default=None)
    return NEVER if newest is None else (newest + 1) * watched.pane


def _oldest_wanted(state: JoinState, horizons: dict[int, int], clock: int) -> int:
    """The time before which feedback waits in vain; models whose traffic has stopped wait for none."""
    times = [
        h - state.watched[m].pane if h > NEVER else h
        for m, h in horizons.items()
        if clock == NEVER or clock - state.tally(m).recorded < state.watched[m].patience
    ]
    return min(times, default=NEVER)


def sweep_again(state: JoinState) -> None:
    """After a restore: forget what had been swept, which is counted already."""
    for model, tally in state.tallies.items():
        if tally.swept > NEVER:
            _forget(state, model, tally.swept)
    _forget_kept(state)


def _is_due(state: JoinState, model: int, horizon: int) -> bool:
    swept = state.tally(model).swept
    return swept == NEVER or horizon - swept >= state.watched[model].retention // _SWEEP_PARTS


def _forget_waiting(state: JoinState, oldest: int) -> None:
    stale = [key for key, waits in state.waiting.items() if waits[0][1] > NEVER and waits[-1][1] < oldest]
    for key in stale:
        del state.waiting[key]
        state.waiting_since[key] = None
    state.expired_feedback += len(stale)


def _forget_kept(state: JoinState) -> None:
    """Drop the feedback that is kept of ids whose last prediction is gone."""
    if not state.kept:
        return
    keys = list(state.kept)
    rows = next(state.rows.find(np.frombuffer(b"".join(keys), np.uint64).reshape(-1, 2)))
    for i in np.flatnonzero(rows < 0).tolist():
        del state.kept[keys[i]]
        state.kept_since[keys[i]] = None


def _forget(state: JoinState, model: int, horizon: int) -> int:
    """Drop expired rows and settled panes of a model; answers how many rows had no feedback."""
    watched = state.watched[model]
    last = horizon // watched.pane - 1  # the newest pane that ends by the horizon
    rows = state.rows
    gone = (rows["model"] == model) & (rows["pane"] <= last)
    unjoined = int((gone & ~rows["joined"].astype(np.bool_)).sum())
    if gone.any():
        rows.drop(gone)
    settled = last
    if model not in state.reaching_back:
        settled = max(last, (state.tally(model).event_time - watched.lateness) // watched.pane - 1)
    for panes, newest in ((state.inputs, settled), (state.outcomes, last)):
        for key in [k for k, b in panes.items() if k[0] == model and k[1] <= newest and not b.dirty]:
            del panes[key]
    return unjoined


def is_spent(delta: JoinDelta, state: JoinState, horizons: dict[int, int]) -> bool:
    """Whether nothing that the oldest delta holds matters any more, but what still waits (see `keep_waiting`)."""
    numbers = {(w.profile.model, w.profile.model_version, w.profile.profile_id): i for i, w in enumerate(state.watched)}
    newest: dict[int, int] = {}
    columns = columns_of(delta)
    panes, models = columns["pane"], columns["model"]
    for model in np.unique(models).tolist():
        newest[model] = int(panes[models == model].max())
    for packed in (*delta.inputs, *delta.outcomes):
        newest[packed.model] = max(newest.get(packed.model, packed.pane), packed.pane)
    for model, pane in newest.items():
        number = numbers.get(delta.models[model])
        if number is not None and (pane + 1) * state.watched[number].pane > horizons.get(number, NEVER):
            return False
    return True


def keep_waiting(delta: JoinDelta, state: JoinState) -> None:
    """Have the next delta say again what a delta that is to go says of feedback that still waits, and of labels."""
    for key in delta.waiting:
        if key in state.waiting:
            state.waiting_since.setdefault(key, state.waiting[key])
    for key in delta.kept:
        if key in state.kept:
            state.kept_since.setdefault(key, state.kept[key])
    numbers = {(w.profile.model, w.profile.model_version, w.profile.profile_id): i for i, w in enumerate(state.watched)}
    for model, code, name in delta.unknown_labels:
        number = numbers.get(delta.models[model])
        if number is not None:
            state.unknown_since.append((number, code, name))
