"""Detectable changes: which columns are judged at which span of time, and how soon some changes are found."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, sqrt

from app.core.config.monitoring import Monitoring
from app.core.reference.profile import Profile
from app.core.reference.usual import ColumnUsual, ReferenceUsual
from app.core.scales.blocks import MOST_ROWS
from app.core.scales.suffixes import spans_of
from app.core.usual.spans import DAY, WEEK

JUDGED = 0.45
"""Largest usual effect with which a column is judged: with more, a change of half of its rows would not be found."""
LONG = (DAY, 2 * DAY, WEEK)
"""Spans in seconds, judged in addition to the window's for columns that need them: most patterns repeat in these."""
SURE = 2.8
"""Kolmogorov's statistic with a chance of about 1 in 3 million: the level of a finding, less its margin."""
SIZES = (0.2, 0.5, 0.9)
"""Sizes of changes that are named: the share of the rows that is moved out of its place."""


def judged_from(column: ColumnUsual, spans: tuple[float, ...]) -> float:
    """Return the shortest span (seconds) from which on a column is judged, in all longer ones too; inf if in none."""
    first = inf
    for span, effect in zip(reversed(spans), reversed(column.distribution), strict=True):
        if effect > JUDGED:
            break
        first = span
    return first


def long_spans(usual: ReferenceUsual | None) -> tuple[float, ...]:
    """Return the spans (seconds) beyond its window that a stream needs to judge each column that can be judged."""
    if usual is None:
        return ()
    firsts = (judged_from(column, usual.spans) for column in usual.columns)
    longest = max((first for first in firsts if first < inf), default=0.0)
    wanted = [span for span in LONG if span in usual.spans]
    last = next((i for i, span in enumerate(wanted) if span >= longest), len(wanted) - 1)
    return tuple(wanted[: last + 1]) if longest > 0.0 else ()


@dataclass(frozen=True, slots=True)
class Detectable:
    """Changes of one column that can be found. `judged_from`: the shortest span (seconds) at which it is judged.

    It is None where the column is judged at none. `after`: for each of SIZES the shortest span in which such a change
    is found at the reference's rate, None: in none.
    """

    name: str
    judged_from: float | None
    after: tuple[float | None, ...]


def judged_spans(usual: ReferenceUsual, monitoring: Monitoring) -> tuple[float, ...]:
    """Return the spans (seconds) that a stream judges at the rate of the rows that were learned from."""
    windows = monitoring.windows
    thin = monitoring.drift.min_samples / max(usual.rate, 1e-9) / windows.pane  # so many panes a window reaches back
    most = int(min(max(thin, windows.panes), windows.most_panes))
    longer = [span for span in long_spans(usual) if usual.rate * span <= MOST_ROWS]
    return tuple(sorted({*(span * windows.pane for span in spans_of(windows.panes, most)), *longer}))


def detectable_of(profile: Profile, usual: ReferenceUsual | None, monitoring: Monitoring) -> list[Detectable]:
    """Return the detectable changes of each column of a profile; nothing where `usual` is None."""
    if usual is None:
        return []
    drift = monitoring.drift
    floors = {
        column.name: drift.numerical_effect if column.kind == "numeric" else drift.categorical
        for column in profile.columns
    }
    return detectable(usual, floors, judged_spans(usual, monitoring))


def detectable(usual: ReferenceUsual, floors: dict[str, float], judged: tuple[float, ...]) -> list[Detectable]:
    """Return the detectable changes of each column at the reference's own rate of rows.

    `floors`: the smallest effect that is found of each column. `judged`: the spans (seconds) that the stream judges.
    """
    found = []
    for column in usual.columns:
        floor = floors[column.name]
        limits = [(span, _limit(usual, column, floor, span)) for span in judged]
        after = [next((span for span, limit in limits if limit <= size), None) for size in SIZES]
        first = next((span for span, _ in limits if usual_at(usual, column, span) <= JUDGED), None)
        found.append(Detectable(column.name, first, tuple(after)))
    return found


def usual_at(usual: ReferenceUsual, column: ColumnUsual, span: float) -> float:
    """Return a column's usual effect at a span: between two learned spans the larger one of their effects."""
    last = len(usual.spans) - 1
    above = next((i for i, one in enumerate(usual.spans) if one >= span), last)
    below = above if usual.spans[above] <= span else max(above - 1, 0)
    return max(column.distribution[below], column.distribution[above])


def _limit(usual: ReferenceUsual, column: ColumnUsual, floor: float, span: float) -> float:
    """Return the effect that is found within a span: beyond the usual one, and beyond what sampling its rows brings."""
    rows = usual.rate * span
    effective = rows * usual.rows / (rows + usual.rows)
    return max(floor, usual_at(usual, column, span) + floor / 2, floor / 2 + SURE / sqrt(max(effective, 1e-9)))
