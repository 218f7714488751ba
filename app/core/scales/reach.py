"""How far back a thin window reaches, and which panes must be kept for it: by rows, at most so many panes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

Rows = Callable[[int], int]
"""Return how many rows a pane has."""


@dataclass(frozen=True, slots=True)
class Reach:
    """A window's numbers of panes: of the window itself, and of the longest suffix that is judged beside it.

    `window`: more than the usual number where that brings it to the rows that are needed. `scales`: as far back as
    there are rows, up to those needed. `rows`: in that longest suffix.
    """

    window: int
    scales: int
    rows: int


def reach_of(rows_of: Rows, known: Collection[int], end: int, panes: int, longest: int, needed: int) -> Reach:
    """Return how far back a window that ends with `end` reaches.

    `known`: the panes that may have rows; `panes`: the usual number, `longest`: the largest; `needed`: rows.
    """
    rows = sum(map(rows_of, range(end - panes + 1, end + 1)))
    reached = panes
    if rows < needed:
        for pane, more in older(rows_of, known, end - panes, end - longest):
            rows += more
            reached = end - pane + 1
            if rows >= needed:
                return Reach(reached, reached, rows)
    return Reach(panes, reached, rows)


def oldest_needed(rows_of: Rows, known: Collection[int], first: int, longest: int, needed: int) -> int:
    """Return the oldest pane that windows which end with `first` or later can reach back to; `first` without rows.

    A later window has at least the same rows behind each pane, so that it reaches no further back. All panes with rows
    from there on are needed, and they are no more than `needed`, beside those of the window itself.
    """
    rows, oldest = 0, first
    for pane, more in older(rows_of, known, first, first - longest):
        rows += more
        oldest = pane
        if rows >= needed:
            break
    return oldest


def older(rows_of: Rows, known: Collection[int], newest: int, oldest: int) -> Iterator[tuple[int, int]]:
    """Yield the panes with rows from `newest` back, down to the one after `oldest`."""
    near = max(newest - len(known), oldest)  # one by one, as long as that is no more than to sort the known ones
    for pane in range(newest, near, -1):
        if rows := rows_of(pane):
            yield pane, rows
    for pane in sorted((pane for pane in known if oldest < pane <= near), reverse=True) if near > oldest else ():
        if rows := rows_of(pane):
            yield pane, rows
