"""Usual effects from the first days of a live stream: the bound as for a reference, without days of a fault."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

from app.core.reference.usual import Floats
from app.core.usual.bound import usual_bound
from app.core.usual.days import Days
from app.core.usual.spans import DAY, FEWEST_WINDOWS, MOST

Integers = NDArray[np.int64]
RARE = 0.25
FEWEST_A_DAY = 3
"""Minimum number of windows of a length on a day that show what most of the day was like."""


@dataclass(frozen=True, slots=True)
class DaysSeen:
    """The windows of one span (seconds): the day on which each ended, and its effects (windows x width).

    `side_by_side`: the equivalent number of windows that do not overlap. `in_all`: how many the whole time has, at
    most as many as are used of a reference. `share`: the share of the looks at which a window had enough rows.
    """

    span: float
    days: Integers
    effects: Floats
    side_by_side: float
    in_all: float
    share: float = 1.0

    def bound(self, effects: Floats, exceeding: float) -> float:
        """Return the usual effect of some of these windows."""
        worth = 1.0 + (len(effects) - 1) * (self.side_by_side - 1.0) / max(len(self.days) - 1, 1)
        return usual_bound(effects, worth, exceeding * worth / max(self.in_all, 1.0))

    def without(self, faulty: set[int]) -> NDArray[np.bool_]:
        """Return whether each window has no row of these days."""
        covered = ceil(self.span / DAY)
        return ~np.isin(self.days, [day + after for day in faulty for after in range(covered + 1)])


def seen_at(days: Days) -> list[DaysSeen]:
    """Return the windows of each span that was seen often enough to learn its usual effect."""
    found = []
    for place, span in enumerate(days.spans):
        ended, effects = days.at(place)
        apart = days.every[place] * days.stride / (span * days.pane)
        side_by_side = 1.0 + (len(ended) - 1) * min(apart, 1.0) if len(ended) else 0.0
        if side_by_side >= FEWEST_WINDOWS:
            in_all = max(side_by_side, min(len(ended) * max(apart, 1.0), float(MOST)))
            looks = len(days.days) * DAY / (days.stride * days.every[place])
            found.append(DaysSeen(span * days.pane, ended, effects, side_by_side, in_all, len(ended) / looks))
    return found


def faulty_days(seen: Sequence[DaysSeen], place: int, floor: float, exceeding: float) -> set[int]:
    """Return the days of a fault, and their neighbours: one run of days far beyond all others.

    Most of their windows are above the floor. They are also twice as far as the bound of the other days' windows, or
    more than half of the way from this bound to the end at 1. Single days that stand out, by less, or for some hours
    are storms, and usual. At least FEWEST_WINDOWS days are left.
    """
    faulty: set[int] = set()
    for one in seen:
        if one.span > DAY:
            break
        effects = one.effects[:, place]
        days, at, windows = np.unique(one.days, return_inverse=True, return_counts=True)
        middle = np.array([np.median(effects[at == i]) for i in range(len(days))])
        order = np.argsort(-middle, kind="stable")
        for n in range(1, len(days) - FEWEST_WINDOWS + 1):
            run, least = days[order[:n]], middle[order[n - 1]]
            if run.max() - run.min() >= n or least <= floor or windows[order[:n]].min() < FEWEST_A_DAY:
                continue
            beside = (one.days >= run.min() - 1) & (one.days <= run.max() + 1)
            others = effects[~beside]
            left = len(np.unique(one.days[~beside]))
            if left < FEWEST_WINDOWS or least <= _far(float(others.max())):
                continue
            if least > _far(one.bound(others, exceeding)):
                faulty |= set(np.unique(one.days[beside]).tolist())
                break
    known = {int(day) for one in seen for day in one.days}
    return faulty if len(known) - len(faulty) >= FEWEST_WINDOWS else set()


def _far(bound: float) -> float:
    return min(2.0 * bound, (1.0 + bound) / 2.0)


def without_difference(bounds: Sequence[float], away: float, floor: float, longest: Floats) -> tuple[float, ...]:
    """Return usual effects without a difference from the reference that has been there from the first day on.

    Such a difference is constant. `away`: the distance of all rows together. It is a difference where it is `floor`
    or more, and the windows of the `longest` span are away by about as much (their effects lie within half of it).
    """
    if away < floor or not len(longest) or longest.max() - longest.min() > away / 2.0:
        return tuple(bounds)
    return tuple(max(bound - away, 0.0) for bound in bounds)


def bounds(seen: Sequence[DaysSeen], place: int, faulty: set[int], exceeding: float) -> tuple[float, ...]:
    """Return the usual effect at each span, without some days.

    Few windows of a short span have enough rows. Where fewer than RARE of the looks saw one, the effect is taken to
    be no less than that of the next longer span.
    """
    found: list[float] = []
    for one in reversed(seen):
        bound = one.bound(one.effects[one.without(faulty), place], exceeding)
        found.append(max(bound, found[-1]) if found and one.share < RARE else bound)
    return tuple(reversed(found))
