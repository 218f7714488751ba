"""Reach of a thin window: how many panes it goes back, and which panes must be kept for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from app.core.panes.slices import Slices, rows_of


@dataclass(frozen=True, slots=True)
class Reach:
    """A window's numbers of panes: of the window itself, and of the longest suffix that is judged in addition.

    `window`: more than the usual number where this gives it the rows that are needed. `scales`: as far back as there
    are rows, up to those needed. `rows`: the rows in this longest suffix.
    """

    window: int
    scales: int
    rows: int


def reach_of(slices: Slices, end: int, panes: int, longest: int, needed: int) -> Reach:
    """Return how far back the window that ends with `end` reaches.

    `panes`: the usual number, `longest`: the largest; `needed`: the rows that a window should have.
    """
    rows = sum(rows_of(slices, pane) for pane in range(end - panes + 1, end + 1))
    reached = panes
    if rows < needed:
        for pane, more in older(slices, end - panes, end - longest):
            rows += more
            reached = end - pane + 1
            if rows >= needed:
                return Reach(reached, reached, rows)
    return Reach(panes, reached, rows)


def oldest_needed(slices: Slices, first: int, longest: int, needed: int) -> int:
    """Return the oldest pane that windows which end with `first` or later can reach back to; `first` without rows.

    A later window has at least the same rows after each pane, so that it reaches no further back. All panes with rows
    from there on are needed, and they have at most `needed` rows, in addition to those of the window itself.
    """
    rows, oldest = 0, first
    for pane, more in older(slices, first, first - longest):
        rows += more
        oldest = pane
        if rows >= needed:
            break
    return oldest


def older(slices: Slices, newest: int, oldest: int) -> Iterator[tuple[int, int]]:
    """Yield the panes with rows from `newest` back, down to the one after `oldest`."""
    near = max(newest - len(slices), oldest)  # one by one, as long as this costs no more than sorting the known ones
    for pane in range(newest, near, -1):
        found = slices.get(pane)
        if found is not None and found.n:
            yield pane, found.n
    for pane in sorted((pane for pane in slices if oldest < pane <= near), reverse=True) if near > oldest else ():
        if slices[pane].n:
            yield pane, slices[pane].n
