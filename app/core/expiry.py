"""Forgetting: predictions whose time for feedback is over, and panes that can no longer change."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from app.core.grouping import by_group
from app.core.join_delta import JoinDelta, columns_of, numbers_of
from app.core.joining import NEVER, JoinState

_NO_PANE = -(1 << 62)
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


def sweep(state: JoinState, *, feedback_caught_up: bool) -> bool:
    """Forget what has expired, when enough has; answers whether it did. Only between checkpoints."""
    horizons = {m: horizon(state, m, feedback_caught_up=feedback_caught_up) for m in list(state.tallies)}
    due = {m: h for m, h in horizons.items() if h > NEVER and _is_due(state, m, h)}
    for model, gone in _forget(state, due).items():
        state.tally(model).expired += gone
        state.tally(model).swept = due[model]
    if due:  # a prediction that is not too late now is younger than its model's horizon less a pane
        _forget_waiting(state, min(h - state.watched[m].pane if h > NEVER else h for m, h in horizons.items()))
    return bool(due)


def sweep_again(state: JoinState) -> None:
    """After a restore: forget what had been swept, which is counted already."""
    _forget(state, {model: tally.swept for model, tally in state.tallies.items() if tally.swept > NEVER})


def _is_due(state: JoinState, model: int, horizon: int) -> bool:
    swept = state.tally(model).swept
    return swept == NEVER or horizon - swept >= state.watched[model].retention // _SWEEP_PARTS


def _forget_waiting(state: JoinState, oldest: int) -> None:
    stale = [key for key, waits in state.waiting.items() if waits[0][1] > NEVER and waits[-1][1] < oldest]
    for key in stale:
        del state.waiting[key]
        state.waiting_since[key] = None
    state.expired_feedback += len(stale)


def _forget(state: JoinState, horizons: Mapping[int, int]) -> dict[int, int]:
    """Drop expired rows and settled panes of models. Returns how many rows of each had no feedback."""
    if not horizons:
        return {}
    rows = state.rows
    last = np.full(len(state.watched) + 1, _NO_PANE, np.int64)  # the newest pane that ends by the horizon; -1: no model
    for model, horizon in horizons.items():
        last[model] = horizon // state.watched[model].pane - 1
    gone = rows["pane"] <= last[rows["model"]]
    unjoined = np.bincount(rows["model"][gone & ~rows["joined"].astype(np.bool_)], minlength=len(last))
    if gone.any():
        rows.drop(gone)
    for model in horizons:
        watched, settled = state.watched[model], int(last[model])
        if model not in state.reaching_back:
            settled = (state.tally(model).event_time - watched.lateness) // watched.pane - 1
        state.inputs.forget(model, settled, state.new_inputs.has)
        state.outcomes.forget(model, int(last[model]), state.new_outcomes.has)
    return {model: int(unjoined[model]) for model in horizons}


def settle(state: JoinState) -> None:
    """Forget the panes of inputs that no prediction can reach any more. Only between checkpoints."""
    for model, tally in state.tallies.items():
        watched = state.watched[model]
        settled = (tally.event_time - watched.lateness) // watched.pane - 1
        if settled > state.settled.get(model, _NO_PANE) and model not in state.reaching_back:
            state.settled[model] = settled
            state.inputs.forget(model, settled, state.new_inputs.has)


def is_spent(delta: JoinDelta, state: JoinState, horizons: dict[int, int]) -> bool:
    """Whether nothing that the oldest delta holds matters any more, but what still waits (see `keep_waiting`)."""
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
    """Have the next delta say again what a delta that is to go says of feedback that still waits, of labels, and of
    tallies.
    """
    for key in delta.waiting:
        if key in state.waiting:
            state.waiting_since.setdefault(key, state.waiting[key])
    numbers = numbers_of(state)
    for model, code, name in delta.unknown_labels:
        number = numbers.get(delta.models[model])
        if number is not None:
            state.unknown_since.append((number, code, name))
    for model in delta.tallies:
        state.saved_tallies.pop(numbers.get(delta.models[model], NEVER), None)
