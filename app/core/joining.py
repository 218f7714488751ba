"""The join of one source partition: predictions and feedback by id, counted into panes.

The state is a function of two prefixes, the predictions and the feedback read so far, however their reading
was interleaved: the first prediction of an id wins, the last feedback wins, a pair is counted once both are
there. So a replay from any saved state ends in the same counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from app.core.config import Windows
from app.core.counting import Counter, Scalar
from app.core.id_index import Ids
from app.core.join_rows import NewRows, PendingRows
from app.core.layout import Floats, Layout, layout_of
from app.core.outcome import OutcomeLayout, outcome_layout, outcome_slots
from app.core.pane import Names
from app.core.pane_buffer import PaneBuffer, by_group
from app.core.profile import Profile, category_of

MICROSECONDS = 1_000_000
NEVER = -(1 << 62)
"""A time before all times, in microseconds."""


class Watched:
    """A registered model version, compiled for the join. Times in microseconds."""

    def __init__(self, profile: Profile, windows: Windows) -> None:
        self.profile = profile
        self.windows = windows
        self.layout: Layout = layout_of(profile)
        self.outcomes: OutcomeLayout = outcome_layout(profile)
        self.counter = Counter(self.layout)
        self.pane = round(windows.pane * MICROSECONDS)
        self.lateness = round(windows.most_late * MICROSECONDS)
        self.retention = round(windows.retention * MICROSECONDS)
        self.labels = {label: code for code, label in enumerate(profile.labels)}

    def actual_of(self, actual: Scalar) -> float:
        """The truth as a number: the label's code, or the value; NaN where it is neither."""
        if self.labels:
            return float(self.labels.get(category_of(actual), np.nan)) if actual is not None else np.nan
        return float(actual) if isinstance(actual, float) else np.nan


