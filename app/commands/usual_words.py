"""Text about the source of the usual effects by which windows are judged."""

from __future__ import annotations

from typing import Literal


def usual_words(
    source: Literal["reference", "live", "learning"], days: int | None, needs: int | None, until: str
) -> str:
    """Return the source of the usual effects in words; empty for a reference, which is the default.

    `days`: whole days known, of the `needs` days required; `until`: the end of the time from which they are learned.
    """
    if source == "reference":
        return ""
    if source == "live":
        return f"what is usual was learned from the first {needs} days, until {until}"
    end = f", until {until} at the earliest" if until else ""
    return f"learning what is usual: {days} of {needs} days{end}"
