"""What is said of a window with too few predictions: how many more it needs, when they are expected, what is found."""

from __future__ import annotations


def too_few(n: int, needed: int, detectable: float | None, expected: str, what: str = "predictions") -> str:
    """Return why a window of n rows is not judged as a whole, and what can be said of it all the same.

    `needed`: so many more are (0: not known, of reports before this release). `detectable`: the smallest KS statistic
    that is found in the newest panes. `expected`: when there are enough at the present rate; empty: not known, never.
    """
    if not needed:
        return f"{n:,} {what} in the window are too few to judge"
    words = f"{n:,} {what} in the window: {needed:,} more are needed (drift.min_samples)"
    if expected:
        words += f", at the present rate by {expected}"
    if detectable is not None:
        words += f"; until then only a large change is found, a KS statistic from {detectable:.2f} on"
    return words
