"""Counting of raw columns into panes: slots, fixed-point sums, unexpected names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from app.core.panes.column_places import Places
from app.core.panes.labels import INVALID, MISSING, label_codes
from app.core.panes.pane import Names, Pane, add_name
from app.core.reference.layout import CLIP, FIXED_POINT, Floats, Integers, Layout, Slots
from app.core.values.reading import MISSING_CATEGORIES, name_of, names, numbers

Scalar = str | int | float | bool | None
Slot = NDArray[np.int32]
Values = Sequence[Scalar] | Floats
"""A column: any values, or numbers alone (NaN where missing)."""

NON_FINITE = {"NaN": np.nan, "Infinity": np.inf, "-Infinity": -np.inf}
"""JSON's spellings of the floats that it has no numbers for."""

NUMBERS = frozenset({float, type(None)})
"""The types of a column of numbers, some of which are missing."""
MOST_SPELLINGS = 10_000
"""Maximum number of spellings of known categories that are remembered for each column."""


class CategoryCodes(dict[Scalar, int]):
    """Mapping from raw cell to slot of a categorical column, by the column's reading; an unknown cell is unseen.

    `mistakable`: the column distinguishes True from 1, which are one key of a dict.
    """

    def __init__(self, slots: Slots) -> None:
        super().__init__(slots.codes.items())
        self._reading = slots.column.reading
        self._by_name: dict[str, int] = {str(name): code for name, code in slots.codes.items()}
        words = MISSING_CATEGORIES if self._reading.missing is None else self._reading.missing
        self.update(dict.fromkeys((None, *words), slots.missing))
        self.missing = slots.missing
        self.unseen = slots.unseen
        self.mistakable = any(self.slot(flag) != self.slot(int(flag)) for flag in (True, False))

    def slot(self, value: Scalar) -> int:
        """Return the slot of a cell, however it is spelled."""
        name = name_of(value, self._reading)
        return self.missing if name is None else self._by_name.get(name, self.unseen)

    def __missing__(self, value: Scalar) -> int:
        slot = self.slot(value)
        if slot != self.unseen and len(self) < MOST_SPELLINGS:
            self[value] = slot
        return slot


def numeric_slots(slots: Slots, values: Values) -> tuple[Slot, Floats]:
    """Return the slots of a numeric column and its values as floats (NaN where missing or of the wrong type)."""
    if isinstance(values, np.ndarray) or set(map(type, values)) <= NUMBERS:
        floats = np.asarray(values, np.float64)
        return slots.numeric(floats).astype(np.int32), floats
    floats, invalid = numbers(values, slots.column.reading)
    found = slots.numeric(floats).astype(np.int32)
    found[invalid] = slots.invalid
    return found, floats


def categorical_codes(codes: CategoryCodes, values: Sequence[Scalar]) -> Iterator[int]:
    """Return an iterator over the slot of each value of a categorical column."""
    if codes.mistakable and bool in set(map(type, values)):
        return map(codes.slot, values)
    return map(codes.__getitem__, values)


def categorical_slots(codes: CategoryCodes, values: Sequence[Scalar]) -> Slot:
    """Return the slots of a categorical column."""
    return np.fromiter(categorical_codes(codes, values), np.int32, len(values))


def unseen_names(slots: Slots, found: Slot, values: Sequence[Scalar]) -> dict[str, int]:
    """Return the names of the unseen categories among the values with their counts, capped."""
    tally: dict[str, int] = {}
    rows = np.flatnonzero(found == slots.unseen).tolist()
    for name in names([values[i] for i in rows], slots.column.reading):
        add_name(tally, name or "", 1)
    return tally


def standard_sums(floats: Floats, centre: Floats, scale: Floats) -> tuple[Integers, Integers]:
    """Return each value's share of the sums: standardised and squared, fixed point; 0 where it is missing.

    `floats`: columns x n; `centre` and `scale` of each column.
    """
    scaled = (floats - centre[:, None]) / scale[:, None]
    np.clip(scaled, -CLIP, CLIP, out=scaled)
    scaled[np.isnan(scaled)] = 0.0
    squared = np.rint(scaled * scaled * FIXED_POINT).astype(np.int64)
    return np.rint(scaled * FIXED_POINT).astype(np.int64), squared


def pick(columns: Sequence[Values], rows: Sequence[int]) -> list[Values]:
    """Return the given rows of every column."""
    return [c[list(rows)] if isinstance(c, np.ndarray) else [c[i] for i in rows] for c in columns]


def other_labels(layout: Layout, found: Integers, cells: Sequence[Scalar]) -> tuple[Integers, dict[int, str]]:
    """Return codes of predictions that are none of the profile's labels, and the spelling of each code.

    `found`: their slots from the column's own start; `cells`: their raw values where they are unseen.
    """
    slots = layout.prediction
    categories = slots.column.categories
    told = [
        cell if slot == slots.unseen else categories[slot] if slot < slots.unseen else None
        for cell, slot in zip(cells, found.tolist(), strict=True)
    ]
    known = {label: i for i, label in enumerate(layout.profile.labels)}
    codes, unknown = label_codes(known, told, slots.column.reading)
    codes[found == slots.invalid] = INVALID
    return codes, unknown


