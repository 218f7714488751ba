"""Windows of the first days of a live stream, kept until its usual effects are learned: bounded, and exact."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from app.core.reference.usual import Floats
from app.core.usual.spans import DAY, OVERLAP

Effects = NDArray[np.uint16]
"""Effects in units of 1 in 10,000, the precision of usual effects."""
UNITS = 10_000
STRIDE = 1200.0
"""Approximate seconds between two looks at a stream.

They are as close as the windows of a month's reference, which are at most MOST (see `spans`).
"""
GOLDEN = (5.0**0.5 - 1.0) / 2.0
"""Golden section, by which each look is at another moment of its STRIDE: hourly patterns are then sampled evenly."""
BEGINNING = -(1 << 60)
_HEAD = struct.Struct("<qII")


@dataclass(frozen=True, slots=True)
class Look:
    """Windows of one length that end at a pane. `number`: of the look since 1970, `places`: of the spans."""

    number: int
    end: int
    places: tuple[int, ...]


@dataclass(slots=True)
class LearnedDay:
    """The effects of windows that ended on a day, by the place of their span; its rows, columns x bins, flattened."""

    seen: dict[int, list[Effects]] = field(default_factory=dict)
    rows: NDArray[np.int64] | None = None


class Days:
    """The effects of windows of each span, by the days on which they ended.

    `spans`: lengths in panes, ascending; `pane`: its seconds; `width`: the number of effects of a window.
    """

    def __init__(self, spans: tuple[int, ...], pane: float, width: int) -> None:
        self.spans, self.pane, self.width = spans, pane, width
        self.stride = max(STRIDE, pane)
        self.every = tuple(max(1, round(span * pane / OVERLAP / self.stride)) for span in spans)
        """Looks per window of each span: one in this many looks is at a window of the span."""
        self.days: dict[int, LearnedDay] = {}
        self.last = BEGINNING
        """The number of the newest look."""

    def looks(self, oldest: int, until: int) -> Iterator[Look]:
        """Yield the looks at panes from `oldest` to `until` that have not been taken, oldest first.

        A look counts as taken when it is yielded; the next one is found when the one before has been processed.
        """
        while True:
            number = max(self.last + 1, self._number(oldest))
            end = self._end(number)
            if end > until:
                return
            self.last = number
            yield Look(number, end, tuple(i for i, every in enumerate(self.every) if number % every == 0))

    def day_of(self, look: Look) -> int:
        """Return the day (since 1970, UTC) in which the windows of a look ended."""
        return int(((look.end + 1) * self.pane - 1e-6) // DAY)

    def add(self, look: Look, place: int, effects: Floats) -> None:
        """Add the effects of a window of the span at a place."""
        day = self.days.setdefault(self.day_of(look), LearnedDay())
        day.seen.setdefault(place, []).append(np.rint(np.clip(effects, 0.0, 1.0) * UNITS).astype(np.uint16))

    def count(self, look: Look, rows: NDArray[np.int64]) -> bool:
        """Count the rows that came since the look before (columns x bins). Return whether its day has any window."""
        day = self.days.get(self.day_of(look))
        if day is None:
            return False
        day.rows = rows.ravel() if day.rows is None else day.rows + rows.ravel()
        return True

    def at(self, place: int) -> tuple[NDArray[np.int64], Floats]:
        """Return the day of each window of a span, and its effects (windows x width)."""
        found = [(day, one) for day, seen in sorted(self.days.items()) for one in seen.seen.get(place, ())]
        if not found:
            return np.zeros(0, np.int64), np.zeros((0, self.width))
        effects = np.stack([one for _, one in found]).astype(np.float64) / UNITS
        return np.array([day for day, _ in found], np.int64), effects

    def packed(self, day: int) -> bytes:
        """Return a day as bytes for a table, with the number of the newest look."""
        found = self.days[day]
        rows = np.zeros(0, np.int64) if found.rows is None else found.rows.ravel()
        parts = [_HEAD.pack(self.last, len(found.seen), len(rows)), rows.astype("<i8").tobytes()]
        for place, seen in sorted(found.seen.items()):
            parts += [struct.pack("<II", place, len(seen)), np.stack(seen).astype("<u2").tobytes()]
        return zlib.compress(b"".join(parts), 1)

    def load(self, day: int, packed: bytes) -> None:
        """Load a day from the bytes that `packed` returned."""
        raw = zlib.decompress(packed)
        last, spans, rows = _HEAD.unpack_from(raw)
        at = _HEAD.size + 8 * rows
        counted = np.frombuffer(raw, "<i8", rows, _HEAD.size).astype(np.int64)
        found = LearnedDay(rows=counted if rows else None)
        for _ in range(spans):
            place, n = struct.unpack_from("<II", raw, at)
            effects = np.frombuffer(raw, "<u2", n * self.width, at + 8).astype(np.uint16)
            found.seen[place] = list(effects.reshape(n, self.width))
            at += 8 + 2 * n * self.width
        self.days[day] = found
        self.last = max(self.last, last)

    def _end(self, number: int) -> int:
        """Return the last pane that ends at or before a look."""
        within = number * GOLDEN % 1.0 if self.stride > self.pane else 0.0
        return int(((number + within) * self.stride + 1e-6) // self.pane) - 1

    def _number(self, pane: int) -> int:
        """Return the first look whose end is this pane or a later one."""
        number = int((pane + 1) * self.pane // self.stride) - 1
        while self._end(number) < pane:
            number += 1
        return number
