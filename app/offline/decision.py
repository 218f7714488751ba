"""The stream's decision for two tables: drift and performance of one against the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from app.core.config.monitoring import Monitoring
from app.core.evaluation.decision import drift_decision, performance_decision
from app.core.evaluation.results import DriftDecision, PerformanceDecision
from app.core.join.state import MICROSECONDS, NEVER
from app.core.panes.inputs import CountedRows, InputCounter, Scalar, input_pane
from app.core.panes.labels import label_codes, truths_of
from app.core.panes.outcomes import OutcomeLayout, outcome_layout, outcome_pane
from app.core.panes.pane import Pane, merge
from app.core.panes.unknown_labels import unknown_names
from app.core.reference.layout import Floats, Layout, layout_of
from app.core.reference.profile import ColumnProfile, Profile
from app.core.scales.judging import judge_scales
from app.core.windows.model_windows import ONE_SIDED
from app.registration.hiding import hidden_table, hiding_of
from app.registration.monitoring import MonitoringFile, TableColumns
from app.registration.profiling import Reference, read_reference
from app.registration.roles import USUAL_IDS, USUAL_TARGETS
from app.tables import CellTable, TableError
from app.tables.columns import SHOWN_COLUMNS, Probability
from app.tables.json_cells import class_probabilities, json_cells, judged_probabilities
from app.tables.times import epoch_seconds, unit_of

ANY_KEY = b"driftline check"
UNDATED = (
    "the table has no times (columns.timestamp), so it is not known whose silence is old enough to be a truth "
    "(performance.default_truth)"
)
PIECE = 50_000
"""Number of rows that are counted at a time. The parts are merged as the stream merges its panes."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Drift and performance of one table against its reference.

    `performance` is None where the table has no truth. `reference`: what was read of the reference, where the reference
    was a table.
    """

    drift: DriftDecision
    performance: PerformanceDecision | None
    reference: Reference | None = field(default=None, compare=False)

    @property
    def drifted(self) -> bool:
        """Return whether there is data drift, prediction drift, or degraded performance."""
        degraded = self.performance is not None and self.performance.degraded
        newly = self.drift.scales is not None and self.drift.scales.drifted
        return self.drift.drift_detected or self.drift.prediction_drift or newly or degraded


def decide(reference: pd.DataFrame, current: pd.DataFrame, file: MonitoringFile) -> Decision:
    """Judge a table against a reference. Raises TableError or MonitoringError, which name the column or key.

    Columns that are hidden from Kafka are hidden here too. Hashes use a fixed key, since nothing is stored.
    """
    found = read_reference("offline", "check", reference, file, key=ANY_KEY, others=map(str, current.columns))
    hiding = hiding_of(file.columns, ANY_KEY)
    if hiding is not None:
        current = hidden_table(current, hiding)
    return replace(judge(found.profile, current, file.monitoring, file.columns), reference=found)


def judge(profile: Profile, current: pd.DataFrame, monitoring: Monitoring, columns: TableColumns) -> Decision:
    """Judge a table as one window. The result equals the stream's report of the same rows.

    A feature that the table lacks counts as missing. Columns without a role count as unknown features. Where the
    reference has usual effects, they are those for the time that the table's rows cover.
    """
    layout = layout_of(profile)
    target = _present(current, (columns.target,) if columns.target else USUAL_TARGETS)
    _check_shared(profile, current)
    inputs = pane_of(layout, current, columns)
    inputs.names.update(_unknown(profile, current, columns, target))
    seconds = _covered(current, columns)
    scales = judge_scales(layout, {0: inputs}, 0, monitoring, only=(1,), seconds=None if seconds is None else [seconds])
    drift = replace(drift_decision(layout, inputs, monitoring, seconds), scales=scales)
    if target is None or profile.task == "features":
        return Decision(drift, None)
    outcomes, silence = outcome_layout(profile), monitoring.performance.default_truth
    whole = None if silence is None else _whole(current, columns, monitoring.windows.pane, silence.after)
    if silence is not None and whole is None:
        found = performance_decision(profile, outcomes, layout, inputs, Pane.empty(outcomes.sums), monitoring)
        return Decision(drift, replace(found, reason=UNDATED))
    known = current if whole is None else current[whole]
    pieces = ((piece, [silence is not None or given for given in _given(profile, piece, target)])
              for piece in _pieces(known))  # fmt: skip
    default = None if silence is None else silence.value
    judged = merge(
        (_outcomes(layout, outcomes, CellTable(piece.frame[chosen]), columns, target, default)
         for piece, chosen in pieces), outcomes.size, outcomes.sums,
    )  # fmt: skip
    decision = performance_decision(profile, outcomes, layout, inputs, judged, monitoring)
    if whole is not None and not whole.any():
        decision = replace(decision, reason=ONE_SIDED)
    return Decision(drift, decision)


def _whole(current: pd.DataFrame, columns: TableColumns, pane: float, after: float) -> NDArray[np.bool_] | None:
    """Return which rows are of a pane that ended `after` seconds before the newest row, as a mask.

    For these rows, missing feedback counts as the default truth. Return None where the table has no readable times.
    """
    times = _times(current, columns)
    if times is None:
        return None
    ends = (np.floor(times / pane) + 1.0) * pane
    return np.asarray(np.isfinite(times) & (ends <= np.nanmax(times) - after), np.bool_)


def _covered(current: pd.DataFrame, columns: TableColumns) -> float | None:
    """Return the seconds that the rows of a table cover; None where the table has no readable times."""
    times = _times(current, columns)
    return None if times is None else float(np.nanmax(times) - np.nanmin(times))


def _times(current: pd.DataFrame, columns: TableColumns) -> Floats | None:
    """Return the time of each row in epoch seconds, NaN where a row has none; None where no row has one."""
    name = columns.timestamp or "timestamp"
    if name not in current.columns:
        return None
    try:
        times = epoch_seconds(CellTable(current), name)
    except TableError:
        return None
    known = times[np.isfinite(times)]
    return times * unit_of(known.min(), known.max())[0] if len(known) else None


def _pieces(current: pd.DataFrame) -> Iterator[CellTable]:
    return (CellTable(current.iloc[start : start + PIECE]) for start in range(0, len(current), PIECE))


def _given(profile: Profile, table: CellTable, target: str) -> list[bool]:
    """Return which rows have a truth. An empty cell is no truth."""
    return [cell is not None for cell in json_cells(table.cells(target), profile.prediction, table.decimal)]


def _check_shared(profile: Profile, current: pd.DataFrame) -> None:
    if not any(column.name in current.columns for column in profile.features):
        had = ", ".join(column.name for column in profile.features[:SHOWN_COLUMNS])
        has = ", ".join(map(str, current.columns[:SHOWN_COLUMNS]))
        raise TableError(
            f"the table shares no feature with the reference: it has {has}; the reference has {had}. "
            "Is it another file, or separated otherwise (--separator)?"
        )


def pane_of(layout: Layout, current: pd.DataFrame, columns: TableColumns) -> Pane:
    """Count a table's inputs and outputs as one pane, as the stream counts the same rows."""
    return merge((_inputs(layout, piece, columns) for piece in _pieces(current)), layout.size, layout.sums)


