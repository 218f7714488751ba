"""Plan: how soon changes of several sizes are found at a rate of predictions, by the tests of the newest panes.

The stated time is a bound that holds in 9 of 10 cases, for independent rows. A change that fills its part of the
newest panes is found at the end of the pane in which even few rows and an unlucky share of them are enough.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import ceil, expm1, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy import special

from app.core.config.monitoring import Monitoring
from app.core.evaluation.tested import MARGIN, effective
from app.core.reference.layout import Floats
from app.core.scales.categories import divisions, is_significant, ways_of_one
from app.core.scales.levels import Levels, at_margin, levels_of, metric_level
from app.core.scales.metric_tests import ShareTest
from app.core.scales.newest_truth import ENOUGH, MOST_KEPT
from app.core.scales.numbers import ks_tested
from app.core.scales.shares import share_tests
from app.core.scales.suffixes import spans_of

Bools = NDArray[np.bool_]

UNLUCKY = 0.9062
"""Standard deviations below the expected number of rows, and below the effect that they show.

Both together are as likely as one sample in ten: 1.2816 deviations divided by the root of two.
"""
NUMBERS = (("mean moved by 0.5 sd", 0.5), ("mean moved by 1 sd", 1.0), ("mean moved by 2 sd", 2.0))
"""Shifts of a mean in standard deviations. For a normal law the KS statistic is 2 Phi(shift / 2) - 1."""
OF_UNIT = 0.97
"""The KS statistic of numbers that are multiplied by, for example, 100: hardly any value stays in its place."""
CATEGORIES = 4
"""Number of categories of the column that changes, all equally frequent before."""
MOVED = 0.2
"""Share of the rows that moves to another category."""
POINTS = (0.05, 0.1, 0.2)
"""Drops of the accuracy that are planned for."""


@dataclass(frozen=True, slots=True)
class Load:
    """The expected load. `rate`: predictions per second; `columns`: judged columns, with prediction and probability.

    `reference`: rows of the reference. `truth`: the share of predictions whose truth comes. `accuracy`: the
    reference's, None where it has none. `metrics`: how many are judged.
    """

    rate: float
    columns: int
    reference: int
    truth: float = 1.0
    accuracy: float | None = 0.9
    metrics: int = 8


@dataclass(frozen=True, slots=True)
class PlannedFinding:
    """A change and the time in which it is found in 9 of 10 cases; None where no span that is judged shows it.

    `seconds`: the time since the change; for a metric that of predictions whose truth has come. `rows`: predictions
    in that time; for a metric those with truth.
    """

    change: str
    kind: str
    seconds: float | None
    rows: int | None


@dataclass(frozen=True, slots=True)
class Plan:
    """Findings at a rate of predictions. `chance`: of a false alarm in one evaluation; None if only windows are
    judged.

    `window`: seconds in which a window reaches `drift.min_samples`, so that it is judged as a whole; None where it
    never does. `truth`: the same for `performance.min_samples` rows with truth.
    """

    load: Load
    chance: float | None
    window: float | None
    truth: float | None
    found: tuple[PlannedFinding, ...]


def plan_of(load: Load, monitoring: Monitoring) -> Plan:
    """Return which changes are found at a rate, and how soon."""
    windows, rows = monitoring.windows, load.rate * monitoring.windows.pane
    spans = spans_of(windows.panes, _reach(rows, windows.panes, windows.most_panes, monitoring.drift.min_samples))
    levels = levels_of(monitoring, len(spans), load.columns)
    window = max(monitoring.drift.min_samples / load.rate, windows.pane * windows.panes)
    with_truth = load.rate * load.truth
    truth = monitoring.performance.min_samples / with_truth if with_truth > 0.0 else None
    return Plan(
        load=load,
        chance=None if levels is None else levels.evaluation,
        window=window if window <= windows.pane * windows.most_panes else None,
        truth=truth if truth is not None and truth <= windows.pane * windows.most_panes else None,
        found=() if levels is None else (*_columns(load, monitoring, spans, levels), *_accuracy(load, monitoring)),
    )


def _reach(rows: float, panes: int, most: int, needed: float) -> int:
    """Return how many panes, with `rows` rows each, the longest span has: as many as a thin window reaches back."""
    return min(max(panes, ceil(needed / rows)), most)


def _columns(load: Load, monitoring: Monitoring, spans: Sequence[int], levels: Levels) -> list[PlannedFinding]:
    pane, rows = monitoring.windows.pane, load.rate * monitoring.windows.pane
    lengths = np.array(spans, np.float64)
    n, m = _few(lengths * rows), float(load.reference)

    def after(name: str, kind: str, found: Callable[[Floats], Bools]) -> PlannedFinding:
        panes = _first(spans[-1], lambda k: bool(found(np.minimum(k / lengths, 1.0)).any()))
        return PlannedFinding(name, kind, *((None, None) if panes is None else (panes * pane, round(panes * rows))))

    def numbers(size: float) -> Callable[[Floats], Bools]:
        return lambda part: _number_found(size, part, n, m, monitoring.drift.numerical_effect, levels)

    def missing(share: float) -> Callable[[Floats], Bools]:
        return lambda part: _missing_found(share * part, n, m, monitoring.alerting.missing_share, levels)

    shifts = [(name, float(2.0 * special.ndtr(shift / 2.0) - 1.0)) for name, shift in NUMBERS]
    return [
        *(after(name, "numbers", numbers(size)) for name, size in (*shifts, ("multiplied by 100", OF_UNIT))),
        after(
            f"{MOVED:.0%} of rows in another category", "categories",
            lambda part: _category_found(MOVED * part, n, m, monitoring.drift.categorical, levels),
        ),
        after("half of the values missing", "missing", missing(0.5)),
        after("all values missing", "missing", missing(1.0)),
    ]  # fmt: skip


def _first(most: int, found: Callable[[int], bool]) -> int | None:
    """Return the fewest panes after which a change is found; None if it is not found after `most` panes."""
    at = bisect_left(range(1, most + 1), True, key=found)
    return None if at == most else at + 1


def _few(rows: Floats) -> Floats:
    """Return the number of rows that come in an unlucky case, where `rows` are expected (Poisson's law)."""
    return np.asarray(np.maximum(np.floor(rows - UNLUCKY * np.sqrt(rows)), 0.0), np.float64)


def _number_found(size: float, part: Floats, n: Floats, m: float, floor: float, levels: Levels) -> Bools:
    """Return whether a KS statistic of this size is found at each scale, if this part of the rows has changed.

    At the value where the largest gap is, half of the gap is on either side of 1/2. There the share of the reference
    is (1 + size) / 2, that of changed rows (1 - size) / 2. The statistic is no less than the gap there.
    """
    before, now = (1.0 + size) / 2.0, (1.0 + size) / 2.0 - size * part
    deviation = np.sqrt(now * (1.0 - now) / np.maximum(n, 1.0) + before * (1.0 - before) / m)
    gap = np.where(n > 0.0, np.maximum(size * part - UNLUCKY * deviation, 0.0), 0.0)
    tested = ks_tested(gap[:, None], n[:, None], np.array([m]), floor, levels, np.zeros((len(n), 1)))
    return tested.found[:, 0]


def _category_found(more: Floats, n: Floats, m: float, floor: float, levels: Levels) -> Bools:
    """Return whether a category is found at each scale, if this share of the rows has moved to it from the others."""
    before = np.full(len(n), 1.0 / CATEGORIES)
    now = before + more
    seen = np.maximum(now - UNLUCKY * np.sqrt(now * (1.0 - now) / np.maximum(n, 1.0)), before)
    ways = np.full(len(n), ways_of_one(CATEGORIES))
    rows = np.asarray(effective(n, np.array(m)))
    size, chance = divisions(seen, before, rows, ways, MARGIN * floor)
    return np.asarray((size > floor) & is_significant(seen, before, rows, chance, ways, n > 0.0, levels))


def _missing_found(share: Floats, n: Floats, m: float, allowed: float, levels: Levels) -> Bools:
    """Return whether missing values are found at each scale, in a column that had none."""
    seen = np.maximum(share - UNLUCKY * np.sqrt(share * (1.0 - share) / np.maximum(n, 1.0)), 0.0)
    nothing, total = np.zeros(1), np.array([m])
    counts = np.floor(seen * n)[:, None]
    return share_tests(counts, n[:, None], nothing, total, allowed, levels, np.zeros((len(n), 1))).found[:, 0]


def _accuracy(load: Load, monitoring: Monitoring) -> list[PlannedFinding]:
    """Return how soon drops of the accuracy are found over the newest panes with truth."""
    with_truth = load.rate * load.truth * monitoring.windows.pane
    if load.accuracy is None or with_truth <= 0.0:
        return []
    filled = -expm1(-with_truth)  # the share of panes with any truth
    rows = with_truth / filled
    spans = spans_of(_truth_panes(rows, load, monitoring))
    levels = metric_level(monitoring, len(spans), load.metrics), at_margin(monitoring, len(spans))
    found = []
    for points in POINTS:
        panes = _first(spans[-1], partial(_accuracy_found, points, spans, rows, load, monitoring, levels))
        name = f"accuracy {load.accuracy:.3g} down by {points * 100:.0f} points"
        seconds = None if panes is None else panes / filled * monitoring.windows.pane
        found.append(PlannedFinding(name, "truth", seconds, None if panes is None else round(panes * rows)))
    return found


def _accuracy_found(
    points: float,
    spans: Sequence[int],
    rows: float,
    load: Load,
    monitoring: Monitoring,
    levels: tuple[float, float],
    panes: int,
) -> bool:
    """Return whether a fall is found this many panes after it, at any span. `rows`: rows with truth in each pane."""
    return any(_fall_found(points * min(panes / span, 1.0), span * rows, load, monitoring, levels) for span in spans)


def _fall_found(drop: float, rows: float, load: Load, monitoring: Monitoring, levels: tuple[float, float]) -> bool:
    """Return whether a fall is found in this many rows. `levels`: for no fall, and for a harmless one."""
    baseline = load.accuracy or 0.0
    thresholds = monitoring.performance
    allowed = thresholds.metrics.get("accuracy", thresholds.default) * baseline
    share = max(baseline - drop, 0.0)
    n = int(rows)
    seen = min(share + UNLUCKY * sqrt(share * (1.0 - share) / max(n, 1)), 1.0)
    if not n or baseline - seen <= allowed:
        return False
    test = ShareTest("accuracy", ceil(seen * n), n, baseline, n, load.reference)
    return test.lower(0.0) < levels[0] and test.lower(MARGIN * allowed) < levels[1]


def _truth_panes(rows: float, load: Load, monitoring: Monitoring) -> int:
    """Return how many panes with truth the longest span has, with `rows` rows each."""
    windows = monitoring.windows
    kept = max(MOST_KEPT * load.truth, windows.retention * load.rate * load.truth)
    wanted = max(monitoring.performance.min_samples, min(ENOUGH, kept))
    return min(max(windows.panes, ceil(wanted / rows)), windows.most_panes)
