"""Usual effects of a reference table whose rows have times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from app.core.config.monitoring import Windows
from app.core.panes.outcomes import OutcomeRows
from app.core.reference.layout import layout_of
from app.core.reference.profile import Profile
from app.core.scales.suffixes import spans_of
from app.core.usual.learning import Values, learn
from app.core.usual.metrics import learn_metrics
from app.registration.monitoring import TableColumns
from app.tables import CellTable, TableError
from app.tables.times import epoch_seconds, unit_of

USUAL_TIMES = "timestamp"


def with_usual(
    profile: Profile,
    table: CellTable,
    columns: TableColumns,
    windows: Windows,
    values: Sequence[Values],
    outcomes: OutcomeRows | None = None,
) -> tuple[Profile, tuple[str, ...]]:
    """Return the profile with the usual effects of its reference, where rows have times, and notes about the times.

    `values`: all columns in the profile's order. `outcomes`: predictions with their truth, where there is truth.
    """
    name = columns.timestamp or USUAL_TIMES
    if name not in table:
        return profile, ()
    try:
        times = epoch_seconds(table, name)
    except TableError as error:
        return profile, (f"{error}; so what is usual at which span of time is not learned",)
    known = times[np.isfinite(times)]
    if not len(known):
        return profile, (f"column {name!r} has no times, so what is usual at which span of time is not learned",)
    factor, _ = unit_of(float(known.min()), float(known.max()))
    spans = tuple(span * windows.pane for span in spans_of(windows.panes, windows.most_panes))
    usual = learn(layout_of(profile), values, times * factor, spans)
    if usual is None:
        days = float(known.max() - known.min()) * factor / 86_400.0
        return profile, (f"column {name!r} covers {days:.2g} days, too little to learn what is usual at any span",)
    if outcomes is not None:
        usual = learn_metrics(profile, usual, outcomes, times * factor)
    return replace(profile, usual=usual), ()


def values_in_order(
    profile: Profile,
    features: Sequence[Values],
    prediction: NDArray[np.generic] | Sequence[str | None] | None,
    probability: NDArray[np.float64] | None,
) -> list[Values]:
    """Return the columns in the profile's order; for a model of task `features`, the features only."""
    if prediction is None or profile.task == "features":
        return list(features)
    return [*features, prediction, *([] if probability is None else [probability])]
