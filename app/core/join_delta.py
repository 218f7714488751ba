"""What changes in a join between two checkpoints: written, read back, and made one again.

A delta leads from one pair of source offsets to the next. Applied in order, deltas rebuild the state, so the
changelog holds each prediction once however often its pane is published.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.core import truths
from app.core.join_rows import NewRows
from app.core.joining import JoinState, PaneKey, Tally, Waiting
from app.core.packing import pack, pack_ascending, unpack, unpack_ascending
from app.core.pane import Names, Pane

_ROW_COLUMNS = {"model": np.int16, "pane": np.int32, "label": np.int16, "value": np.float64}


@dataclass(frozen=True, slots=True)
class PaneDelta:
    """What was added to one pane. `model` is the number within the delta's own `models`."""

    model: int
    pane: int
    n: int
    indices: bytes
    counts: bytes
    sums: bytes
    names: Names

    @staticmethod
    def of(key: PaneKey, pane: Pane) -> PaneDelta:
        """Pack a pane."""
        return PaneDelta(
            model=key[0], pane=key[1], n=pane.n,
            indices=pack_ascending(pane.indices), counts=pack(pane.counts), sums=pack(pane.sums), names=pane.names,
        )  # fmt: skip

    def unpack(self) -> Pane:
        """The pane again."""
        return Pane(
            self.n, unpack_ascending(self.indices).astype(np.int32), unpack(self.counts).astype(np.int64),
            unpack(self.sums).astype(np.int64), self.names,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class JoinDelta:
    """All that one source partition took in between two checkpoints.

    `from_offsets` and `to_offsets` are the next offsets to read of predictions and feedback. `models` names
    the model versions by the numbers used inside, as (model, version, profile). `waiting` are ids (16 bytes)
    whose feedback waits since or waits no longer (None). `epoch` numbers the recovery after which
    it was written: the next one's is higher, whatever the clock says. `unknown_labels`: what a label that the reference
    does not have is spelled like, as (model, code, spelling), each once. `rekeyed`: as `JoinState` has it. `kept`: like
    `waiting`, of ids that have predictions. Earlier releases wrote neither it nor `joined_kinds` and `joined_told`.
    """

    from_offsets: tuple[int, int]
    to_offsets: tuple[int, int]
    models: list[tuple[str, str, str]]
    first_ordinal: int
    ids: bytes
    rows: dict[str, bytes]
    joined_ordinals: bytes
    joined_actuals: bytes
    waiting: dict[bytes, Waiting | None]
    inputs: list[PaneDelta]
    outcomes: list[PaneDelta]
    tallies: dict[int, Tally]
    expired_feedback: int
    feedback_time: int
    epoch: int = 0
    unknown_labels: list[tuple[int, int, str]] = field(default_factory=list)
    rekeyed: dict[str, int] = field(default_factory=dict)
    joined_kinds: bytes = b""
    joined_told: bytes = b""
    kept: dict[bytes, Waiting | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A delta and the panes that it changed, as totals."""

    delta: JoinDelta
    inputs: Mapping[PaneKey, Pane]
    outcomes: Mapping[PaneKey, Pane]


def take(state: JoinState, since: int, from_offsets: tuple[int, int], to_offsets: tuple[int, int]) -> Checkpoint:
    """Sum up what the state took in since the last checkpoint. `since`: the ordinal to begin at."""
    rows = state.rows
    start = len(rows) - (rows.next_ordinal - since)
    joined = state.joined_since
    inputs = {key: buffer.flush() for key, buffer in state.inputs.items() if buffer.dirty}
    outcomes = {key: buffer.flush() for key, buffer in state.outcomes.items() if buffer.dirty}
    delta = JoinDelta(
        from_offsets=from_offsets,
        to_offsets=to_offsets,
        models=[(w.profile.model, w.profile.model_version, w.profile.profile_id) for w in state.watched],
        first_ordinal=since,
        ids=np.column_stack([rows["high"][start:], rows["low"][start:]]).astype("<u8").tobytes(),
        rows={name: pack(rows[name][start:]) for name in _ROW_COLUMNS},
        joined_ordinals=pack(_joined([one.ordinals for one in joined])),
        joined_actuals=pack(_joined([one.actuals for one in joined])),
        joined_kinds=pack(_joined([one.kinds for one in joined])),
        joined_told=pack(_joined([one.told for one in joined])),
        kept=state.kept_since,
        waiting=state.waiting_since,
        inputs=[PaneDelta.of(key, pane) for key, pane in inputs.items()],
        outcomes=[PaneDelta.of(key, pane) for key, pane in outcomes.items()],
        tallies=state.tallies,
        expired_feedback=state.expired_feedback,
        feedback_time=state.feedback_time,
        unknown_labels=state.unknown_since,
        rekeyed=state.rekeyed,
    )
    state.joined_since = []
    state.waiting_since = {}
    state.kept_since = {}
    state.unknown_since = []
    return Checkpoint(
        delta,
        {key: state.inputs[key].total for key in inputs},
        {key: state.outcome_total(key) for key in outcomes},
    )


def totals_of(state: JoinState) -> tuple[Mapping[PaneKey, Pane], Mapping[PaneKey, Pane]]:
    """Every pane's total, of inputs and of outcomes, as published."""
    inputs = {key: buffer.total for key, buffer in state.inputs.items()}
    return inputs, {key: state.outcome_total(key) for key in state.outcomes}


def _joined(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return np.concatenate(parts) if parts else np.empty(0)


def columns_of(delta: JoinDelta) -> dict[str, NDArray[Any]]:
    """The new predictions of a delta, column by column."""
    return {name: unpack(delta.rows[name]).astype(kind, copy=False) for name, kind in _ROW_COLUMNS.items()}


def restore(state: JoinState, delta: JoinDelta) -> None:
    """Apply a delta to the state that it follows. What belongs to profiles no longer watched is left out."""
    numbers = {(w.profile.model, w.profile.model_version, w.profile.profile_id): i for i, w in enumerate(state.watched)}
    number = _numbers(state, delta, numbers)
    _restore_rows(state, delta, number)
    _restore_truth(state, delta)
    for deltas, pane_of in ((delta.inputs, state.input_pane), (delta.outcomes, state.outcome_pane)):
        for packed in deltas:
            if number[packed.model] >= 0:
                pane_of((int(number[packed.model]), packed.pane)).restore(packed.unpack())
    for model, tally in delta.tallies.items():
        if number[model] >= 0:
            state.tallies[int(number[model])] = tally
    for known, since in ((state.waiting, delta.waiting), (state.kept, delta.kept)):
        for key, waiting in since.items():
            if waiting is None:
                known.pop(key, None)
            else:
                known[key] = waiting
    for model, code, name in delta.unknown_labels:
        if number[model] >= 0:
            state.unknown_labels.setdefault(int(number[model]), {})[code] = name
    state.expired_feedback = delta.expired_feedback
    state.feedback_time = delta.feedback_time
    state.rekeyed = delta.rekeyed


def restore_inputs(state: JoinState, delta: JoinDelta, model: int, panes: Container[int]) -> None:
    """Add what a saved delta counts of the inputs of some panes of a model."""
    watched = state.watched[model]
    named = (watched.profile.model, watched.profile.model_version, watched.profile.profile_id)
    for packed in delta.inputs:
        if packed.pane in panes and delta.models[packed.model] == named:
            state.input_pane((model, packed.pane)).restore(packed.unpack())


def _restore_rows(state: JoinState, delta: JoinDelta, number: NDArray[np.int16]) -> None:
    columns = columns_of(delta)
    ids = np.frombuffer(delta.ids, "<u8").reshape(-1, 2).astype(np.uint64)
    state.rows.next_ordinal = delta.first_ordinal
    if len(ids):
        model = number[columns["model"]]
        new = NewRows(ids, model, columns["pane"], columns["label"], columns["value"])
        state.rows.add(new, apart=columns["model"])


def _numbers(state: JoinState, delta: JoinDelta, numbers: Mapping[tuple[str, str, str], int]) -> NDArray[np.int16]:
    """Return the number of each model of a delta; of those that are watched no longer, see `JoinState.scopes_of`."""
    versions: dict[tuple[str, str], int] = {}
    for i, watched in enumerate(state.watched):
        versions.setdefault((watched.profile.model, watched.profile.model_version), i)
    return np.array([numbers.get(named, -2 - versions.get(named[:2], -1)) for named in delta.models], np.int16)


def _restore_truth(state: JoinState, delta: JoinDelta) -> None:
    ordinals = unpack(delta.joined_ordinals)
    actuals = unpack(delta.joined_actuals).astype(np.float64, copy=False)
    rows = state.rows.rows_of(ordinals.astype(np.uint32))
    known = np.flatnonzero(rows >= 0)
    last = dict(zip(rows[known].tolist(), known.tolist(), strict=True))
    picked = np.fromiter(last.values(), np.intp, len(last))
    rows = rows[picked]
    if delta.joined_kinds:
        kinds, told = unpack(delta.joined_kinds), unpack(delta.joined_told)
    else:  # of an earlier release: labels are told as texts, and in time
        without = np.array([watched.outcomes.k == 0 for watched in state.watched] or [False], np.bool_)
        kinds = np.full(len(actuals), truths.TEXT)
        kinds[picked[without[np.maximum(state.rows["model"][rows], 0)]]] = truths.NUMBER
        told = np.full(len(actuals), truths.UNTIMED)
    state.rows.join(rows, actuals[picked], kinds[picked].astype(np.uint8), told[picked].astype(np.uint32))
