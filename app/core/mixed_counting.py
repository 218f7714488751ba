"""Rows of many models at once, a few of each: counted as `Counter` does, by arrays over all of them."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from app.core.counting import NUMBERS, Counter, Scalar, Values, categorical_codes, other_labels, standard_sums
from app.core.labels import INVALID, MISSING
from app.core.layout import FIXED_POINT, Floats, Integers
from app.core.values.precision import in_precision
from app.core.values.reading import name_of, numbers

T = TypeVar("T", bound=np.generic)


@dataclass(frozen=True, slots=True)
class Part:
    """The rows of one model: its counter, and its columns in the layout's order."""

    counter: Counter
    columns: Sequence[Values]

    @property
    def n(self) -> int:
        """Rows."""
        return len(self.columns[0])


@dataclass(slots=True)
class MixedCounts:
    """What n rows count; rows are numbered through all parts.

    Each value has its `row` and its `slot`, each share of a sum its `sum_row`, the `place` of the sum in the pane and
    its `amount`. `label` and `value` are what the join keeps of a row. `names`: unexpected names, as (row, column,
    name). `unlisted`: by part, the spelling of predicted labels that the profile does not have, by their codes.
    """

    row: Integers
    slot: NDArray[np.int32]
    sum_row: Integers
    place: Integers
    amount: Integers
    label: NDArray[np.int16]
    value: Floats
    names: list[tuple[int, str, str]] = field(default_factory=list)
    unlisted: dict[int, dict[int, str]] = field(default_factory=dict)


class _Segments:
    """One kind of columns of all parts, one after another: where each column begins, and what belongs to it."""

    def __init__(self, parts: Sequence[Part], kind: str) -> None:
        self.n = np.array([part.n for part in parts], np.int64)
        self.columns = np.array([len(getattr(part.counter.places, kind)) for part in parts], np.int64)
        lengths = self.n * self.columns
        self.ends = np.cumsum(lengths)
        self.starts = self.ends - lengths  # of each part
        self.length = np.repeat(self.n, self.columns)  # of each column
        self.begins = np.cumsum(self.length) - self.length
        self.size = int(self.ends[-1]) if len(parts) else 0
        first = np.cumsum(self.n) - self.n
        self.row = np.arange(self.size, dtype=np.int64)
        self.row -= np.repeat(self.starts, lengths)
        self.row %= np.repeat(np.maximum(self.n, 1), lengths)
        self.row += np.repeat(first, lengths)

    def spread(self, of_columns: Sequence[NDArray[T]]) -> NDArray[T]:
        """What each part says of its columns, for each value."""
        return np.repeat(np.concatenate(of_columns), self.length)

    def column_of(self, values: Integers) -> Integers:
        """The columns, numbered through all parts, that values stand in."""
        return np.searchsorted(self.begins, values, side="right") - 1

    def rows_of(self, which: Sequence[int]) -> Integers:
        """Where the values of one column of each part stand, row by row; -1 for the rows of a part without it."""
        at = np.array(which, np.int64)
        first = np.repeat(np.where(at < 0, -1, self.starts + at * self.n), self.n)
        within = np.arange(len(first)) - np.repeat(np.cumsum(self.n) - self.n, self.n)
        return np.where(first < 0, -1, first + within)


def count_mixed(parts: Sequence[Part]) -> MixedCounts:
    """Count the rows of all parts."""
    numeric, categorical = _Segments(parts, "numeric"), _Segments(parts, "categorical")
    floats, number_slots = _numeric(parts, numeric)
    codes = _categorical(parts)
    counters = [part.counter for part in parts]
    slot = np.concatenate([
        number_slots + numeric.spread([counter.places.numeric_offsets for counter in counters]),
        codes + categorical.spread([counter.places.categorical_offsets for counter in counters]),
    ]).astype(np.int32)  # fmt: skip
    found = MixedCounts(
        row=np.concatenate([numeric.row, categorical.row]), slot=slot,
        sum_row=numeric.row, place=np.empty(0, np.int64), amount=np.empty(0, np.int64),
        label=np.empty(0, np.int16), value=np.empty(0),
    )  # fmt: skip
    found.names = list(_unseen(parts, categorical, codes))
    _label(parts, found, (numeric, floats, number_slots), (categorical, codes))
    _sum(parts, found, numeric, floats)
    return found


