"""Tests of numeric columns at all scales: the Kolmogorov-Smirnov statistic, tested against a margin."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

import numpy as np
from scipy import special

from app.core.config.monitoring import DriftThresholds
from app.core.evaluation.tested import BEYOND, LIKELY_CALM, MARGIN, SURE_CALM, Tested, effective
from app.core.evaluation.usual_effects import floors, margins, shows_an_end
from app.core.reference.layout import Floats, Integers, Layout
from app.core.scales.levels import Levels
from app.core.scales.suffixes import Suffixes

MOST_ROWS = 10_000
"""Maximum rows of the search. If this many do not show a change, the reference has too few."""
SHARE_DEVIATION = 0.5
"""Bound of a share's standard deviation, times the root of its rows."""


def numeric_tests(
    layout: Layout, places: Sequence[int], suffixes: Suffixes, floor: float, levels: Levels, usual: Floats
) -> Tested:
    """Test the numeric columns at these places of the layout at every scale.

    With D the statistic and m the floor's margin: a column is found where D >= floor, the p-value of D is below the
    level of distributions, and that of D - m below the level of harmless differences. If the true distance is at most
    m, D - m is at most the largest error of the two empirical distributions, whose law is Kolmogorov's (with
    Stephens' correction for few rows, J. R. Stat. Soc. B 32, 1970). `usual` (scales x columns): D must also exceed
    this, by a margin and by more than sampling brings.
    """
    statistic, n = ks_statistics(layout, places, suffixes)
    total = np.array([layout.slots[i].total for i in places], np.float64)
    return ks_tested(statistic, n, total, floor, levels, usual)


def ks_tested(statistic: Floats, n: Floats, reference: Floats, floor: float, levels: Levels, usual: Floats) -> Tested:
    """Test KS statistics of n rows (scales x columns) against `reference` rows of each column."""
    rows = effective(n, reference)
    root = np.sqrt(rows)
    p_value = _chance(statistic - MARGIN * floor, root)
    beyond = _chance(statistic - margins(floor, usual), root)
    limit = floors(floor, usual)
    below = (limit - statistic) * root / SHARE_DEVIATION
    significant = (_chance(statistic, root) < levels.distribution) & (p_value < levels.harmless)
    found = (statistic >= limit) & significant & (beyond < BEYOND)
    shown = (rows > 0.0) & shows_an_end(floor, usual)
    calm, quiet = shown & (below >= SURE_CALM), shown & (below >= LIKELY_CALM)
    return Tested(statistic, p_value, statistic * root, found, calm, quiet, beyond)


def _chance(excess: Floats, root: Floats) -> Floats:
    """Return the chance of an error this large; `root`: the root of the effective rows. 1 without rows."""
    scaled = (root + 0.12 + 0.11 / np.maximum(root, 1e-9)) * np.maximum(excess, 0.0)
    return np.where(root > 0.0, special.kolmogorov(scaled), 1.0)


def detectable(n: int, reference: int, thresholds: DriftThresholds, levels: Levels) -> float | None:
    """Return the smallest KS statistic that is found in n rows; None where not even 1 is."""
    floor = thresholds.numerical_effect
    root = float(np.sqrt(effective(np.array(float(n)), np.array(float(reference)))))
    if not root:
        return None
    scaled = root + 0.12 + 0.11 / root
    beyond_margin = MARGIN * floor + float(special.kolmogi(levels.harmless)) / scaled
    least = max(beyond_margin, float(special.kolmogi(levels.distribution)) / scaled)
    return max(floor, least) if least <= 1.0 else None


def rows_to_find(size: float, reference: int, thresholds: DriftThresholds, levels: Levels) -> int | None:
    """Return the fewest rows in which a KS statistic of this size is found; None where no number of rows is enough."""
    known = range(1, MOST_ROWS + 1)
    n = bisect_left(known, True, key=lambda n: _finds(n, size, reference, thresholds, levels))
    return None if n == MOST_ROWS else known[n]


def _finds(n: int, size: float, reference: int, thresholds: DriftThresholds, levels: Levels) -> bool:
    least = detectable(n, reference, thresholds, levels)
    return least is not None and least <= size


def ks_statistics(layout: Layout, places: Sequence[int], suffixes: Suffixes) -> tuple[Floats, Floats]:
    """Return each column's KS statistic at each scale, 0 where a side is empty, and its values (scales x columns).

    As in `compare_numeric`, the largest difference is directly before or after a slot that has a count.
    """
    shape = (len(suffixes.spans), len(places))
    if not places:
        return np.zeros(shape), np.zeros(shape)
    starts = np.array([layout.slots[i].offset for i in places], np.int64)
    known = np.array([layout.slots[i].total > 0 for i in places])
    values = [layout.numeric_values[indices] for indices in suffixes.indices]
    indices = [one[kept] for one, kept in zip(suffixes.indices, values, strict=True)]
    counts = [one[kept] for one, kept in zip(suffixes.counts, values, strict=True)]
    first = [np.searchsorted(one, starts) for one in indices]
    lengths = [np.diff(at, append=len(one)) for at, one in zip(first, indices, strict=True)]
    largest, n = _largest(layout.cumulative, np.concatenate(indices), np.concatenate(counts), np.concatenate(lengths))
    statistic, n = largest.reshape(shape), n.reshape(shape)
    statistic[:, ~known] = 0.0
    return statistic, n


def _largest(cumulative: Floats, indices: Integers, counts: Integers, lengths: Integers) -> tuple[Floats, Floats]:
    """Return each column's largest difference and its number of values.

    `lengths`: how many of the ascending indices a column has.
    """
    there = lengths > 0
    largest, n = np.zeros(len(lengths)), np.zeros(len(lengths))
    if not len(indices):
        return largest, n
    last = np.cumsum(lengths)
    first = last - lengths
    running = np.concatenate([[0], np.cumsum(counts)])
    before, total = running[first], running[last] - running[first]
    scale, offset = np.repeat(1.0 / np.maximum(total, 1), lengths), np.repeat(before, lengths)
    above = (running[1:] - offset) * scale - cumulative[indices + 1]
    below = cumulative[indices] - (running[:-1] - offset) * scale
    largest[there] = np.maximum.reduceat(np.maximum(above, below), first[there])
    return np.clip(largest, 0.0, 1.0), total.astype(np.float64)
