"""Usual drops of metrics: how much worse windows of a reference are than the rest, without what sampling brings.

A model is worse on some days than on others though nothing has changed: it does not foresee what a storm delays.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from app.core.evaluation.degradation import scale_of
from app.core.evaluation.intervals import z_of
from app.core.evaluation.metric import Metric
from app.core.evaluation.performance import LOSSES, metrics_of
from app.core.panes.outcomes import OutcomeLayout, OutcomeRows, outcome_layout, pane_of_rows
from app.core.reference.profile import Profile
from app.core.reference.usual import Floats, MetricUsual, ReferenceUsual
from app.core.usual.bound import usual_bound
from app.core.usual.spans import in_order, row_windows

MOST = 400
"""Maximum windows of one length whose metrics are computed, evenly spread where there are more."""
EXCEEDING = 0.05
"""Number of windows of one length, in a time as long as the reference's, that exceed the usual drop.

It is smaller than for columns: a metric is worse on the few worst days of a season, of which a reference has hardly
any.
"""
CONFIDENCE = 0.95
"""Confidence of the interval from which the sampling error is taken."""
UNLIMITED = LOSSES | {"r2"}
"""Metrics whose drop, as a share of the baseline, is unlimited."""


def learn_metrics(profile: Profile, usual: ReferenceUsual, rows: OutcomeRows, times: Floats) -> ReferenceUsual:
    """Return `usual` with the usual drop of each metric that has a baseline. `times`: of the rows, NaN if unknown."""
    order = in_order(times)
    layout, ordered = outcome_layout(profile), times[order]
    whole = {metric.name: metric.value for metric in metrics_of(layout, pane_of_rows(layout, rows.pick(order)))}
    drops: dict[str, list[float]] = {name: [] for name in profile.baseline if whole.get(name) is not None}
    for span in usual.spans:
        windows = row_windows(ordered, span).thinned(MOST)
        found = [
            dict(_drops(profile, layout, rows.pick(order[first:last]), len(order), whole))
            for first, last in zip(windows.first.tolist(), windows.last.tolist(), strict=True)
        ]
        for name, learned in drops.items():
            seen = np.array([one.get(name, 0.0) for one in found])
            learned.append(_bound(name, seen, windows.side_by_side))
    return replace(usual, metrics=tuple(MetricUsual(name, tuple(learned)) for name, learned in drops.items()))


def _drops(
    profile: Profile, layout: OutcomeLayout, rows: OutcomeRows, total: int, whole: Mapping[str, float | None]
) -> Iterator[tuple[str, float]]:
    """Yield by how much each metric is worse in a window than in the rest, as a share of its scale.

    What sampling brings is taken off. The window is a share w of the whole, so that its difference from the whole is
    (1 - w) times that from the rest.
    """
    for metric in metrics_of(layout, pane_of_rows(layout, rows), CONFIDENCE):
        centre, baseline = whole.get(metric.name), profile.baseline.get(metric.name)
        scale = None if baseline is None else scale_of(metric.name, baseline, profile.prediction.scale)
        if metric.value is None or centre is None or scale is None or metric.interval is None:
            continue
        worse = (metric.value - centre if metric.name in LOSSES else centre - metric.value) / (1.0 - rows.n / total)
        yield metric.name, float(np.sqrt(max(worse * abs(worse) - sampling_of(metric) ** 2, 0.0))) / scale


def sampling_of(metric: Metric) -> float:
    """Return the sampling error of a metric in the worse direction, plus its error bound."""
    low, high = metric.interval or (0.0, 0.0)
    value = metric.value or 0.0
    towards = value - low if metric.name in LOSSES else high - value
    return towards / z_of(CONFIDENCE) + metric.error_bound


def _bound(name: str, seen: Floats, side_by_side: float) -> float:
    """Return the usual drop. An unlimited one is bounded as drop / (1 + drop), which ends at 1 as the others do."""
    if name not in UNLIMITED:
        return round(usual_bound(np.minimum(seen, 1.0), side_by_side, EXCEEDING), 4)
    bound = usual_bound(seen / (1.0 + seen), side_by_side, EXCEEDING)
    return round(bound / max(1.0 - bound, 1e-6), 4)
