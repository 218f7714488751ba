"""Short descriptions of a column for reports: its median and mean, or its largest categories."""

from __future__ import annotations

from collections.abc import Sequence
from weakref import WeakKeyDictionary

import numpy as np

from app.core.reference.layout import FIXED_POINT, Floats, Integers, Slots

NOTHING = "no values"
UNSEEN = "(unseen)"
TOP = 3

_known: WeakKeyDictionary[Slots, str] = WeakKeyDictionary()


def numeric_words(median: str, mean: float | None) -> str:
    """Return `median 37, mean 38.6`; without the mean where there are infinities."""
    return f"median {median}" if mean is None else f"median {median}, mean {mean:.4g}"


def category_words(names: Sequence[str], counts: Integers) -> str:
    """Return the largest categories and their shares: `A: 50.0%, B: 30.0%, C: 12.0%`."""
    total = int(counts.sum())
    if not total:
        return NOTHING
    largest = np.argsort(-counts, kind="stable")[:TOP].tolist()
    return ", ".join(f"{names[i]}: {counts[i] / total:.1%}" for i in largest if counts[i])


def reference_words(slots: Slots) -> str:
    """Return the description of the column's reference, computed once."""
    words = _known.get(slots)
    if words is None:
        words = _known[slots] = _reference_words(slots)
    return words


def _reference_words(slots: Slots) -> str:
    column = slots.column
    if not slots.total:
        return NOTHING
    if column.kind == "categorical":
        return category_words(column.categories, slots.tally[:-1])
    finite = not (column.below or column.above)
    return numeric_words(value_at(slots.values, slots.middle), slots.mean if finite else None)


def current_mean(slots: Slots, total: int, n: int) -> float:
    """Return the mean of n values from their fixed-point sum, in the column's units."""
    return slots.column.centre + slots.column.scale * total / (FIXED_POINT * n)


def value_at(values: Floats, slot: int) -> str:
    """Return the position of a numeric column's slot as text: at a reference value, between two, or beyond one."""
    m = len(values)
    if slot == 0 or slot == 2 * m + 2:
        return "inf" if slot else "-inf"
    if m == 0:
        return "unknown"
    left = (slot - 1) // 2
    if slot % 2 == 0:
        return f"{values[left]:.4g}"
    if 0 < left < m:
        low, high = f"{values[left - 1]:.4g}", f"{values[left]:.4g}"
        return low if low == high else f"between {low} and {high}"
    return f"above {values[-1]:.4g}" if left else f"below {values[0]:.4g}"
