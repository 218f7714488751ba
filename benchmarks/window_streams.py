"""Windows of rows drawn from a population, as panes: each on its own, or 60 panes that roll by one."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.core.panes.pane import Names, Pane, add_name
from benchmarks.populations import Watched

PANES = 60
"""Panes of a rolling window."""


@dataclass(frozen=True)
class Window:
    """A window's two panes."""

    inputs: Pane
    outcomes: Pane


class Drawn:
    """Rows drawn so far, in the dense counts of their panes. `add` and `subtract` take positions of rows."""

    def __init__(self, watched: Watched) -> None:
        self.n = 0
        self._w = watched
        self._inputs = np.zeros(watched.layout.size, np.int64)
        self._outcomes = np.zeros(watched.outcome_layout.size, np.int64)
        self._mass = np.zeros(2, np.int64)
        self._unseen: dict[str, Counter[str]] = {}

    def add(self, rows: NDArray[np.int64], watched: Watched, sign: int = 1) -> None:
        """Count rows of a population that is compiled for the same reference."""
        self.n += sign * len(rows)
        outcomes = watched.outcomes.pick(rows)
        slots = outcomes.slots.ravel()
        for dense, found in ((self._inputs, watched.inputs[rows].ravel()), (self._outcomes, slots[slots >= 0])):
            if len(found) * 4 < len(dense):  # few rows touch few slots
                unique, counts = np.unique(found, return_counts=True)
                dense[unique] += sign * counts
            else:
                np.add(dense, sign * np.bincount(found, minlength=len(dense)), out=dense)
        self._mass += sign * watched.mass[rows].sum(axis=0)
        layout = watched.outcome_layout
        self._outcomes[layout.limbs] += sign * outcomes.sums()[0]
        for name, codes in watched.unseen.items():
            counts = np.bincount(codes[rows] + 1)
            tally = self._unseen.setdefault(name, Counter())
            for code in (np.flatnonzero(counts[1:])).tolist():
                tally[watched.names[name][code]] += sign * int(counts[code + 1])

    def window(self) -> Window:
        """What was drawn, as the stream's merged panes are. Sums of columns are left 0: they are words in a report."""
        sums = np.zeros(self._w.layout.sums, np.int64)
        sums[-2:] = self._mass
        names: Names = {column: {} for column in self._unseen}
        for column, tally in self._unseen.items():
            for name, count in tally.items():
                if count:
                    add_name(names[column], name, count)
        return Window(
            Pane.of(self.n, self._inputs, sums, names), Pane.of(self.n, self._outcomes, np.zeros(0, np.int64))
        )


def independent(watched: Watched, n: int, windows: int, rng: np.random.Generator) -> Iterator[Window]:
    """Windows of n rows, each drawn anew."""
    for _ in range(windows):
        drawn = Drawn(watched)
        drawn.add(rng.integers(watched.population.n, size=n), watched)
        yield drawn.window()


def rolling(
    watched: Watched, n: int, windows: int, rng: np.random.Generator, later: Watched | None = None, change: int = 0
) -> Iterator[Window]:
    """Windows of n rows in 60 panes, rolling by one; panes from number `change` on come from `later`."""
    drawn = Drawn(watched)
    panes: deque[tuple[Watched, NDArray[np.int64]]] = deque()
    for number in range(windows + PANES - 1):
        source = later if later is not None and number >= change + PANES - 1 else watched
        size = n * (number + 1) // PANES - n * number // PANES
        rows = rng.integers(source.population.n, size=size)
        drawn.add(rows, source)
        panes.append((source, rows))
        if len(panes) > PANES:
            gone, rows = panes.popleft()
            drawn.add(rows, gone, -1)
        if number >= PANES - 1:
            yield drawn.window()
