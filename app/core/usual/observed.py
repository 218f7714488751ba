"""Effects of windows of a live stream against its reference, without what sampling alone brings."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from app.core.evaluation.divergence import LN2, divergence_terms
from app.core.evaluation.tested import effective
from app.core.reference.layout import Layout, Slots
from app.core.reference.usual import Floats
from app.core.scales.numbers import ks_statistics
from app.core.scales.suffixes import Suffixes
from app.core.usual.distances import sampling_share, without_sampling

BINS = 32
"""Number of parts of a column's values, equally frequent in the reference, for comparing all rows of the first days."""
FAULTS = ("distribution", "missing", "unseen")


def learned_slots(layout: Layout) -> tuple[Slots, ...]:
    """Return the columns that are learned: all, or the features alone for a model of task `features`."""
    return layout.features if layout.profile.task == "features" else layout.slots


def effects_against_reference(layout: Layout, suffixes: Suffixes) -> Floats:
    """Return the effects at each scale: all columns' distributions, missing and unseen values (scales x 3 columns).

    They are the effects that are learned of a reference (`app.core.usual.distances`), but against the whole
    reference.
    """
    columns = learned_slots(layout)
    found = np.zeros((len(suffixes.spans), len(FAULTS), len(columns)))
    numeric = [i for i, slots in enumerate(columns) if slots.column.kind == "numeric"]
    statistic, n = ks_statistics(layout, numeric, suffixes)
    total = np.array([columns[i].total for i in numeric], np.float64)
    found[:, 0, numeric] = without_sampling(statistic, effective(n, total))
    rows = suffixes.n.astype(np.float64)[:, None]
    ends = np.array([slots.offset + slots.size for slots in columns], np.int64)
    stray, gone = suffixes.at(ends - 1), suffixes.at(ends - 2)
    absent = np.array([slots.column.missing for slots in columns], np.float64)
    totals = np.array([slots.total for slots in columns], np.float64)
    found[:, 1] = _rises(gone, np.broadcast_to(rows, gone.shape), absent, totals + absent)
    for i, slots in enumerate(columns):
        if slots.column.kind == "numeric":
            continue
        counts = suffixes.part(slots.offset, slots.offset + slots.missing)
        found[:, 0, i] = _categories(slots, counts)
        values = rows[:, 0] - gone[:, i] - stray[:, i]
        expected = np.array([float(slots.singles)])
        found[:, 2, i] = _rises(counts[:, [-1]], values[:, None], expected, totals[[i]])[:, 0]
    return found.reshape(len(suffixes.spans), -1)


def _categories(slots: Slots, counts: Floats) -> Floats:
    n = counts.sum(axis=1)
    rows, q = effective(n, np.array(float(slots.total))), slots.shares
    terms = divergence_terms(counts / np.maximum(n, 1.0)[:, None], np.broadcast_to(q, counts.shape), 1, 1)
    sampling = np.minimum(q, (1.0 - q) / (8.0 * LN2 * np.maximum(rows, 1.0))[:, None]).sum(axis=1)
    return np.where(rows > 0.0, np.sqrt(np.maximum(terms.sum(axis=1) - sampling, 0.0)), 0.0)


def _rises(counts: Floats, n: Floats, in_reference: Floats, reference: Floats) -> Floats:
    expected = np.broadcast_to(in_reference / np.maximum(reference, 1.0), counts.shape)
    deviation = sampling_share(expected, effective(n, reference))
    return np.asarray(np.clip(counts / np.maximum(n, 1.0) - expected - deviation, 0.0, 1.0) * (n > 0.0), np.float64)


class Binned:
    """Rows by column and bin: a column's values in BINS parts, then its missing and invalid ones."""

    def __init__(self, layout: Layout) -> None:
        self.columns = learned_slots(layout)
        self._bins = np.full(layout.size, -1, np.int64)
        for i, slots in enumerate(self.columns):
            place = np.full(slots.size, BINS)
            place[: slots.missing] = _bin_of(slots)
            self._bins[slots.offset : slots.offset + slots.size] = i * (BINS + 1) + place
        self._shares = [_shares(slots) for slots in self.columns]

    @property
    def shape(self) -> tuple[int, int]:
        """Return the shape of the counts: columns x bins."""
        return len(self.columns), BINS + 1

    def count(self, suffixes: Suffixes, scale: int) -> NDArray[np.int64]:
        """Return the rows of a scale (columns x bins)."""
        bins = self._bins[suffixes.indices[scale]]
        known = bins >= 0
        size = len(self.columns) * (BINS + 1)
        found = np.bincount(bins[known], suffixes.counts[scale][known], size)
        return found.astype(np.int64).reshape(self.shape)

    def differences(self, rows: NDArray[np.int64]) -> Floats:
        """Return the distance of each column's rows from its reference, without what sampling brings (columns)."""
        rows = rows.reshape(self.shape)
        found = np.zeros(len(self.columns))
        for i, slots in enumerate(self.columns):
            counts, share = rows[i, :BINS].astype(np.float64), self._shares[i]
            n = counts.sum()
            worth = effective(np.array(n), np.array(float(slots.total)))
            p = counts / max(n, 1.0)
            if not n or not slots.total:
                continue
            if slots.column.kind == "numeric":
                largest = np.abs(np.cumsum(p - share)).max()
                found[i] = without_sampling(np.array([largest]), np.array([worth]))[0]
            else:
                expected = np.minimum(share, (1.0 - share) / (8.0 * LN2 * max(float(worth), 1.0))).sum()
                found[i] = np.sqrt(max(divergence_terms(p, share, 1, 1).sum() - expected, 0.0))
        return found


def _bin_of(slots: Slots) -> NDArray[np.int64]:
    """Return the bin of each slot of a value: equal shares of numbers; the most frequent categories, and the rest."""
    if slots.column.kind == "numeric":
        return np.minimum((slots.cumulative[1:] * BINS).astype(np.int64), BINS - 1)
    ranks = np.empty(slots.missing, np.int64)
    ranks[np.argsort(-slots.shares, kind="stable")] = np.arange(slots.missing)
    return np.minimum(ranks, BINS - 1)


def _shares(slots: Slots) -> Floats:
    """Return the reference's share of each bin."""
    shares = np.diff(slots.cumulative) if slots.column.kind == "numeric" else slots.shares
    return np.bincount(_bin_of(slots), shares, BINS).astype(np.float64)
