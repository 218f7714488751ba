"""Distances of windows of a reference from the rest of it, less what sampling alone brings.

Windows are compared with the rest, not with the whole: a window is a part of the whole, and a longer one is more like
it.
"""

from __future__ import annotations

import numpy as np

from app.core.evaluation.divergence import LN2, divergence_terms
from app.core.reference.layout import Slots
from app.core.reference.usual import Floats
from app.core.usual.spans import Integers, RowWindows

CUTS = 512
"""Places at which the distribution functions of numbers are compared: the statistic is at most 1 in 512 too small."""
EXPECTED_SQUARE = np.pi**2 / 12.0
"""The mean square of Kolmogorov's law: what sampling brings to the square of the KS statistic, times the rows."""


def without_sampling(statistic: Floats, rows: Floats) -> Floats:
    """Return KS statistics without what sampling brings, for this many effective rows: sqrt(D^2 - its mean square).

    For windows without any difference the result is near 0. Where there is one, sampling adds to D much less than it
    would by itself, as the root of a sum of squares does. So the result is the same from few rows and from many.
    """
    square = statistic * statistic - EXPECTED_SQUARE / np.maximum(rows, 1.0)
    return np.asarray(np.sqrt(np.maximum(square, 0.0)), np.float64)


def sampling_share(share: Floats, rows: Floats) -> Floats:
    """Return the standard deviation of a share, for this many effective rows."""
    return np.asarray(np.sqrt(share * (1.0 - share) / np.maximum(rows, 1.0)), np.float64)


def ks_distances(slots: Slots, codes: Integers, windows: RowWindows) -> Floats:
    """Return the KS statistic of each window's numbers against the rest's, without what sampling brings.

    `codes`: each row's slot. The result is 0 where a side has no value.
    """
    valued = codes < slots.missing
    cuts = _cuts(slots)
    bins = np.where(valued, np.searchsorted(cuts, codes), len(cuts) + 1)
    counts = windows.counts(bins, len(cuts) + 2)[:, :-1]
    n, total = counts.sum(axis=1), int(valued.sum())
    within = np.cumsum(counts, axis=1)[:, :-1] / np.maximum(n, 1)[:, None]
    whole = np.cumsum(np.bincount(bins, minlength=len(cuts) + 2)[:-1])[:-1] / max(total, 1)
    # the window is a share w of the whole, so that F_window - F_whole = (1 - w) (F_window - F_rest)
    rest = 1.0 - n / max(total, 1)
    largest = np.abs(within - whole).max(axis=1, initial=0.0) / np.maximum(rest, 1e-9)
    there = (n > 0) & (rest > 0.0)
    return np.where(there, without_sampling(np.minimum(largest, 1.0), n * rest), 0.0)


def _cuts(slots: Slots) -> Integers:
    """Return the slots after which distribution functions are compared: all, or those of evenly spaced shares."""
    counted = np.flatnonzero(np.diff(slots.cumulative))
    if len(counted) > CUTS:
        shares = slots.cumulative[counted + 1]
        counted = counted[np.unique(np.searchsorted(shares, np.linspace(0.0, 1.0, CUTS)).clip(max=len(counted) - 1))]
    return counted.astype(np.int64)


def js_distances(slots: Slots, codes: Integers, windows: RowWindows) -> Floats:
    """Return the Jensen-Shannon distance of each window's categories from the rest's, without what sampling brings.

    The mean of the divergence without any difference is (1 - q) / (8 ln2 n) of a category with the share q of n
    effective rows (its chi-square law), and at most q of one that is hardly ever drawn.
    """
    cells = slots.unseen
    counts = windows.counts(np.minimum(codes, cells), cells + 1)[:, :-1]
    whole = np.bincount(np.minimum(codes, cells), minlength=cells + 1)[:-1]
    n, total = counts.sum(axis=1), int(whole.sum())
    rest = whole - counts
    rows = n * (total - n) / max(total, 1)
    p = counts / np.maximum(n, 1)[:, None]
    q = rest / np.maximum(total - n, 1)[:, None]
    share = whole / max(total, 1)
    divergence = divergence_terms(p, q, 1, 1).sum(axis=1)
    expected = np.minimum(share, (1.0 - share) / (8.0 * LN2 * np.maximum(rows, 1.0))[:, None]).sum(axis=1)
    return np.where(rows > 0, np.sqrt(np.maximum(divergence - expected, 0.0)), 0.0)


def missing_rises(slots: Slots, codes: Integers, windows: RowWindows) -> Floats:
    """Return the rise of the share of missing values in each window above the rest's, less one standard deviation."""
    gone = (codes >= slots.missing).astype(np.int64)
    return _rises(windows.counts(gone, 2)[:, 1], windows.n, int(gone.sum()), len(gone))


def unseen_rises(slots: Slots, codes: Integers, windows: RowWindows) -> Floats:
    """Return the rise of each window's share of rows in categories that occur nowhere else, above that of singles."""
    seen = windows.counts(np.minimum(codes, slots.unseen), slots.unseen + 1)[:, :-1]
    whole = np.bincount(np.minimum(codes, slots.unseen), minlength=slots.unseen + 1)[:-1]
    alone = np.where(seen == whole, seen, 0).sum(axis=1)
    return _rises(alone, np.maximum(seen.sum(axis=1), 1), slots.singles, int(whole.sum()))


def _rises(counts: Integers, n: Integers, in_all: int, total: int) -> Floats:
    expected = np.full(len(n), in_all / max(total, 1))
    rows = n * (total - n) / max(total, 1)
    return np.asarray(np.clip(counts / n - expected - sampling_share(expected, rows), 0.0, 1.0), np.float64)