def _numeric(parts: Sequence[Part], segments: _Segments) -> tuple[Floats, Integers]:
    """All numbers, in the precision of their references, and their slots from their columns' own starts."""
    cells: list[Scalar] = []
    for part in parts:
        for i in part.counter.places.numeric:
            column = part.columns[i]
            cells += column.tolist() if isinstance(column, np.ndarray) else column
    invalid = np.empty(0, np.int64)
    if set(map(type, cells)) <= NUMBERS:
        given = _floats(cells)
    else:
        given, invalid = _read(parts)
    floats = _in_precision(parts, segments, given)
    slots, at = np.empty(len(floats), np.int64), np.empty(len(floats))
    references = chain.from_iterable(part.counter.places.references for part in parts)
    ends = np.cumsum(segments.length).tolist()
    for reference, start, end in zip(references, segments.begins.tolist(), ends, strict=True):
        slots[start:end] = left = reference.searchsorted(floats[start:end])
        at[start:end] = reference.take(left, mode="clip")
    slots *= 2
    slots += 1
    slots += floats == at
    odd = np.flatnonzero(~np.isfinite(floats))
    if len(odd) or len(invalid):
        sizes = np.concatenate([part.counter.places.numeric_sizes for part in parts])
        size, value = sizes[segments.column_of(odd)], floats[odd]
        slots[odd] = np.where(np.isnan(value), size - 2, np.where(value > 0, size - 3, 0))
        slots[invalid] = sizes[segments.column_of(invalid)] - 1
    return given, slots


def _floats(cells: Sequence[Scalar]) -> Floats:
    """Floats and None as an array, NaN for None."""
    try:
        return np.frombuffer(array("d", cells))  # type: ignore[type-var]  # a third of the time that numpy takes
    except TypeError:  # None is among them
        return np.array(cells, np.float64)


def _read(parts: Sequence[Part]) -> tuple[Floats, Integers]:
    """The same where some are no floats: read column by column. Also the positions of those that are no numbers."""
    found, wrong, at = [np.empty(0)], [np.empty(0, np.int64)], 0
    for part in parts:
        for i in part.counter.places.numeric:
            column = part.columns[i]
            if isinstance(column, np.ndarray) or set(map(type, column)) <= NUMBERS:
                floats = np.asarray(column, np.float64)
            else:
                floats, invalid = numbers(column, part.counter.layout.slots[i].column.reading)
                wrong.append(np.flatnonzero(invalid) + at)
            found.append(floats)
            at += len(floats)
    return np.concatenate(found), np.concatenate(wrong)


def _in_precision(parts: Sequence[Part], segments: _Segments, floats: Floats) -> Floats:
    if set().union(*(part.counter.places.precisions for part in parts)) <= {"float64"}:
        return in_precision(floats, "float64")
    precision = np.repeat(np.concatenate([part.counter.places.precisions for part in parts]), segments.length)
    found = floats.copy()
    for one in np.unique(precision).tolist():
        rows = np.flatnonzero(precision == one)
        found[rows] = in_precision(floats[rows], one)
    return found


def _categorical(parts: Sequence[Part]) -> NDArray[np.int32]:
    """The slots of all categories, from their columns' own starts."""
    found = array("i")
    for part in parts:
        for i, codes in part.counter.codes.items():
            column = part.columns[i]
            found.extend(categorical_codes(codes, column.tolist() if isinstance(column, np.ndarray) else column))
    return np.frombuffer(found, np.int32) if found else np.empty(0, np.int32)


def _unseen(parts: Sequence[Part], segments: _Segments, codes: NDArray[np.int32]) -> Iterator[tuple[int, str, str]]:
    """The names of unseen categories, in the order of columns and rows."""
    unseen = np.flatnonzero(codes == segments.spread([part.counter.places.unseen for part in parts]))
    if not len(unseen):
        return
    columns = [(part, i) for part in parts for i in part.counter.places.categorical]
    which = segments.column_of(unseen)
    within = unseen - segments.begins[which]
    for row, column, position in zip(segments.row[unseen].tolist(), which.tolist(), within.tolist(), strict=True):
        part, i = columns[column]
        profiled = part.counter.layout.slots[i].column
        yield row, profiled.name, name_of(_cell(part.columns[i], position), profiled.reading) or ""


