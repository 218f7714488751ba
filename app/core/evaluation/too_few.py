"""Windows with too few predictions: whether a window is judged, and the text about how many rows are missing."""

from __future__ import annotations

from typing import Protocol

HALF = 0.5
"""KS statistic of a change of half of a column's rows. Where this change would not be found, nothing is judged."""
MOST = 0.5
"""Share of the features' values that could not be judged, above which no statement is made."""


class Newest(Protocol):
    """Results of the newest panes, as far as they are needed here."""

    @property
    def drifted(self) -> bool: ...
    @property
    def data_calm(self) -> bool: ...
    @property
    def detectable(self) -> float | None: ...


class EvaluatedWindow(Protocol):
    """A window's drift decision, or the same from a report."""

    @property
    def sufficient(self) -> bool: ...
    @property
    def unjudged_share(self) -> float: ...
    @property
    def scales(self) -> Newest | None: ...


def is_judged(window: EvaluatedWindow) -> bool:
    """Return whether a window, or its newest panes, show with the stated error that data have drifted or have not.

    This needs `drift.min_samples` rows; or the newest panes show drift, or its absence, or would show a change of
    half of a column's rows. Where most values could not be read, the window is not judged.
    """
    if window.unjudged_share > MOST:
        return False
    return window.sufficient or (window.scales is not None and _is_shown(window.scales))


def _is_shown(newest: Newest) -> bool:
    return newest.drifted or newest.data_calm or (newest.detectable is not None and newest.detectable <= HALF)


def too_few(
    n: int, needed: int, detectable: float | None, expected: str, first: int = 0, expected_first: str = ""
) -> str:
    """Return why a window of n rows is not judged as a whole, and what can be said nevertheless.

    `needed`: rows that are missing (0: not known, in reports before this release). `detectable`: the smallest KS
    statistic that is found in the newest panes. `expected`: when there are enough at the present rate; empty: not
    known, or never. `first`: rows that are missing until a change of half of a column's rows is found;
    `expected_first`: when.
    """
    if not needed:
        return f"{n:,} predictions in the window are too few to judge"
    words = f"{n:,} predictions in the window"
    if first:
        words += (
            f" are too few to find even a change of half of the rows: {first:,} more are needed{_by(expected_first)}"
        )
        return f"{words}, and {needed:,} for all of drift.min_samples{_by(expected)}"
    words += f": {needed:,} more are needed (drift.min_samples){_by(expected)}"
    if detectable is not None:
        words += f"; until then only a large change is found, a KS statistic from {detectable:.2f} on"
    return words


def _by(expected: str) -> str:
    return f", at the present rate by {expected}" if expected else ""
