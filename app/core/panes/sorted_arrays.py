"""Sorted arrays of any lengths, one after another: many values are searched at once, each in its own array.

The values of an array are first separated by BUCKETS of equal width between its least and its largest, as in an
interpolation search (Peterson 1957). The remaining values are searched by halves, in a line or two of memory.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from app.core.reference.layout import Floats, Integers

BUCKETS = 512
TOGETHER = 8192
"""Values that are searched at once: their intermediate results stay in the processor's cache."""


class SortedArrays:
    """Arrays by number, none of them empty. Added arrays are copied at the next search."""

    def __init__(self) -> None:
        self.values: Floats = np.empty(0)
        self.starts: Integers = np.empty(0, np.int64)
        self.lengths: Integers = np.empty(0, np.int64)
        self._least: Floats = np.empty(0)
        self._scale: Floats = np.empty(0)
        self._begins: NDArray[np.uint32] = np.empty(0, np.uint32)
        """For each array, how many of its values are in the buckets before each bucket, and in all."""
        self._added: list[Floats] = []

    def __len__(self) -> int:
        return len(self.lengths) + len(self._added)

    def add(self, arrays: Sequence[Floats]) -> None:
        """Add arrays, numbered on from the existing ones."""
        self._added += arrays

    def _take_in(self) -> None:
        if not self._added:
            return
        added, self._added = self._added, []  # all at once: each time all arrays are copied
        least, largest = np.array([one[0] for one in added]), np.array([one[-1] for one in added])
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            scale = np.where(largest > least, BUCKETS / (largest - least), 0.0)
        every = np.arange(BUCKETS + 1)
        begins = [
            _buckets(one, low, factor).searchsorted(every).astype(np.uint32)
            for one, low, factor in zip(added, least, scale, strict=True)
        ]
        self.values = np.concatenate([self.values, *added])
        self.lengths = np.concatenate([self.lengths, [len(one) for one in added]]).astype(np.int64)
        self.starts = np.cumsum(self.lengths) - self.lengths
        self._least, self._scale = np.concatenate([self._least, least]), np.concatenate([self._scale, scale])
        self._begins = np.concatenate([self._begins, *begins])

    def find(self, which: Integers, values: Floats) -> tuple[Integers, NDArray[np.bool_]]:
        """Return how many values of its array each value is above, and whether the value is one of them.

        `which`: n numbers of arrays. As in `np.searchsorted`, except that NaN is above none.
        """
        self._take_in()
        if len(values) <= TOGETHER:
            return self._find(which, values)
        left, equal = np.empty(len(values), np.int64), np.empty(len(values), np.bool_)
        for start in range(0, len(values), TOGETHER):
            part = slice(start, start + TOGETHER)
            left[part], equal[part] = self._find(which[part], values[part])
        return left, equal

    def _find(self, which: Integers, values: Floats) -> tuple[Integers, NDArray[np.bool_]]:
        bucket = which * (BUCKETS + 1) + _buckets(values, self._least[which], self._scale[which])
        begin = self._begins[bucket].astype(np.int64)
        size = self._begins[bucket + 1] - begin
        starts = self.starts[which]
        at = starts + begin
        for _ in range(int(size.max(initial=1) - 1).bit_length()):  # halved until at most one value is left of each
            half = size >> 1
            at += half * (self.values.take(at + half - 1, mode="clip") < values)
            size -= half
        at += (size > 0) & (self.values.take(at, mode="clip") < values)
        last = starts + self.lengths[which] - 1
        return at - starts, self.values.take(np.minimum(at, last)) == values


def _buckets(values: Floats, least: Floats | np.float64, scale: Floats | np.float64) -> Integers:
    """Return the bucket of each value, which ascends with the values, since each step does; NaN is in the first."""
    with np.errstate(over="ignore", invalid="ignore"):
        place = (values - least) * scale
    found: Integers = np.fmin(np.fmax(place, 0.0), BUCKETS - 1.0).astype(np.int64)
    return found
