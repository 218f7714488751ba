"""Reference of newer rows in the layout of a registered one: the same values and categories with other counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from app.core.panes.pane import Pane
from app.core.reference.layout import Integers, Layout, Slots
from app.core.reference.profile import ColumnProfile, Profile


def moved_profile(layout: Layout, total: Pane) -> Profile:
    """Return a layout's profile with the counts of an input pane in the place of the reference's own.

    A numeric column has counts at the values of the registered reference only. Rows between two of them count at the
    upper one, rows above the last at the last. So its step function is wrong by at most the largest share of rows in
    one such gap, as after thinning (`error_bound`). A categorical column has no count for a category that it does not
    know: these rows are left out, and `error_bound` is their share. Baselines and usual effects stay.
    """
    profile = layout.profile
    columns = [_moved(slots, total.part(slice(slots.offset, slots.offset + slots.size))) for slots in layout.slots]
    k = len(profile.features)
    last = None if profile.probability is None else columns[k + 1]
    return replace(profile, features=tuple(columns[:k]), prediction=columns[k], probability=last, n=total.n)


def largest_error(profile: Profile) -> float:
    """Return the largest error bound of a profile's columns."""
    return max((column.error_bound for column in profile.columns), default=0.0)


def _moved(slots: Slots, counts: Integers) -> ColumnProfile:
    valued = int(counts[: slots.missing].sum())
    if not valued:  # nothing to compare with, as in a reference without values
        return replace(
            slots.column, counts=(0,) * len(slots.column.counts), below=0, above=0,
            missing=int(counts[slots.missing]), invalid=int(counts[slots.invalid]), error_bound=0.0,
        )  # fmt: skip
    kept, below, above, lost = (
        _numeric(slots, counts) if slots.column.kind == "numeric" else _categorical(slots, counts)
    )
    return replace(
        slots.column, counts=tuple(kept.tolist()), below=below, above=above, missing=int(counts[slots.missing]),
        invalid=int(counts[slots.invalid]), error_bound=lost / valued,
    )  # fmt: skip


def _numeric(slots: Slots, counts: Integers) -> tuple[Integers, int, int, int]:
    """Return the counts at each value, of -inf and of +inf, and of the rows in the fullest gap."""
    m = len(slots.values)
    kept, gaps = counts[2 : 2 * m + 2 : 2].copy(), counts[1 : 2 * m + 2 : 2]
    if m:
        kept += gaps[:m]
        kept[-1] += gaps[m]
    return kept, int(counts[0]), int(counts[2 * m + 2]), int(np.max(gaps, initial=0))


def _categorical(slots: Slots, counts: Integers) -> tuple[Integers, int, int, int]:
    return counts[: slots.unseen], 0, 0, int(counts[slots.unseen])