def panes_of(
    layout: Layout, current: pd.DataFrame, times: Floats, pane: float, columns: TableColumns
) -> Iterator[tuple[int, Pane]]:
    """Yield the panes of `pane` seconds of a table, by number. Its rows are sorted by `times` (epoch seconds).

    The panes count inputs and outputs as the stream's panes do. A part of the table that ends within a pane does not
    divide the pane.
    """
    numbers = np.rint(times * MICROSECONDS).astype(np.int64) // round(pane * MICROSECONDS)
    start = 0
    while start < len(numbers):
        end = int(np.searchsorted(numbers, numbers[min(start + PIECE, len(numbers)) - 1], side="right"))
        counted = _counted(layout, CellTable(current.iloc[start:end]), columns)
        first = np.flatnonzero(np.diff(numbers[start:end], prepend=numbers[start] - 1))
        for low, high in zip(first, [*first[1:], end - start], strict=True):
            indices, counts = np.unique(counted.slots[low:high].ravel(), return_counts=True)
            names = counted.names(np.arange(low, high)) if counted.unseen else {}
            sums = counted.sums[low:high].sum(axis=0)
            yield int(numbers[start + low]), Pane(int(high - low), indices, counts.astype(np.int64), sums, names)
        start = end


def _counted(layout: Layout, table: CellTable, columns: TableColumns) -> CountedRows:
    nothing: list[Scalar] = [None] * len(table)
    named = [slots.column for slots in layout.features]
    features = [_values(table, column) if column.name in table else nothing for column in named]
    prediction, probability = _outputs(layout.profile, table, columns)
    outputs = [prediction] if layout.probability is None else [prediction, probability]
    return InputCounter(layout).count([*features, *outputs])


