"""The join of one source partition: its state of predictions and their feedback.

The state is a function of two prefixes, the predictions and the feedback read so far, however their reading was
interleaved. For each model version the first prediction of an id wins. The last feedback of an id wins for every
version that has it. A pair is counted once both are there. So a replay from any saved state ends in the same counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.core.config.monitoring import DefaultTruth, Windows
from app.core.join.id_index import Ids
from app.core.join.pending_rows import PendingRows
from app.core.panes.changes import PaneChanges
from app.core.panes.inputs import InputCounter, Scalar, Values
from app.core.panes.labels import label_codes, truths_of
from app.core.panes.outcomes import OutcomeLayout, outcome_layout
from app.core.panes.pane import Pane
from app.core.panes.stacked import Stacked
from app.core.panes.sums import PaneKey, PaneShape, PaneSums
from app.core.panes.unknown_labels import unknown_names
from app.core.reference.layout import Floats, Layout, layout_of
from app.core.reference.profile import Profile

MICROSECONDS = 1_000_000
NEVER = -(1 << 62)
"""A time before all times, in microseconds."""
_EVERY, _NONE = 0, -1


class CompiledModel:
    """A registered model version, compiled for the join. Times in microseconds."""

    def __init__(self, profile: Profile, windows: Windows, silence: DefaultTruth | None = None) -> None:
        """Compile a profile. `silence`: its default truth. Raises ValueError where this is no truth of the model."""
        self.profile = profile
        self.windows = windows
        self.default = silence
        self.layout: Layout = layout_of(profile)
        self.outcomes: OutcomeLayout = outcome_layout(profile)
        self.counter = InputCounter(self.layout)
        limbs = self.outcomes.limbs.stop - self.outcomes.limbs.start
        self.input_shape = PaneShape(self.layout.size, self.layout.sums)
        self.outcome_shape = PaneShape(self.outcomes.size, self.outcomes.sums, limbs)
        self.pane = round(windows.pane * MICROSECONDS)
        self.lateness = round(windows.most_late * MICROSECONDS)
        self.retention = round(windows.retention * MICROSECONDS)
        self.ahead = round(windows.ahead * MICROSECONDS)
        self.patience = round(windows.patience * MICROSECONDS)
        self.labels = {label: code for code, label in enumerate(profile.labels)}
        self.silence = 0 if silence is None else round(silence.after * MICROSECONDS)
        self.default_truth = None if silence is None else self._code_of(silence.value)

    def _code_of(self, value: Scalar) -> float:
        codes, unknown = self.actuals_of([value])
        if unknown or not np.isfinite(codes[0]) or (self.outcomes.k and codes[0] < 0):
            known = f"is none of the labels {', '.join(self.labels)}" if self.outcomes.k else "is no number"
            raise ValueError(f"performance.default_truth.value: {value!r} {known}")
        return float(codes[0])

    def actuals_of(self, actuals: Sequence[Scalar]) -> tuple[Floats, dict[int, str]]:
        """Return truths as numbers (label codes, or values), and the spelling of the unknown labels by their codes."""
        reading = self.profile.prediction.reading
        if self.outcomes.k == 0:
            return truths_of(actuals, reading), {}
        codes, unknown = label_codes(self.labels, actuals, reading)
        return codes.astype(np.float64), unknown


@dataclass(frozen=True, slots=True)
class PredictionBatch:
    """A batch's predictions in offset order: ids (n x 2), model numbers, times in microseconds.

    `believed` is how far each row may move its model's event time: no further than the broker's own time for the
    record, whatever the producer's clock shows (None: as far as its time). `columns[m]` are the values of model m's
    rows alone, column by column in its layout's order. `unknown[m]` names its unknown features, as (row among all n,
    name). `away` rows belong to another partition: they move the time, and are not counted. `rekeyed` rows have come
    from another partition, where it was decided that they are not late.
    """

    ids: Ids
    model: NDArray[np.int16]
    time: NDArray[np.int64]
    columns: dict[int, Sequence[Values]]
    unknown: dict[int, Sequence[tuple[int, str]]] = field(default_factory=dict)
    believed: NDArray[np.int64] | None = None
    away: NDArray[np.bool_] | None = None
    rekeyed: NDArray[np.bool_] | None = None


@dataclass(frozen=True, slots=True)
class FeedbackBatch:
    """A batch's feedback in offset order; `time` in microseconds, NEVER where none was given.

    `models`: the model that each is limited to, empty where it is for every model. None: none is limited.
    """

    ids: Ids
    actual: Sequence[Scalar]
    time: NDArray[np.int64]
    models: Sequence[str] | None = None


@dataclass(slots=True)
class Tally:
    """Totals of one model version in one source partition.

    `recorded`: the broker time of its newest record, in microseconds. At the broker time `marked` its event time was
    `mark`: older rows are dropped when this is `Windows.patience` ago, wherever event time is by then. `too_late`:
    truth that came after the retention, as far as it is known to be this model's.
    """

    predictions: int = 0
    feedback: int = 0
    duplicates: int = 0
    late: int = 0
    expired: int = 0
    event_time: int = NEVER
    swept: int = NEVER
    recorded: int = NEVER
    marked: int = NEVER
    mark: int = NEVER
    too_late: int = 0


class TruthOf(NamedTuple):
    """Feedback and its time. `model`: the model that it is limited to, empty where it is for every model."""

    actual: Scalar
    time: int
    model: str = ""


Waiting = tuple[TruthOf, ...]
"""Feedback that may yet be the last in time of its prediction, in offset order: times ascend for each model."""


@dataclass(frozen=True, slots=True)
class Joined:
    """Truth that was written to rows, in the form of `PendingRows`."""

    ordinals: NDArray[np.uint32]
    actuals: Floats
    kinds: NDArray[np.uint8]
    told: NDArray[np.uint32]


class JoinState:
    """The join's state of one source partition. Not thread-safe; the agent calls it batch by batch."""

    def __init__(self, watched: Sequence[CompiledModel]) -> None:
        self.watched = watched
        self.stacked = Stacked()
        self.rows = PendingRows()
        self.tallies: dict[int, Tally] = {}
        self.came: dict[int, int] = {}
        """By model, the predictions of the batch that were counted, or came again."""
        self.saved_tallies: dict[int, Tally] = {}
        """The tallies as in the deltas that are kept."""
        self.inputs = PaneSums(self._input_shape)
        self.outcomes = PaneSums(self._outcome_shape)
        self.new_inputs = PaneChanges(self._input_shape)
        self.new_outcomes = PaneChanges(self._outcome_shape)
        self.waiting: dict[bytes, Waiting] = {}
        self.kept: dict[bytes, Waiting] = {}
        """Feedback of ids that have predictions, where their rows alone do not represent it: for later versions."""
        self.expired_feedback = 0
        self.feedback_time = NEVER
        self.joined_since: list[Joined] = []
        self.waiting_since: dict[bytes, Waiting | None] = {}
        self.kept_since: dict[bytes, Waiting | None] = {}
        self._scopes = np.empty(0, np.int16)
        self.unknown_labels: dict[int, dict[int, str]] = {}
        """By model, the spelling of each code for a label that its reference does not have."""
        self.unknown_since: list[tuple[int, int, str]] = []
        self.rekeyed: dict[str, int] = {}
        """For each topic and partition that records were re-keyed from (`0/3`), the newest offset that has come."""
        self.settled: dict[int, int] = {}
        """By model, the newest pane of inputs up to which all are dropped."""
        self.silent_until: tuple[bytes, int] | None = None
        """The state up to which silence has become a truth (see `app.core.join.default_truths`)."""
        self.reaching_back: set[int] = set()
        """Models whose panes of inputs are kept for the retention: re-keyed records may come late by as much."""

    def scopes_of(self, models: NDArray[np.int16]) -> NDArray[np.int16]:
        """Return the scope in which ids are unique: the first number of the same model and version.

        A row whose profile is not watched any more has -2 less the scope for its number, or -1 where none is known.
        """
        if len(self._scopes) != len(self.watched):
            first: dict[tuple[str, str], int] = {}
            named = [(w.profile.model, w.profile.model_version) for w in self.watched]
            self._scopes = np.array([first.setdefault(name, i) for i, name in enumerate(named)], np.int16)
        return np.where(models >= 0, self._scopes[np.maximum(models, 0)], -2 - models).astype(np.int16)

    def are_of(self, rows: NDArray[np.int32], models: Sequence[str]) -> NDArray[np.bool_]:
        """Return whether each row is of the model that is named; an empty name is every model."""
        if not (rows >= 0).any():
            return np.ones(len(rows), np.bool_)
        codes: dict[str, int] = {"": _EVERY}
        by_number = [codes.setdefault(watched.profile.model, len(codes)) for watched in self.watched]
        of_row = np.array([*by_number, _NONE], np.int64)  # the last is for rows whose model is not known any more
        number = self.rows["model"][np.maximum(rows, 0)].astype(np.int64)
        number = np.where(number >= 0, number, -2 - number)
        wanted = np.array([codes.get(name, _NONE - 1) for name in models], np.int64)
        found: NDArray[np.bool_] = (wanted == _EVERY) | (wanted == of_row[number])
        return found

    def stacked_models(self) -> Stacked:
        """Return the stacked columns of all models."""
        self.stacked.include([watched.counter for watched in self.watched[len(self.stacked) :]])
        return self.stacked

    def learn(self, model: int, unknown: Mapping[int, str]) -> None:
        """Store the spelling of unknown labels; the first spelling of a code stays."""
        known = self.unknown_labels.setdefault(model, {})
        for code, name in unknown.items():
            if code not in known:
                known[code] = name
                self.unknown_since.append((model, code, name))

    def tally(self, model: int) -> Tally:
        """Return the totals of one model version."""
        found = self.tallies.get(model)
        if found is None:
            found = self.tallies[model] = Tally()
        return found

    @property
    def event_times(self) -> dict[int, int]:
        """Return the newest event time of each model, in microseconds; NEVER where there is none."""
        return {model: tally.event_time for model, tally in self.tallies.items()}

    def _input_shape(self, model: int) -> PaneShape:
        return self.watched[model].input_shape

    def _outcome_shape(self, model: int) -> PaneShape:
        return self.watched[model].outcome_shape

    def named(self, totals: dict[PaneKey, Pane]) -> dict[PaneKey, Pane]:
        """Return totals of outcomes with the names of their unknown labels."""
        if not totals:
            return totals
        lengths = [len(total.indices) for total in totals.values()]
        starts = [self.watched[model].outcomes.starts for model, _ in totals]
        first = np.repeat([start.unknown_actual for start in starts], lengths)
        last = np.repeat([start.unknown_right for start in starts], lengths)
        indices = np.concatenate([total.indices for total in totals.values()])
        unknown = np.flatnonzero((indices >= first) & (indices < last))
        keys = list(totals)
        for i in np.unique(np.searchsorted(np.cumsum(lengths), unknown, side="right")).tolist():
            key, total = keys[i], totals[keys[i]]
            spelled = self.unknown_labels.get(key[0], {})
            totals[key] = replace(total, names=unknown_names(self.watched[key[0]].outcomes, total, spelled))
        return totals
