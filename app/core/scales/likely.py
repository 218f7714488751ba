"""The likely cause of a finding: from the panes that show it best, the changed panes, and yesterday's same hours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from app.core.evaluation.causes import HOURLY, cause_of, of_same_time
from app.core.panes.pane import Pane, merge
from app.core.reference.layout import Layout
from app.core.scales.suffixes import Suffixes
from topics.results import Cause

DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Clock:
    """Number of newest panes that are compared with the same time yesterday, and the number of panes of a day."""

    newest: int
    day: int


def clock_of(suffixes: Suffixes, pane: float) -> Clock | None:
    """Return the shortest span with enough rows to show which hours occur; None where it is a day or longer."""
    day = round(DAY / pane)
    span = next((span for span, n in zip(suffixes.spans, suffixes.n.tolist(), strict=True) if n >= HOURLY), day)
    return Clock(span, day) if span < day else None


def likely_cause(
    layout: Layout, shown: Pane, place: int, panes: Mapping[int, Pane], end: int, since: int, clock: Clock | None
) -> Cause | None:
    """Guess a column's cause over the panes that show the change best, else over those after its change point.

    The first may contain some panes from before the change, with unchanged values. Hours of the day are first
    compared with yesterday's: a part of a day always differs from the whole day. `shown`: the sum of the panes that
    show the change; `place`: the column's in the layout; `since`: how many of the newest panes, up to `end`, are
    changed.
    """
    if clock is not None:
        now = _between(layout, panes, end - clock.newest, end)
        yesterday = _between(layout, panes, end - clock.day - clock.newest, end - clock.day)
        found = of_same_time(layout, now, yesterday, place)
        if found is not None:
            return found
    found = cause_of(layout, shown, place)
    if found is not None:
        return found
    changed = _between(layout, panes, end - since, end)
    return cause_of(layout, changed, place) if 0 < changed.n < shown.n else None


def _between(layout: Layout, panes: Mapping[int, Pane], first: int, last: int) -> Pane:
    """Return the sum of the panes after `first` up to `last`."""
    return merge((panes[p] for p in sorted(panes) if first < p <= last), layout.size, layout.sums)