class InputCounter:
    """Counter that turns columns of one layout into slots and sums; compiled once for each model version."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.codes = {
            i: CategoryCodes(slots) for i, slots in enumerate(layout.slots) if slots.column.kind == "categorical"
        }
        self.offsets = np.array([slots.offset for slots in layout.slots], np.int32)
        numeric = [layout.slots[i].column for i in layout.numeric]
        self.centre = np.array([column.centre for column in numeric], np.float64)
        self.scale = np.array([column.scale for column in numeric], np.float64)
        self.calibration = np.array(layout.profile.calibration, np.float64).reshape(-1, 2).T.copy()
        self.estimates = layout.probability is not None and layout.profile.task != "regression"

    @cached_property
    def places(self) -> Places:
        """Return the positions of its columns of each kind."""
        return Places.of(self.layout)

    def calibrated(self, probability: Floats) -> Floats:
        """Return probabilities as the reference calibrates them."""
        return np.interp(probability, *self.calibration) if self.calibration.size else probability

    def count(self, columns: Sequence[Values]) -> CountedRows:
        """Count rows given by column, in the layout's order (features, prediction, probability).

        A probability column may hold NaN or None; a column must hold one value a row.
        """
        n = len(columns[0]) if columns else 0
        layout = self.layout
        counted = CountedRows(n, len(layout.slots), layout.sums)
        floats = np.empty((len(layout.numeric), n))
        counted.floats = dict(zip(layout.numeric, floats, strict=True))
        for i, (slots, values) in enumerate(zip(layout.slots, columns, strict=True)):
            if slots.column.kind == "numeric":
                found, counted.floats[i][:] = numeric_slots(slots, values)
            else:
                plain = values.tolist() if isinstance(values, np.ndarray) else values
                found = categorical_slots(self.codes[i], plain)
                if (found == slots.unseen).any():
                    counted.unseen[slots.column.name] = (slots, found, plain)
            counted.slots[:, i] = found
        counted.slots += self.offsets
        own = counted.sums[:, : 2 * len(floats)].T
        own[0::2], own[1::2] = standard_sums(floats, self.centre, self.scale)
        self._estimate(counted)
        return counted

    def _estimate(self, counted: CountedRows) -> None:
        """Count the last two sums: the expectation of `estimation` for these rows (see `Layout`)."""
        layout = self.layout
        if not self.estimates:
            return
        share = np.clip(self.calibrated(counted.floats[len(layout.slots) - 1]), 0.0, 1.0)
        given = ~np.isnan(share)
        share[~given] = 0.0
        mass = np.rint(share * FIXED_POINT).astype(np.int64)
        if layout.profile.task == "multiclass":
            counted.sums[:, -2], counted.sums[:, -1] = mass, given
            return
        code = counted.slots[:, len(layout.profile.features)] - layout.prediction.offset
        for label in (0, 1):
            counted.sums[:, -2 + label] = np.where(code == label, mass, 0)


class CountedRows:
    """Rows as slots (n x columns, positions in the whole count vector) and sums (n x sums), column by column."""

    def __init__(self, n: int, columns: int, sums: int) -> None:
        self.n = n
        self.slots = np.empty((columns, n), np.int32).T
        self.sums = np.zeros((sums, n), np.int64).T
        self.floats: dict[int, Floats] = {}
        self.unseen: dict[str, tuple[Slots, Slot, Sequence[Scalar]]] = {}

    def labels_and_values(self, layout: Layout) -> tuple[NDArray[np.int16], Floats, dict[int, str]]:
        """Return the data that the join keeps of each row: the predicted label's code and the number to judge.

        For the code see `label_codes`. The number is the probability of a classifier (NaN without one), the
        prediction of a regression. Third comes the spelling of the labels that are not the profile's, by their codes.
        """
        at = len(layout.profile.features)
        nothing = np.full(self.n, np.nan)
        slots = layout.prediction
        code = (self.slots[:, at] - slots.offset).astype(np.int64)
        if layout.profile.task == "regression":
            label = np.where(code == slots.invalid, INVALID, MISSING)
            return label.astype(np.int16), self.floats.get(at, nothing), {}
        unknown: dict[int, str] = {}
        others = np.flatnonzero(code >= len(layout.profile.labels))
        if len(others):
            raw = self.unseen.get(slots.column.name)
            cells = [None if raw is None else raw[2][i] for i in others.tolist()]
            code[others], unknown = other_labels(layout, code[others], cells)
        return code.astype(np.int16), self.floats.get(at + 1, nothing), unknown

    def names(self, rows: Sequence[int] | NDArray[np.intp] | None = None) -> Names:
        """Return the unexpected names among the given rows (all when None)."""
        names: Names = {}
        for column, (slots, found, values) in self.unseen.items():
            if rows is None:
                tally = unseen_names(slots, found, values)
            else:
                picked = np.asarray(rows, np.int64)
                tally = unseen_names(slots, found[picked], [values[i] for i in picked.tolist()])
            if tally:
                names[column] = tally
        return names


def input_pane(
    layout: Layout,
    features: Mapping[str, Sequence[Scalar] | Floats],
    prediction: Sequence[Scalar] | Floats,
    probability: Sequence[Scalar] | Floats | None = None,
) -> Pane:
    """Return the pane of whole columns, for offline use; a feature that is absent counts as missing."""
    n = len(prediction)
    columns: list[Sequence[Scalar]] = []
    for slots in layout.features:
        column = features.get(slots.column.name)
        columns.append([None] * n if column is None else _as_list(column))
    columns.append(_as_list(prediction))
    if layout.probability is not None:
        columns.append([None] * n if probability is None else _as_list(probability))
    counted = InputCounter(layout).count(columns)
    return Pane.of(
        n, np.bincount(counted.slots.ravel(), minlength=layout.size), counted.sums.sum(axis=0), counted.names()
    )


def _as_list(column: Sequence[Scalar] | Floats) -> Sequence[Scalar]:
    return [float(v) for v in column] if isinstance(column, np.ndarray) else column
