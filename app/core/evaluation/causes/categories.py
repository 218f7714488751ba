"""Causes of a categorical column's change: a new category, a missing one, another spelling."""

from __future__ import annotations

from collections.abc import Mapping

from app.core.evaluation.results import cause
from app.core.panes.pane import OTHER
from app.core.reference.layout import Slots
from topics.results import Cause

NEW, GONE, MOVED = 0.05, 0.05, 0.1
"""Shares of the rows from which on a category is named: as new, as missing, or as more frequent by this much."""
LONGEST = 40


def of_categories(slots: Slots, there: Mapping[int, int], unseen: Mapping[str, int]) -> Cause | None:
    """Return the likely cause from the counts by slot and the names of unseen categories."""
    names, before = slots.column.categories, slots.shares[:-1].tolist()
    counts = [there.get(i, 0) for i in range(len(names))]
    rows = sum(counts) + there.get(slots.unseen, 0)
    if not rows or not slots.total or not names:
        return None
    shares = [count / rows for count in counts]
    gone = [i for i in range(len(names)) if before[i] >= GONE and shares[i] < before[i] / 10]
    lost = max(gone, key=lambda i: before[i], default=None)
    if there.get(slots.unseen, 0) / rows >= NEW:
        return _new(there[slots.unseen], rows, unseen, None if lost is None else (names[lost], before[lost]))
    if lost is not None:
        return cause("category gone", f"{_quoted(names[lost])} ({before[lost]:.0%} before) hardly occurs any more")
    most = max(range(len(names)), key=lambda i: shares[i] - before[i])
    if shares[most] - before[most] < MOVED:
        return None
    words = f"more {_quoted(names[most])}: {before[most]:.0%} before, {shares[most]:.0%} now"
    return cause("mix", f"{words} (one segment has grown, or others are missing)")


def _new(count: int, rows: int, unseen: Mapping[str, int], lost: tuple[str, float] | None) -> Cause:
    """Return the cause for a new category, and for the one that it replaces, if any (its name and its share before)."""
    n, name = max(((n, name) for name, n in unseen.items() if name != OTHER), default=(0, ""))
    if n / rows < NEW:
        return cause("new category", f"{count / rows:.0%} of the rows have categories that the reference does not have")
    words = f"a new category {_quoted(name)} ({n / rows:.0%} of the rows)"
    if lost is None or n / rows < lost[1] / 2:
        return cause("new category", words)
    if _plain(name) == _plain(lost[0]):
        return cause("spelling", f"{words}, another spelling of {_quoted(lost[0])}")
    return cause("new category", f"{words}, in the place of {_quoted(lost[0])}")


def _plain(name: str) -> str:
    """Return a name in lower case without spaces and punctuation."""
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def _quoted(name: str) -> str:
    short = name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"
    return f"“{short}”"
