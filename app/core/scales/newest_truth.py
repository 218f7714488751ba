"""Which panes have the newest truth, and how far back they are."""

from __future__ import annotations

from dataclasses import dataclass
from zlib import crc32

from app.core.config import Monitoring
from app.core.outcome import OutcomeLayout
from app.core.scales.metrics import TruthPane
from app.core.scales.reach import older
from app.core.slices import Slices, rows_of

MOST_KEPT = 10_000
"""Predictions that are kept for truth that came longer ago than truth is waited for."""


@dataclass(frozen=True, slots=True)
class Truth:
    """The newest panes with truth, the newest first; `source`: which partials they are made of, as a number."""

    panes: list[TruthPane]
    source: int

    @property
    def reach(self) -> int:
        """Return how many panes ago the oldest of them is (1: the newest pane)."""
        return self.panes[-1].age if self.panes else 1


def newest_truth(
    layout: OutcomeLayout, inputs: Slices, outcomes: Slices, end: int, late: int, monitoring: Monitoring
) -> Truth:
    """Return the newest panes with truth up to an end: as many as a window has, and as hold the rows that are needed.

    Before the last `late` panes only those since which no more than MOST_KEPT predictions came: no others are kept.
    """
    panes, sources, rows, predictions, after = list[TruthPane](), list[object](), 0, 0, 0
    oldest: int | None = None
    for pane, more in older(outcomes, end, end - monitoring.windows.most_panes):
        if pane <= end - late:
            oldest = _oldest_of(inputs, end, monitoring) if oldest is None else oldest
            if pane < oldest:
                break
        predictions += sum(rows_of(inputs, between) for between in range(pane, after if panes else pane + 1))
        slices = outcomes[pane]
        panes.append(TruthPane(end - pane + 1, slices.sum(layout.size, layout.sums), predictions))
        sources.append((pane, slices.revisions()))
        rows, after = rows + more, pane
        if len(panes) >= monitoring.windows.panes and rows >= monitoring.performance.min_samples:
            break
    return Truth(panes, crc32(repr(sources).encode()))


def _oldest_of(inputs: Slices, end: int, monitoring: Monitoring) -> int:
    """Return the oldest pane from which to an end there are no more than MOST_KEPT predictions."""
    rows, oldest = 0, end + 1
    for pane, more in older(inputs, end, end - monitoring.windows.most_panes):
        rows += more
        if rows > MOST_KEPT:
            break
        oldest = pane
    return oldest