def _cell(column: Values, row: int) -> Scalar:
    return column[row].item() if isinstance(column, np.ndarray) else column[row]


def _label(
    parts: Sequence[Part],
    found: MixedCounts,
    numeric: tuple[_Segments, Floats, Integers],
    categorical: tuple[_Segments, NDArray[np.int32]],
) -> None:
    """Note the predicted label and the number to judge of each row, as `Counted.labels_and_values` has them."""
    segments, floats, number_slots = numeric
    value_at = segments.rows_of([part.counter.places.value for part in parts])
    found.value = np.where(value_at < 0, np.nan, _taken(floats, value_at, np.nan))
    told_at = segments.rows_of([part.counter.places.number for part in parts])
    sizes = np.repeat([part.counter.layout.prediction.size for part in parts], segments.n)
    label = np.where((told_at >= 0) & (_taken(number_slots, told_at, 0) == sizes - 1), INVALID, MISSING)
    groups, codes = categorical
    class_at = groups.rows_of([part.counter.places.label for part in parts])
    label = np.where(class_at >= 0, _taken(codes, class_at, 0), label)
    labels = np.repeat([len(part.counter.layout.profile.labels) for part in parts], segments.n)
    others = np.flatnonzero((class_at >= 0) & (label >= labels))
    if len(others):
        first = np.cumsum(segments.n) - segments.n
        of_part = np.searchsorted(first, others, side="right") - 1
        for i in np.unique(of_part).tolist():
            rows, counter = others[of_part == i], parts[i].counter
            told = parts[i].columns[len(counter.layout.features)]
            cells = [_cell(told, row) for row in (rows - first[i]).tolist()]
            label[rows], found.unlisted[i] = other_labels(counter.layout, label[rows], cells)
    found.label = label.astype(np.int16)


def _taken(values: NDArray[T], at: Integers, default: float) -> NDArray[T]:
    return values[np.maximum(at, 0)] if len(values) else np.full(len(at), default, values.dtype)


def _sum(parts: Sequence[Part], found: MixedCounts, segments: _Segments, floats: Floats) -> None:
    """Note the shares of the sums: two of each number, one or two of each row that `estimation` needs."""
    centre = segments.spread([part.counter.centre for part in parts])
    scale = segments.spread([part.counter.scale for part in parts])
    first, squared = standard_sums(floats[:, None], centre, scale)
    place = segments.spread([2 * np.arange(len(part.counter.centre)) for part in parts])
    rows, places, amounts = _estimates(parts, found, segments)
    found.sum_row = np.concatenate([segments.row, segments.row, *rows])
    found.place = np.concatenate([place, place + 1, *places])
    found.amount = np.concatenate([first[:, 0], squared[:, 0], *amounts])


def _estimates(
    parts: Sequence[Part], found: MixedCounts, segments: _Segments
) -> tuple[list[Integers], list[Integers], list[Integers]]:
    estimated = np.repeat([part.counter.estimates for part in parts], segments.n)
    if not estimated.any():
        return [], [], []
    share = np.where(estimated, found.value, np.nan)
    first = 0
    for part in parts:
        if part.counter.estimates and part.counter.calibration.size:
            rows = slice(first, first + part.n)
            share[rows] = part.counter.calibrated(share[rows])
        first += part.n
    share = np.clip(share, 0.0, 1.0)
    given = np.flatnonzero(~np.isnan(share))
    mass = np.rint(share[given] * FIXED_POINT).astype(np.int64)
    last = np.repeat([part.counter.layout.sums - 2 for part in parts], segments.n)[given]
    many = np.repeat([part.counter.layout.profile.task == "multiclass" for part in parts], segments.n)[given]
    label = found.label[given].astype(np.int64)
    binary = ~many & ((label == 0) | (label == 1))
    return (
        [given[many], given[many], given[binary]],
        [last[many], last[many] + 1, last[binary] + label[binary]],
        [mass[many], np.ones(int(many.sum()), np.int64), mass[binary]],
    )
