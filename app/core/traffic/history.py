"""Numbers of predictions in each half hour of the last eight days: few numbers, and exact."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

import numpy as np

from app.core.reference.layout import Floats, Integers

Times = float | Floats
SLOT = 1_800.0
"""Minimum length of a slot in seconds; a slot has a whole number of panes."""
KEPT = 8 * 86_400.0 + 43_200.0
"""Seconds that are kept: a week, the time for the level before it, and the time that a silent window is judged."""


def slot_of(pane: float) -> float:
    """Return the length of a slot in seconds; `pane`: the seconds of a pane."""
    return pane * max(1, ceil(SLOT / pane - 1e-9))


class TrafficHistory:
    """Counts by slot, each by its number since 1970. Slots older than KEPT are dropped."""

    def __init__(self, slot: float) -> None:
        self.slot = slot
        self._counts: dict[int, int] = {}
        self._most = ceil(KEPT / slot)
        self._arrays: tuple[Integers, Floats] | None = None
        """The ascending slots and their counts; None after a change."""

    def add(self, at: float, n: int) -> None:
        """Count n predictions of the pane that begins at a time, in epoch seconds; a negative n subtracts them."""
        if not n:
            return
        self._arrays = None
        place = int(at // self.slot)
        self._counts[place] = self._counts.get(place, 0) + n
        if len(self._counts) > self._most:
            newest = max(self._counts)
            self._counts = {place: n for place, n in self._counts.items() if place > newest - self._most}

    def update(self, other: TrafficHistory) -> None:
        """Add all counts of another history, whatever the length of its slots."""
        for place, n in other._counts.items():
            self.add(place * other.slot, n)

    def packed(self) -> bytes:
        """Return the history as bytes, for a table."""
        numbers = [round(self.slot * 1_000_000)]
        numbers += [number for pair in sorted(self._counts.items()) for number in pair]
        return zlib.compress(b" ".join(b"%d" % number for number in numbers))

    @classmethod
    def unpacked(cls, packed: bytes) -> TrafficHistory:
        """Return the history that `packed` returned as bytes."""
        slot, *numbers = map(int, zlib.decompress(packed).split())
        found = cls(slot / 1_000_000)
        found._counts = dict(zip(numbers[::2], numbers[1::2], strict=True))
        return found

    def until(self, end: float, later: Callable[[float], int]) -> Arrived:
        """Return how many predictions had come by each time up to `end`.

        `later(at)`: how many of the slot that begins at `at` came after `end`.
        """
        slots, counted = self._sorted()
        stop = int(np.searchsorted(slots * self.slot, end))
        if not stop:
            return NOTHING
        last = int(slots[stop - 1])
        start = int(np.searchsorted(slots, last - self._most, side="right"))
        first = int(slots[start])
        counts = np.zeros(last - first + 1)
        counts[slots[start:stop] - first] = counted[start:stop]
        if (last + 1) * self.slot > end:
            counts[-1] -= later(last * self.slot)
        edges = np.append(np.arange(first, last + 1) * self.slot, min((last + 1) * self.slot, end))
        return Arrived(edges, np.concatenate(([0.0], counts.cumsum())))

    def _sorted(self) -> tuple[Integers, Floats]:
        if self._arrays is None:
            slots = np.array(sorted(self._counts), np.int64)
            self._arrays = slots, np.array([self._counts[slot] for slot in slots.tolist()], np.float64)
        return self._arrays


@dataclass(frozen=True, slots=True, eq=False)
class Arrived:
    """Numbers of predictions that had come by each of these times; between two times the rate is constant."""

    edges: Floats
    totals: Floats

    @property
    def since(self) -> float:
        """Return the time from which on anything is known, in epoch seconds."""
        return float(self.edges[0])

    def between(self, start: Times, end: Times) -> Floats:
        """Return how many came between two times; of arrays between each pair."""
        return self._until(end) - self._until(start)

    def _until(self, times: Times) -> Floats:
        return np.asarray(np.interp(times, self.edges, self.totals), np.float64)


NOTHING = Arrived(np.asarray([np.inf]), np.asarray([0.0]))
