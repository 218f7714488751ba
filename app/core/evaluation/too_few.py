"""Whether a window says anything, and what is said of one with too few predictions: how many more, and by when."""

from __future__ import annotations

from typing import Protocol

HALF = 0.5
"""A KS statistic: a change of half of a column's rows. Where that would not be found, nothing is judged."""
MOST = 0.5
"""Where more than this share of the features' values could not be judged, nothing is said of them."""


class Newest(Protocol):
    """What the newest panes show."""

    @property
    def drifted(self) -> bool: ...
    @property
    def data_calm(self) -> bool: ...
    @property
    def detectable(self) -> float | None: ...


class EvaluatedWindow(Protocol):
    """A window's drift, as it was judged or as a report has it."""

    @property
    def sufficient(self) -> bool: ...
    @property
    def unjudged_share(self) -> float: ...
    @property
    def scales(self) -> Newest | None: ...


def is_judged(window: EvaluatedWindow) -> bool:
    """Return whether a window, or its newest panes, say with the stated error that data have drifted or have not.

    It has `drift.min_samples`; or the newest panes show drift, or that there is none, or would show a change of half of
    a column's rows. Where most values could not be read, neither is said.
    """
    if window.unjudged_share > MOST:
        return False
    return window.sufficient or (window.scales is not None and _is_shown(window.scales))


def _is_shown(newest: Newest) -> bool:
    return newest.drifted or newest.data_calm or (newest.detectable is not None and newest.detectable <= HALF)


def too_few(
    n: int, needed: int, detectable: float | None, expected: str, first: int = 0, expected_first: str = ""
) -> str:
    """Return why a window of n rows is not judged as a whole, and what can be said of it all the same.

    `needed`: so many more are (0: not known, of reports before this release). `detectable`: the smallest KS statistic
    that is found in the newest panes. `expected`: when there are enough at the present rate; empty: not known, never.
    `first`: so many more are needed until a change of half of a column's rows is found; `expected_first`: when.
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