def _inputs(layout: Layout, table: CellTable, columns: TableColumns) -> Pane:
    named = (slots.column for slots in layout.features)
    features = {column.name: _values(table, column) for column in named if column.name in table}
    return input_pane(layout, features, *_outputs(layout.profile, table, columns))


def _values(table: CellTable, column: ColumnProfile) -> Sequence[Scalar]:
    """Return a column's cells as the stream receives them: numbers, names of categories, and texts that are neither."""
    return json_cells(table.cells(column.name), column, table.decimal)


def _outputs(profile: Profile, table: CellTable, columns: TableColumns) -> tuple[Sequence[Scalar], Sequence[Scalar]]:
    """Return the predictions, and the probabilities of the evaluated class."""
    nothing: list[Scalar] = [None] * len(table)
    name = columns.prediction or "prediction"
    known = profile.task != "features" and name in table
    told = json_cells(table.cells(name), profile.prediction, table.decimal) if known else nothing
    given = None if profile.probability is None else _probabilities(table, columns)
    return told, nothing if given is None else judged_probabilities(profile, told, given)


def _probabilities(table: CellTable, columns: TableColumns) -> Sequence[Probability | None] | None:
    if columns.probabilities:
        named = {label: name for label, name in columns.probabilities.items() if name in table}
        return class_probabilities(table, named) if named else None
    name = columns.probability or "probability"
    return table.probabilities(name) if name in table else None


def _outcomes(
    layout: Layout,
    outcomes: OutcomeLayout,
    table: CellTable,
    columns: TableColumns,
    target: str,
    default: Scalar = None,
) -> Pane:
    """Return the pane of the rows that have a truth. `default`: the truth of the rows without one."""
    nothing: list[Scalar] = [None] * len(table)
    profile = layout.profile
    prediction, probability = _outputs(profile, table, columns)
    outputs = [prediction] if layout.probability is None else [prediction, probability]
    counted = InputCounter(layout).count([*[nothing] * len(layout.features), *outputs])
    predicted, value, spelled = counted.labels_and_values(layout)
    actual = json_cells(table.cells(target), profile.prediction, table.decimal)
    truth, unknown = _truth(profile, [default if cell is None else cell for cell in actual])
    pane = outcome_pane(outcomes, predicted.astype(np.int64), value, truth)
    return replace(pane, names=unknown_names(outcomes, pane, spelled | unknown))


def _truth(profile: Profile, actual: Sequence[Scalar]) -> tuple[Floats, dict[int, str]]:
    """Return label codes and the spelling of unknown labels by row, or the values of a regression."""
    reading = profile.prediction.reading
    if profile.task == "regression":
        return truths_of(actual, reading), {}
    codes, unknown = label_codes({label: code for code, label in enumerate(profile.labels)}, actual, reading)
    return codes.astype(np.float64), unknown


def _unknown(
    profile: Profile, current: pd.DataFrame, columns: TableColumns, target: str | None
) -> dict[str, dict[str, int]]:
    """Return for each column without a role how many rows have a value."""
    known = {
        *(column.name for column in profile.features), *columns.ignore, *profile.ignored,
        columns.prediction or "prediction", *columns.probabilities.values(), columns.probability or "probability",
        columns.timestamp or "timestamp", target, *((columns.id,) if columns.id else USUAL_IDS),
    }  # fmt: skip
    counts = {
        name: int((current[name].notna() & (current[name] != "")).sum())
        for name in current.columns
        if name not in known
    }
    return {"": {name: count for name, count in counts.items() if count}} if any(counts.values()) else {}


def _present(frame: pd.DataFrame, names: Sequence[str]) -> str | None:
    return next((name for name in names if name in frame.columns), None)


def windows(frame: pd.DataFrame, times: Floats, monitoring: Monitoring) -> Iterator[tuple[float, pd.DataFrame]]:
    """Yield each window of a table whose rows are sorted by `times` (epoch seconds): its end, and its rows.

    A window ends with each pane from which it still has a row. So no window is empty, as in the stream.
    """
    size, count = round(monitoring.windows.pane * MICROSECONDS), monitoring.windows.panes
    micros = np.rint(times * MICROSECONDS).astype(np.int64)
    judged = NEVER
    for pane in np.unique(micros // size).tolist():
        for last in range(max(pane, judged + 1), pane + count):
            low, high = np.searchsorted(micros, [(last + 1 - count) * size, (last + 1) * size], side="left")
            yield (last + 1) * size / MICROSECONDS, frame.iloc[low:high]
        judged = pane + count - 1
