"""Counts of the panes of one kind since the last checkpoint: one structure for all panes that changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.core.panes.pane import SPARSE, Names, Pane, add_names, add_sparse
from app.core.panes.sums import PaneKey, PaneShape
from app.core.reference.layout import Integers

_SHIFT = 32
_LOW = (1 << _SHIFT) - 1
Slots = NDArray[np.int32]


@dataclass(slots=True)
class _Dense:
    """Slots of one pane with so many counts that each of its slots is visited."""

    plus: list[Slots]
    minus: list[Slots]


class PaneChanges:
    """The changed panes by number, in the order of their first change, with their counts.

    A number is given when a pane is first named, and lasts until `take`. The cost of `take` depends on what was
    counted, not on the number of panes that are kept. The last `limbs` slots of a pane are exact sums, which come
    already added up.
    """

    def __init__(self, shape_of: Callable[[int], PaneShape]) -> None:
        """Create without changes. `shape_of`: the shape of a model's panes."""
        self._shape_of = shape_of
        self._begin()

    def _begin(self) -> None:
        self._numbers: dict[int, int] = {}
        self._shapes: list[PaneShape] = []
        self._places: list[int] = []
        self._width = 0
        self._n = np.zeros(64, np.int64)
        self._amounts = np.zeros(1024, np.int64)
        self._plus: list[NDArray[np.int64]] = []
        self._minus: list[NDArray[np.int64]] = []
        self._dense: dict[int, _Dense] = {}
        self._names: dict[int, Names] = {}

    def __len__(self) -> int:
        """Return the number of changed panes."""
        return len(self._numbers)

    def has(self, key: PaneKey) -> bool:
        """Return whether a pane has changed."""
        return (key[0] << _SHIFT) + key[1] in self._numbers

    def number(self, model: int, pane: int) -> int:
        """Return the number of a pane, which counts as changed from now on."""
        return self._number((model << _SHIFT) + pane)

    def _number(self, code: int) -> int:
        number = self._numbers.get(code)
        if number is None:
            number = self._numbers[code] = len(self._numbers)
            shape = self._shape_of(code >> _SHIFT)
            self._shapes.append(shape)
            self._places.append(self._width)
            self._width += shape.sums + shape.limbs
            self._n = _with_room(self._n, number + 1)
            self._amounts = _with_room(self._amounts, self._width)
        return number

    def numbers(self, model: NDArray[np.integer], pane: NDArray[np.integer]) -> NDArray[np.int64]:
        """Return the number of each row's pane (n rows)."""
        codes = (model.astype(np.int64) << _SHIFT) + pane
        if len(codes) and codes[0] == codes[-1] and (codes == codes[0]).all():
            return np.full(len(codes), self._number(int(codes[0])), np.int64)
        distinct, inverse = np.unique(codes, return_inverse=True)
        return np.array([self._number(code) for code in distinct.tolist()], np.int64)[inverse]

    def count_rows(self, numbers: Integers, sign: int = 1) -> None:
        """Count rows (subtract them if `sign` is -1), by the numbers of their panes."""
        counts = np.bincount(numbers, minlength=len(self._numbers))
        self._n[: len(counts)] += sign * counts

    def count(self, numbers: Integers, slots: NDArray[np.integer], sign: int = 1) -> None:
        """Count values: the number of each value's pane, and its slot (-1 is none)."""
        codes = (numbers << _SHIFT) + slots
        if len(slots) and slots.min() < 0:
            codes = codes[slots >= 0]
        (self._plus if sign > 0 else self._minus).append(codes)

    def count_alone(self, number: int, slots: Slots, sign: int = 1) -> None:
        """Count values of one pane (slots; -1 is none)."""
        slots = slots.ravel("K")
        if len(slots) * SPARSE <= self._shapes[number].size:
            self.count(np.full(len(slots), number, np.int64), slots, sign)
            return
        dense = self._dense.setdefault(number, _Dense([], []))
        (dense.plus if sign > 0 else dense.minus).append(slots)

    def add_sums(self, number: int, sums: Integers, sign: int = 1) -> None:
        """Add to all sums, or all limbs, of one pane."""
        place = self._places[number]
        self._amounts[place : place + len(sums)] += sign * sums

    def add_each(self, numbers: Integers, which: NDArray[np.integer], amounts: Integers, sign: int = 1) -> None:
        """Add amounts, each to one sum (by its position) of the pane of its number."""
        np.add.at(self._amounts, np.array(self._places, np.int64)[numbers] + which, amounts * sign)

    def add_names(self, number: int, names: Names) -> None:
        """Count unexpected names in one pane."""
        add_names(self._names.setdefault(number, {}), names)

    def take(self) -> dict[PaneKey, Pane]:
        """Return the changes of each changed pane, and clear them."""
        first = [(number, Pane(0, *found, _NO_SUMS)) for number, found in self._dense_counts()]
        codes, counts = self._sorted_codes(first)
        bounds = np.searchsorted(codes, np.arange(len(self._numbers) + 1, dtype=np.int64) << _SHIFT).tolist()
        indices = (codes & _LOW).astype(np.int32)
        n = self._n.tolist()
        made = {}
        for number, code in enumerate(self._numbers):
            part, shape, place = slice(bounds[number], bounds[number + 1]), self._shapes[number], self._places[number]
            sums = self._amounts[place : place + shape.sums].copy()
            names = self._names.get(number, {})
            made[code >> _SHIFT, code & _LOW] = Pane(n[number], indices[part], counts[part], sums, names)
        self._begin()
        return made

    def _dense_counts(self) -> Iterable[tuple[int, tuple[Slots, Integers]]]:
        for number, dense in self._dense.items():
            plus, minus = _joined(dense.plus), _joined(dense.minus)
            counts = np.bincount(plus, minlength=self._shapes[number].size)
            if len(minus):
                counts -= np.bincount(minus, minlength=len(counts))
            indices = np.flatnonzero(counts)
            yield number, (indices.astype(np.int32), counts[indices].astype(np.int64, copy=False))

    def _sorted_codes(self, dense: Iterable[tuple[int, Pane]]) -> tuple[NDArray[np.int64], Integers]:
        """Return number and slot of everything counted, as one code each, ascending, and its count."""
        found = [_counted(self._plus, 1), _counted(self._minus, -1), self._limbs()]
        found += [((number << _SHIFT) + pane.indices.astype(np.int64), pane.counts) for number, pane in dense]
        found = [one for one in found if len(one[0])]
        if len(found) == 1:
            return found[0]
        if not found:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        return add_sparse(np.concatenate([codes for codes, _ in found]), np.concatenate([one for _, one in found]))

    def _limbs(self) -> tuple[NDArray[np.int64], Integers]:
        """Return the exact sums that are not 0 in the form of counts."""
        widths = np.array([shape.sums + shape.limbs for shape in self._shapes], np.int64)
        limbs = np.array([shape.limbs for shape in self._shapes], np.int64)
        if not limbs.any():
            return np.empty(0, np.int64), np.empty(0, np.int64)
        used = np.flatnonzero(self._amounts[: self._width])
        number = np.searchsorted(np.cumsum(widths), used, side="right")
        size = np.array([shape.size for shape in self._shapes], np.int64)
        slot = used - np.array(self._places, np.int64)[number] + size[number] - widths[number]
        limb = slot >= (size - limbs)[number]
        return (number[limb] << _SHIFT) + slot[limb], self._amounts[used[limb]]


_NO_SUMS = np.empty(0, np.int64)


def _joined(parts: list[Slots]) -> Slots:
    joined = np.concatenate(parts) if parts else np.empty(0, np.int32)
    return joined[joined >= 0] if len(joined) and joined.min() < 0 else joined


def _counted(parts: list[NDArray[np.int64]], sign: int) -> tuple[NDArray[np.int64], Integers]:
    """Return the distinct codes, ascending, and how often each occurs, times `sign`."""
    codes = np.sort(np.concatenate(parts)) if parts else np.empty(0, np.int64)
    if not len(codes):
        return codes, codes
    starts = np.flatnonzero(np.concatenate([[True], codes[1:] != codes[:-1]]))
    return codes[starts], sign * np.diff(starts, append=len(codes))


def _with_room(array: Integers, needed: int) -> Integers:
    if needed <= len(array):
        return array
    return np.concatenate([array, np.zeros(max(needed, 2 * len(array)) - len(array), np.int64)])
