"""The stream's decision without a stream: two tables in, drift and performance out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from app.core.config import Monitoring
from app.core.counting import Counter, Scalar, input_pane
from app.core.decision import drift_decision, performance_decision
from app.core.findings import DriftDecision, PerformanceDecision
from app.core.joining import MICROSECONDS, NEVER
from app.core.labels import label_codes, truths_of
from app.core.layout import Floats, Layout, layout_of
from app.core.outcome import OutcomeLayout, outcome_layout, outcome_pane
from app.core.pane import Pane, merge
from app.core.profile import Profile
from app.core.unknown_labels import unknown_names
from app.registration import Columns, MonitoringFile, profile_of
from app.registration.roles import USUAL_IDS, USUAL_TARGETS
from app.replay.encode import json_values

PIECE = 50_000
"""Rows counted at a time; the pieces are merged as the stream merges its panes."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What one table means against its reference; `performance` is None without truth in it."""

    drift: DriftDecision
    performance: PerformanceDecision | None

    @property
    def drifted(self) -> bool:
        """Whether anything is to be told: data drift, prediction drift, or degraded performance."""
        degraded = self.performance is not None and self.performance.degraded
        return self.drift.drift_detected or self.drift.prediction_drift or degraded


def decide(reference: pd.DataFrame, current: pd.DataFrame, file: MonitoringFile) -> Decision:
    """Judge a table against a reference. Raises TableError or MonitoringError naming the column or key."""
    return judge(profile_of("offline", "check", reference, file), current, file.monitoring, file.columns)


def judge(profile: Profile, current: pd.DataFrame, monitoring: Monitoring, columns: Columns) -> Decision:
    """Judge a table as one window: equal to the stream's report of the same rows.

    A feature that the table does not have counts as missing; columns without a role as unknown features.
    """
    layout = layout_of(profile)
    target = _present(current, (columns.target,) if columns.target else USUAL_TARGETS)
    pieces = [current.iloc[start : start + PIECE] for start in range(0, len(current), PIECE)]
    inputs = merge((_inputs(layout, piece, columns) for piece in pieces), layout.size, layout.sums)
    inputs.names.update(_unknown(profile, current, columns, target))
    drift = drift_decision(layout, inputs, monitoring)
    if target is None:
        return Decision(drift, None)
    outcomes = outcome_layout(profile)
    judged = merge(
        (_outcomes(layout, outcomes, piece[piece[target].notna()], columns, target) for piece in pieces),
        outcomes.size,
        outcomes.sums,
    )
    return Decision(drift, performance_decision(profile, outcomes, layout, inputs, judged, monitoring))


def _inputs(layout: Layout, rows: pd.DataFrame, columns: Columns) -> Pane:
    names = (slots.column.name for slots in layout.features)
    features = {name: json_values(rows[name]) for name in names if name in rows.columns}
    return input_pane(layout, features, *_outputs(rows, columns))


def _outputs(rows: pd.DataFrame, columns: Columns) -> tuple[Sequence[Scalar], Sequence[Scalar]]:
    nothing: list[Scalar] = [None] * len(rows)
    probability = _present(rows, (columns.probability or "probability",))
    return (
        json_values(rows[columns.prediction]) if columns.prediction in rows.columns else nothing,
        nothing if probability is None else json_values(rows[probability]),
    )


def _outcomes(layout: Layout, outcomes: OutcomeLayout, rows: pd.DataFrame, columns: Columns, target: str) -> Pane:
    """The pane of the rows that have a truth."""
    nothing: list[Scalar] = [None] * len(rows)
    prediction, probability = _outputs(rows, columns)
    outputs = [prediction] if layout.probability is None else [prediction, probability]
    counted = Counter(layout).count([*[nothing] * len(layout.features), *outputs])
    predicted, value, spelled = counted.labels_and_values(layout)
    truth, unknown = _truth(layout.profile, json_values(rows[target]))
    pane = outcome_pane(outcomes, predicted.astype(np.int64), value, truth)
    return replace(pane, names=unknown_names(outcomes, pane, spelled | unknown))


def _truth(profile: Profile, actual: Sequence[Scalar]) -> tuple[Floats, dict[int, str]]:
    """Label codes and the spelling of unknown ones, or the values of a regression."""
    if profile.task == "regression":
        return truths_of(actual), {}
    codes, unknown = label_codes({label: code for code, label in enumerate(profile.labels)}, actual)
    return codes.astype(np.float64), unknown


def _unknown(
    profile: Profile, current: pd.DataFrame, columns: Columns, target: str | None
) -> dict[str, dict[str, int]]:
    """How many rows have each column that has no role."""
    known = {
        *(column.name for column in profile.features), *columns.ignore, columns.prediction,
        columns.probability or "probability", columns.timestamp or "timestamp", target,
        *((columns.id,) if columns.id else USUAL_IDS),
    }  # fmt: skip
    counts = {name: int(current[name].notna().sum()) for name in current.columns if name not in known}
    return {"": {name: count for name, count in counts.items() if count}} if any(counts.values()) else {}


def _present(frame: pd.DataFrame, names: Sequence[str]) -> str | None:
    return next((name for name in names if name in frame.columns), None)


def windows(frame: pd.DataFrame, times: Floats, monitoring: Monitoring) -> Iterator[tuple[float, pd.DataFrame]]:
    """Each window of a table whose rows are sorted by `times` (epoch seconds): its end, and its rows.

    One at the end of each pane from which a row can be seen, so that none is empty, as the stream judges them.
    """
    size, count = round(monitoring.windows.pane * MICROSECONDS), monitoring.windows.panes
    micros = np.rint(times * MICROSECONDS).astype(np.int64)
    judged = NEVER
    for pane in np.unique(micros // size).tolist():
        for last in range(max(pane, judged + 1), pane + count):
            low, high = np.searchsorted(micros, [(last + 1 - count) * size, (last + 1) * size], side="left")
            yield (last + 1) * size / MICROSECONDS, frame.iloc[low:high]
        judged = pane + count - 1
