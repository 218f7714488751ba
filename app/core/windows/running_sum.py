"""The sum of the panes of a moving window: only added and removed panes are counted."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from app.core.panes.pane import Names, Pane, add_names


class RunningSum:
    """The same sum as `merge`, at the cost of the changes since the last call; in integers, so it is exact."""

    def __init__(self, size: int, sums: int) -> None:
        self.size = size
        self.sums = sums
        self._n = 0
        self._vector = np.zeros(size, np.int64)
        self._sums = np.zeros(sums, np.int64)
        self._panes: dict[int, Pane] = {}

    def of(self, panes: Mapping[int, Pane]) -> Pane:
        """Return the sum of these panes, each by its place; a changed pane must be another object."""
        names: Names = {}
        for place, pane in panes.items():
            known = self._panes.get(place)
            if known is not pane:
                if known is not None:
                    self._add(known, -1)
                self._add(pane, 1)
                self._panes[place] = pane
            if pane.names:  # names are capped in their order, and cannot be subtracted again
                add_names(names, pane.names)
        if len(self._panes) > len(panes):
            for place in [place for place in self._panes if place not in panes]:
                self._add(self._panes.pop(place), -1)
        return Pane.of(self._n, self._vector, self._sums.copy(), names)

    def _add(self, pane: Pane, sign: int) -> None:
        self._n += sign * pane.n
        self._vector[pane.indices] += sign * pane.counts
        self._sums += sign * pane.sums
