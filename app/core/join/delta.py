"""Changes of a join between two checkpoints: taking, packing and restoring them.

A delta leads from one pair of source offsets to the next. Applied in order, deltas rebuild the state, so the
changelog holds each prediction once however often its pane is published.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.core.join import truths
from app.core.join.pending_rows import NewRows
from app.core.join.state import CompiledModel, JoinState, Tally, Waiting
from app.core.panes.grouping import few_together
from app.core.panes.packing import ascending_of, pack, pack_each, steps_of, unpack, unpack_each
from app.core.panes.pane import Names, Pane
from app.core.panes.sums import PaneKey

_ROW_COLUMNS = {"model": np.int16, "pane": np.int32, "label": np.int16, "value": np.float64}


@dataclass(frozen=True, slots=True)
class PaneDelta:
    """Counts that were added to one pane. `model` is the number within the delta's own `models`."""

    model: int
    pane: int
    n: int
    indices: bytes
    counts: bytes
    sums: bytes
    names: Names

    @staticmethod
    def of_each(panes: Mapping[PaneKey, Pane], numbers: Mapping[int, int]) -> list[PaneDelta]:
        """Pack panes. `numbers`: each model's number within the delta."""
        every = list(panes.items())
        lengths = [len(pane.indices) for pane in panes.values()]
        return [packed for few in few_together(lengths) for packed in PaneDelta._of_few(every[few], numbers)]

    @staticmethod
    def _of_few(panes: Sequence[tuple[PaneKey, Pane]], numbers: Mapping[int, int]) -> list[PaneDelta]:
        lengths = np.fromiter((len(pane.indices) for _, pane in panes), np.int64, len(panes))
        sums = np.fromiter((len(pane.sums) for _, pane in panes), np.int64, len(panes))
        indices = np.concatenate([pane.indices for _, pane in panes])
        packed = zip(
            pack_each(steps_of(indices, lengths), lengths),
            pack_each(np.concatenate([pane.counts for _, pane in panes]), lengths),
            pack_each(np.concatenate([pane.sums for _, pane in panes]), sums),
            strict=True,
        )
        return [
            PaneDelta(numbers[model], number, pane.n, steps, counts, sums, pane.names)
            for ((model, number), pane), (steps, counts, sums) in zip(panes, packed, strict=True)
        ]

    @staticmethod
    def unpack_each(packed: Sequence[PaneDelta]) -> list[Pane]:
        """Return the panes that `of_each` packed."""
        if not packed:
            return []
        steps, lengths = unpack_each([one.indices for one in packed])
        counts, _ = unpack_each([one.counts for one in packed])
        sums, widths = unpack_each([one.sums for one in packed])
        indices = ascending_of(steps, lengths).astype(np.int32)
        ends, last = np.cumsum(lengths), np.cumsum(widths)
        places = zip((ends - lengths).tolist(), ends.tolist(), (last - widths).tolist(), last.tolist(), strict=True)
        return [
            Pane(one.n, indices[start:end], counts[start:end], sums[first:until], one.names)
            for one, (start, end, first, until) in zip(packed, places, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class JoinDelta:
    """Changes of one source partition between two checkpoints.

    `from_offsets` and `to_offsets` are the next offsets to read of predictions and feedback. `models` names the model
    versions that occur by the numbers used inside, as (model, version, profile). `tallies` are those that have
    changed. `waiting`: by id (16 bytes), the feedback that waits since then; None where it does not wait any more.

    `epoch` numbers the recovery after which the delta was written: the next recovery's number is higher, whatever the
    clock shows. `unknown_labels`: the spelling of each label that the reference does not have, as (model, code,
    spelling), each once. `rekeyed`: as in `JoinState`. `kept`: like `waiting`, for ids that have predictions. Earlier
    releases did not write `kept`, `joined_kinds` and `joined_told`.
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
    """Return the changes of the state since the last checkpoint, and start anew. `since`: the ordinal to begin at."""
    rows = state.rows
    start = len(rows) - (rows.next_ordinal - since)
    joined = state.joined_since
    inputs, outcomes = state.new_inputs.take(), state.new_outcomes.take()
    tallies = _changed_tallies(state)
    model = rows["model"][start:]
    used = {*np.unique(model).tolist(), *tallies, *(one[0] for one in (*inputs, *outcomes, *state.unknown_since))}
    numbers = {number: i for i, number in enumerate(sorted(used))}
    renumbered = np.searchsorted(list(numbers), model).astype(np.int16)
    delta = JoinDelta(
        from_offsets=from_offsets,
        to_offsets=to_offsets,
        models=[_named(state.watched[number]) for number in numbers],
        first_ordinal=since,
        ids=np.column_stack([rows["high"][start:], rows["low"][start:]]).astype("<u8").tobytes(),
        rows={name: pack(renumbered if name == "model" else rows[name][start:]) for name in _ROW_COLUMNS},
        joined_ordinals=pack(_joined([one.ordinals for one in joined])),
        joined_actuals=pack(_joined([one.actuals for one in joined])),
        joined_kinds=pack(_joined([one.kinds for one in joined])),
        joined_told=pack(_joined([one.told for one in joined])),
        kept=state.kept_since,
        waiting=state.waiting_since,
        inputs=PaneDelta.of_each(inputs, numbers),
        outcomes=PaneDelta.of_each(outcomes, numbers),
        tallies={numbers[number]: tally for number, tally in tallies.items()},
        expired_feedback=state.expired_feedback,
        feedback_time=state.feedback_time,
        unknown_labels=[(numbers[number], code, name) for number, code, name in state.unknown_since],
        rekeyed=state.rekeyed,
    )
    state.joined_since = []
    state.waiting_since = {}
    state.kept_since = {}
    state.unknown_since = []
    return Checkpoint(
        delta,
        state.inputs.add(inputs),
        state.named(state.outcomes.add(outcomes)),
    )


def _named(watched: CompiledModel) -> tuple[str, str, str]:
    return watched.profile.model, watched.profile.model_version, watched.profile.profile_id


def numbers_of(state: JoinState) -> dict[tuple[str, str, str], int]:
    """Return the number of each watched (model, version, profile)."""
    return {_named(watched): number for number, watched in enumerate(state.watched)}


def _changed_tallies(state: JoinState) -> dict[int, Tally]:
    """Return the tallies that differ from those in the deltas, and mark them as saved."""
    saved = state.saved_tallies
    changed = {model: replace(tally) for model, tally in state.tallies.items() if saved.get(model) != tally}
    saved.update(changed)
    return changed


def totals_of(state: JoinState) -> tuple[Mapping[PaneKey, Pane], Mapping[PaneKey, Pane]]:
    """Return every pane's total, of inputs and of outcomes, as published."""
    inputs = {key: state.inputs[key] for key in state.inputs}
    return inputs, state.named({key: state.outcomes[key] for key in state.outcomes})


def _joined(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return np.concatenate(parts) if parts else np.empty(0)


def columns_of(delta: JoinDelta) -> dict[str, NDArray[Any]]:
    """Return the new predictions of a delta, column by column."""
    return {name: unpack(delta.rows[name]).astype(kind, copy=False) for name, kind in _ROW_COLUMNS.items()}


def restore(state: JoinState, delta: JoinDelta) -> None:
    """Apply a delta to the state that it follows. Parts of profiles that are not watched any more are left out."""
    number = _numbers(state, delta)
    _restore_rows(state, delta, number)
    _restore_truth(state, delta)
    for deltas, panes in ((delta.inputs, state.inputs), (delta.outcomes, state.outcomes)):
        wanted = [packed for packed in deltas if number[packed.model] >= 0]
        for packed, pane in zip(wanted, PaneDelta.unpack_each(wanted), strict=True):
            panes.restore((int(number[packed.model]), packed.pane), pane)
    for model, tally in delta.tallies.items():
        if number[model] >= 0:
            state.tallies[int(number[model])] = tally
            state.saved_tallies[int(number[model])] = replace(tally)
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
    """Add the counts of a saved delta to the inputs of some panes of a model."""
    named = _named(state.watched[model])
    wanted = [one for one in delta.inputs if one.pane in panes and delta.models[one.model] == named]
    for packed, pane in zip(wanted, PaneDelta.unpack_each(wanted), strict=True):
        state.inputs.restore((model, packed.pane), pane)


def _restore_rows(state: JoinState, delta: JoinDelta, number: NDArray[np.int16]) -> None:
    columns = columns_of(delta)
    ids = np.frombuffer(delta.ids, "<u8").reshape(-1, 2).astype(np.uint64)
    state.rows.next_ordinal = delta.first_ordinal
    if len(ids):
        model = number[columns["model"]]
        new = NewRows(ids, model, columns["pane"], columns["label"], columns["value"])
        state.rows.add(new, shared=True)


def _numbers(state: JoinState, delta: JoinDelta) -> NDArray[np.int16]:
    """Return the number of each model of a delta; for those that are not watched any more see `JoinState.scopes_of`."""
    numbers = numbers_of(state)
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
    else:  # of an earlier release: labels came as texts, and in time
        without = np.array([watched.outcomes.k == 0 for watched in state.watched] or [False], np.bool_)
        kinds = np.full(len(actuals), truths.TEXT)
        kinds[picked[without[np.maximum(state.rows["model"][rows], 0)]]] = truths.NUMBER
        told = np.full(len(actuals), truths.UNTIMED)
    state.rows.join(rows, actuals[picked], kinds[picked].astype(np.uint8), told[picked].astype(np.uint32))