@dataclass(frozen=True, slots=True)
class PredictionBatch:
    """A run's predictions in offset order: ids (n x 2), model numbers, times in microseconds.

    `columns[m]` are the values of model m's rows alone, column by column in its layout's order;
    `unknown[m]` names its unknown features, as (row among all n, name).
    """

    ids: Ids
    model: NDArray[np.int16]
    time: NDArray[np.int64]
    columns: dict[int, Sequence[Sequence[Scalar]]]
    unknown: dict[int, Sequence[tuple[int, str]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FeedbackBatch:
    """A run's feedback in offset order; `time` in microseconds, NEVER where none was given."""

    ids: Ids
    actual: Sequence[Scalar]
    time: NDArray[np.int64]


@dataclass(slots=True)
class Tally:
    """Totals of one model version in one source partition."""

    predictions: int = 0
    feedback: int = 0
    duplicates: int = 0
    late: int = 0
    expired: int = 0
    event_time: int = NEVER
    swept: int = NEVER


PaneKey = tuple[int, int]
"""Model number, pane number."""


class JoinState:
    """Everything one source partition remembers. Not thread-safe; the agent calls it run by run."""

    def __init__(self, watched: Sequence[Watched]) -> None:
        self.watched = watched
        self.rows = PendingRows()
        self.tallies: dict[int, Tally] = {}
        self.inputs: dict[PaneKey, PaneBuffer] = {}
        self.outcomes: dict[PaneKey, PaneBuffer] = {}
        self.waiting: dict[bytes, tuple[Scalar, int]] = {}
        self.expired_feedback = 0
        self.feedback_time = NEVER
        self.joined_since: list[tuple[NDArray[np.uint32], Floats]] = []
        self.waiting_since: dict[bytes, tuple[Scalar, int] | None] = {}

    def tally(self, model: int) -> Tally:
        """The totals of one model version."""
        return self.tallies.setdefault(model, Tally())

    # Predictions

    def predictions(self, batch: PredictionBatch) -> NDArray[np.intp]:
        """Count a run of predictions; answers the rows that came too late and were left out."""
        if not len(batch.ids):
            return np.empty(0, np.intp)
        pane, late = self._placed(batch)
        timely = np.flatnonzero(~late)
        fresh = timely[self._fresh(batch.ids[timely])]
        self._count_duplicates(batch.model, timely, fresh)
        labels, values = np.full(len(pane), -1, np.int16), np.full(len(pane), np.nan)
        for model, rows in by_group(batch.model.astype(np.int32)):
            self._count_inputs(batch, model, rows, np.isin(rows, fresh), pane, labels, values)
        new = NewRows(batch.ids[fresh], batch.model[fresh], pane[fresh], labels[fresh], values[fresh])
        added = self.rows.add(new)
        if self.waiting:
            self._join_waiting(new, added)
        return np.flatnonzero(late)

    def _placed(self, batch: PredictionBatch) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
        """Each row's pane, and whether it is too late: by the newest time before it, so by offsets alone."""
        pane = np.empty(len(batch.ids), np.int32)
        late = np.zeros(len(batch.ids), np.bool_)
        for model, rows in by_group(batch.model.astype(np.int32)):
            watched, tally = self.watched[model], self.tally(model)
            time = batch.time[rows]
            newest = np.maximum.accumulate(np.maximum(time, tally.event_time))
            number = time // watched.pane
            pane[rows] = number
            late[rows] = (number + 1) * watched.pane + watched.lateness <= newest
            tally.event_time = int(newest[-1])
            tally.late += int(late[rows].sum())
        return pane, late

    def _fresh(self, ids: Ids) -> NDArray[np.intp]:
        """Positions of the ids that are new, each id's first only."""
        new = np.flatnonzero(self.rows.find(ids) < 0)
        low = ids[new, 1]
        if len(np.unique(low)) == len(low):
            return new
        first: dict[bytes, int] = {}
        raw = np.ascontiguousarray(ids[new]).tobytes()
        for i in range(len(new)):
            first.setdefault(raw[16 * i : 16 * i + 16], i)
        return new[np.fromiter(first.values(), np.intp, len(first))]

    def _count_duplicates(self, model: NDArray[np.int16], timely: NDArray[np.intp], fresh: NDArray[np.intp]) -> None:
        for number, rows in by_group(model[timely].astype(np.int32)):
            kept = int((model[fresh] == number).sum())
            tally = self.tally(number)
            tally.predictions += kept
            tally.duplicates += len(rows) - kept

    def _count_inputs(
        self,
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
        watched = self.watched[model]
        columns = batch.columns[model]
        if not kept.all():
            positions = np.flatnonzero(kept).tolist()
            columns = [[column[i] for i in positions] for column in columns]
        rows = rows[kept]
        counted = watched.counter.count(columns)
        labels[rows], values[rows] = counted.labels_and_values(watched.layout)
        unknown = _unknown_names(batch.unknown.get(model, ()), rows)
        for number, picked in by_group(pane[rows]):
            whole = len(picked) == len(rows)
            buffer = self.input_pane((model, number))
            names = counted.names(None if whole else picked)
            tally: dict[str, int] = {}
            for i in picked.tolist() if unknown else ():
                for name in unknown.get(i, ()):
                    tally[name] = tally.get(name, 0) + 1
            if tally:
                names[""] = tally
            buffer.add(counted.slots if whole else counted.slots[picked], counted.sums[picked], names)

    def input_pane(self, key: PaneKey) -> PaneBuffer:
        """The pane of inputs, made when first asked for."""
        buffer = self.inputs.get(key)
        if buffer is None:
            layout = self.watched[key[0]].layout
            buffer = self.inputs[key] = PaneBuffer(layout.size, layout.sums)
        return buffer

    def outcome_pane(self, key: PaneKey) -> PaneBuffer:
        """The pane of outcomes, made when first asked for."""
        buffer = self.outcomes.get(key)
        if buffer is None:
            layout = self.watched[key[0]].outcomes
            buffer = self.outcomes[key] = PaneBuffer(layout.size, layout.sums)
        return buffer

    # Feedback

    def feedback(self, batch: FeedbackBatch) -> None:
        """Join a run of feedback: count it, correct what it replaces, or keep it waiting."""
        if not len(batch.ids):
            return
        self.feedback_time = max(self.feedback_time, int(batch.time.max()))
        found = self.rows.find(batch.ids)
        self._wait(batch, np.flatnonzero(found < 0))
        known = np.flatnonzero(found >= 0)
        known = known[self._in_time(found[known], batch.time[known])]
        rows = found[known]
        last = {row: i for i, row in enumerate(rows.tolist())}  # the last of a row wins
        picked = np.fromiter(last.values(), np.intp, len(last))
        self._join(rows[picked], [batch.actual[i] for i in known[picked].tolist()])

    def _wait(self, batch: FeedbackBatch, positions: NDArray[np.intp]) -> None:
        for i in positions.tolist():
            key = batch.ids[i].tobytes()
            self.waiting[key] = self.waiting_since[key] = (batch.actual[i], int(batch.time[i]))

    def _in_time(self, rows: NDArray[np.int32], time: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether feedback came within the retention of its prediction's pane; the rest is counted as expired."""
        model, pane = self.rows["model"][rows], self.rows["pane"][rows].astype(np.int64)
        size = np.array([w.pane for w in self.watched], np.int64)[model]
        retention = np.array([w.retention for w in self.watched], np.int64)[model]
        expired: NDArray[np.bool_] = time > (pane + 1) * size + retention
        self.expired_feedback += int(expired.sum())
        return ~expired

    def _join_waiting(self, new: NewRows, rows: NDArray[np.int32]) -> None:
        raw = np.ascontiguousarray(new.ids).tobytes()
        found: list[tuple[int, Scalar, int]] = []
        for i in range(len(rows)):
            key = raw[16 * i : 16 * i + 16]
            waited = self.waiting.pop(key, None)
            if waited is not None:
                found.append((i, *waited))
                self.waiting_since[key] = None
        if not found:
            return
        picked = rows[[i for i, _, _ in found]]
        in_time = self._in_time(picked, np.array([time for _, _, time in found], np.int64))
        self._join(picked[in_time], [a for (_, a, _), ok in zip(found, in_time, strict=True) if ok])

    def _join(self, rows: NDArray[np.int32], actual: Sequence[Scalar]) -> None:
        """Write the truth of distinct rows and count it; what it replaces is taken back."""
        watched_rows = self.rows["model"][rows] >= 0  # a profile may be gone since the prediction
        if not watched_rows.all():
            actual = [a for a, kept in zip(actual, watched_rows, strict=True) if kept]
            rows = rows[watched_rows]
        if not len(rows):
            return
        model = self.rows["model"][rows].astype(np.int32)
        truth = np.empty(len(rows))
        for number, picked in by_group(model):
            watched = self.watched[number]
            truth[picked] = [watched.actual_of(actual[i]) for i in picked.tolist()]
        self._write_truth(rows, truth)
        self.joined_since.append((self.rows["ordinal"][rows].astype(np.uint32), truth))

    def _write_truth(self, rows: NDArray[np.int32], truth: Floats) -> None:
        had = self.rows["joined"][rows].astype(np.bool_)
        before = self.rows["actual"][rows].astype(np.float64)
        self.rows.join(rows, truth)
        same = had & ((before == truth) | (np.isnan(before) & np.isnan(truth)))
        for model, picked in by_group(self.rows["model"][rows].astype(np.int32)):
            self.tally(model).feedback += int((~had[picked]).sum())
        self._count_outcomes(rows[~same], truth[~same], +1)
        replaced = had & ~same
        self._count_outcomes(rows[replaced], before[replaced], -1)

    def _count_outcomes(self, rows: NDArray[np.int32], truth: Floats, sign: int) -> None:
        model = self.rows["model"][rows].astype(np.int32)
        for number, picked in by_group(model):
            of_model = rows[picked]
            found, sums = outcome_slots(
                self.watched[number].outcomes,
                self.rows["label"][of_model].astype(np.int64),
                self.rows["value"][of_model].astype(np.float64),
                truth[picked],
            )
            slots = found.astype(np.int32)
            for pane, part in by_group(self.rows["pane"][of_model].astype(np.int32)):
                buffer = self.outcome_pane((number, pane))
                count = buffer.add if sign > 0 else buffer.subtract
                count(slots[part], sums[part])


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


__all__ = ["FeedbackBatch", "JoinState", "Names", "PredictionBatch", "Tally", "Watched"]
