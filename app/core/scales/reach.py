"""How far back a thin window reaches, and which panes must be kept for it: by rows, at most so many panes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
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
        for pane, more in _older(rows_of, known, end - panes, end - longest):
            rows += more
            reached = end - pane + 1
            if rows >= needed:
                return Reach(reached, reached, rows)
    return Reach(panes, reached, rows)


def still_needed(rows_of: Rows, known: Collection[int], newest: int, first: int, longest: int, needed: int) -> set[int]:
    """Return which panes up to `newest` windows that end with `first` (after it) or later can reach back to.

    A later window has at least the same rows behind each pane, so that it reaches no further back.
    """
    rows = sum(map(rows_of, range(newest + 1, first + 1)))
    kept = set[int]()
    if rows < needed:
        for pane, more in _older(rows_of, known, newest, first - longest):
            kept.add(pane)
            rows += more
            if rows >= needed:
                break
    return kept


def _older(rows_of: Rows, known: Collection[int], newest: int, oldest: int) -> Iterable[tuple[int, int]]:
    """Panes with rows from `newest` back, down to the one after `oldest`."""
    panes: Iterable[int] = range(newest, oldest, -1)
    if len(known) < newest - oldest:
        panes = sorted((pane for pane in known if oldest < pane <= newest), reverse=True)
    return ((pane, rows) for pane in panes if (rows := rows_of(pane)))
