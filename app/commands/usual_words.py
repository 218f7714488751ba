"""By what is usual of what windows are judged, in words."""

from __future__ import annotations

from typing import Literal


def usual_words(
    source: Literal["reference", "live", "learning"], days: int | None, needs: int | None, until: str
) -> str:
    """Return by what is usual of what windows are judged; nothing for a reference, as that is not worth a word.

    `days`: whole days that are known, of those that it `needs`; `until`: the end of the time that it is learned from.
    """
    if source == "reference":
        return ""
    if source == "live":
        return f"what is usual was learned from the first {needs} days, until {until}"
    end = f", until {until} at the earliest" if until else ""
    return f"learning what is usual: {days} of {needs} days{end}"
