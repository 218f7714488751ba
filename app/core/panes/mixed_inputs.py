"""Counting of rows of many models at once, a few of each, by arrays: the same counts as by `InputCounter`."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from app.core.panes.inputs import (
    NUMBERS,
    CategoryCodes,
    InputCounter,
    Scalar,
    Values,
    categorical_codes,
    other_labels,
    standard_sums,
)
from app.core.panes.labels import INVALID, MISSING
from app.core.panes.stacked import PRECISIONS, Stacked
from app.core.reference.layout import FIXED_POINT, Floats, Integers
from app.core.values.precision import in_precision
from app.core.values.reading import name_of, numbers

T = TypeVar("T", bound=np.generic)


FEW = 64
"""Rows of a column below which all columns are searched together."""


@dataclass(frozen=True, slots=True)
class ModelRows:
    """n rows of one model: its number, its counter, and its columns in the layout's order."""

    model: int
    n: int
    counter: InputCounter
    columns: Sequence[Values]


@dataclass(slots=True)
class MixedCounts:
    """Counts of n rows; rows are numbered through all parts.

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
    """One kind of columns of all parts, one after another, with the start, the part and the rows of each column."""

    def __init__(self, n: Integers, columns: Integers, first: Integers) -> None:
        """Create from each part's rows, its columns, and the number of its first column among all of its kind."""
        self.n = n
        lengths = n * columns
        self.ends = np.cumsum(lengths)
        self.starts = self.ends - lengths  # of each part
        self.last = np.cumsum(columns)
        self.first = self.last - columns
        self.number = np.arange(int(self.last[-1])) + np.repeat(first - self.first, columns)  # of each column
        self.length = np.repeat(n, columns)
        self.begins = np.cumsum(self.length) - self.length
        self.column = np.repeat(self.number, self.length)  # of each value
        self.row = np.arange(int(self.ends[-1]), dtype=np.int64)
        self.row -= np.repeat(self.begins, self.length)
        self.row += np.repeat(np.cumsum(n) - n, lengths)

    def part_of(self, values: Integers) -> tuple[Integers, Integers, Integers]:
        """Return the part, the column within it, and the row within the part, of values by their positions."""
        which = np.searchsorted(self.begins, values, side="right") - 1
        part = np.searchsorted(self.last, which, side="right")
        return part, which - self.first[part], values - self.begins[which]

    def rows_of(self, at: Integers) -> Integers:
        """Return the positions of one column's values of each part, row by row; -1 for rows of a part without it."""
        first = np.repeat(np.where(at < 0, -1, self.starts + at * self.n), self.n)
        within = np.arange(len(first)) - np.repeat(np.cumsum(self.n) - self.n, self.n)
        return np.where(first < 0, -1, first + within)


@dataclass(frozen=True, slots=True)
class _Run:
    """The parts of a batch, and the model of each."""

    parts: Sequence[ModelRows]
    stacked: Stacked
    model: Integers
    n: Integers

    def of_rows(self, by_model: NDArray[T]) -> NDArray[T]:
        """Return the value of each row's model."""
        return np.repeat(by_model[self.model], self.n)


def count_mixed(parts: Sequence[ModelRows], stacked: Stacked) -> MixedCounts:
    """Count the rows of all parts. `stacked`: all models, by their numbers."""
    model = np.array([part.model for part in parts], np.int64)
    run = _Run(parts, stacked, model, np.array([part.n for part in parts], np.int64))
    numeric = _Segments(run.n, stacked.numeric[model], stacked.first_numeric[model])
    categorical = _Segments(run.n, stacked.categorical[model], stacked.first_categorical[model])
    floats, number_slots = _numeric(run, numeric)
    codes = _categorical(parts)
    slot = np.concatenate([
        number_slots + stacked.numeric_offset[numeric.column],
        codes + stacked.categorical_offset[categorical.column],
    ]).astype(np.int32)  # fmt: skip
    found = MixedCounts(
        row=np.concatenate([numeric.row, categorical.row]), slot=slot,
        sum_row=numeric.row, place=np.empty(0, np.int64), amount=np.empty(0, np.int64),
        label=np.empty(0, np.int16), value=np.empty(0),
    )  # fmt: skip
    found.names = list(_unseen(run, categorical, codes))
    _label(run, found, (numeric, floats, number_slots), (categorical, codes))
    _sum(run, found, numeric, floats)
    return found


def _numeric(run: _Run, segments: _Segments) -> tuple[Floats, Integers]:
    """Return all numbers, and their slots from their columns' own starts."""
    cells: list[Scalar] = []
    for part in run.parts:
        for column in part.counter.places.numbers_of(part.columns):
            cells += column.tolist() if type(column) is np.ndarray else column
    invalid = np.empty(0, np.int64)
    if set(map(type, cells)) <= NUMBERS:
        given = _floats(cells)
    else:
        given, invalid = _read(run.parts)
    floats = _in_precision(run.stacked, segments, given)
    if len(floats) < FEW * len(segments.number):
        left, equal = run.stacked.references.find(segments.column, floats)
    else:
        left, equal = _found(run.parts, segments, floats)
    slots = 2 * left + 1 + equal
    odd = np.flatnonzero(~np.isfinite(floats))
    if len(odd) or len(invalid):
        sizes, column = run.stacked.numeric_size, segments.column
        size, value = sizes[column[odd]], floats[odd]
        slots[odd] = np.where(np.isnan(value), size - 2, np.where(value > 0, size - 3, 0))
        slots[invalid] = sizes[column[invalid]] - 1
    return given, slots


def _found(parts: Sequence[ModelRows], segments: _Segments, floats: Floats) -> tuple[Integers, NDArray[np.bool_]]:
    """Return the result of `SortedArrays.find`, computed column by column."""
    left, at = np.empty(len(floats), np.int64), np.empty(len(floats))
    references = chain.from_iterable(part.counter.places.references for part in parts)
    ends = (segments.begins + segments.length).tolist()
    for reference, start, end in zip(references, segments.begins.tolist(), ends, strict=True):
        left[start:end] = found = reference.searchsorted(floats[start:end])
        at[start:end] = reference.take(found, mode="clip")
    return left, floats == at


def _floats(cells: Sequence[Scalar]) -> Floats:
    """Return floats and None as an array, with NaN for None."""
    try:
        return np.frombuffer(array("d", cells))  # type: ignore[type-var]  # a third of the time that numpy takes
    except TypeError:  # None is among them
        return np.array(cells, np.float64)


def _read(parts: Sequence[ModelRows]) -> tuple[Floats, Integers]:
    """Return cells as an array where some are no floats, read column by column; and the positions of invalid ones."""
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


def _in_precision(stacked: Stacked, segments: _Segments, floats: Floats) -> Floats:
    used = np.flatnonzero(np.bincount(stacked.precision[segments.number], minlength=1)).tolist()
    if len(used) <= 1:
        return in_precision(floats, PRECISIONS[used[0]]) if used else floats
    precision = stacked.precision[segments.column]
    found = floats.copy()
    for one in used:
        rows = np.flatnonzero(precision == one)
        found[rows] = in_precision(floats[rows], PRECISIONS[one])
    return found


def _categorical(parts: Sequence[ModelRows]) -> NDArray[np.int32]:
    """Return the slots of all categories, from their columns' own starts."""
    codes: list[CategoryCodes] = []
    columns: list[Values] = []
    for part in parts:
        codes += part.counter.codes.values()
        columns += part.counter.places.categories_of(part.columns)
    cells = [column.tolist() if isinstance(column, np.ndarray) else column for column in columns]
    found = array("i", chain.from_iterable(map(categorical_codes, codes, cells)))
    return np.frombuffer(found, np.int32) if found else np.empty(0, np.int32)


def _unseen(run: _Run, segments: _Segments, codes: NDArray[np.int32]) -> Iterator[tuple[int, str, str]]:
    """Yield the names of unseen categories, in the order of columns and rows."""
    unseen = np.flatnonzero(codes == run.stacked.unseen[segments.column])
    if not len(unseen):
        return
    found = zip(segments.row[unseen].tolist(), *(one.tolist() for one in segments.part_of(unseen)), strict=True)
    for row, part, column, position in found:
        one = run.parts[part]
        i = one.counter.places.categorical[column]
        profiled = one.counter.layout.slots[i].column
        yield row, profiled.name, name_of(_cell(one.columns[i], position), profiled.reading) or ""


def _cell(column: Values, row: int) -> Scalar:
    return column[row].item() if isinstance(column, np.ndarray) else column[row]


def _label(
    run: _Run,
    found: MixedCounts,
    numeric: tuple[_Segments, Floats, Integers],
    categorical: tuple[_Segments, NDArray[np.int32]],
) -> None:
    """Store the predicted label and the number to judge of each row, as in `CountedRows.labels_and_values`."""
    segments, floats, number_slots = numeric
    stacked, model = run.stacked, run.model
    value_at = segments.rows_of(stacked.value[model])
    found.value = np.where(value_at < 0, np.nan, _taken(floats, value_at, np.nan))
    told_at = segments.rows_of(stacked.number[model])
    sizes = run.of_rows(stacked.prediction_size)
    label = np.where((told_at >= 0) & (_taken(number_slots, told_at, 0) == sizes - 1), INVALID, MISSING)
    groups, codes = categorical
    class_at = groups.rows_of(stacked.label[model])
    label = np.where(class_at >= 0, _taken(codes, class_at, 0), label)
    others = np.flatnonzero((class_at >= 0) & (label >= run.of_rows(stacked.labels)))
    if len(others):
        first = np.cumsum(run.n) - run.n
        of_part = np.searchsorted(first, others, side="right") - 1
        for i in np.unique(of_part).tolist():
            rows, part = others[of_part == i], run.parts[i]
            told = part.columns[len(part.counter.layout.features)]
            cells = [_cell(told, row) for row in (rows - first[i]).tolist()]
            label[rows], found.unlisted[i] = other_labels(part.counter.layout, label[rows], cells)
    found.label = label.astype(np.int16)


def _taken(values: NDArray[T], at: Integers, default: float) -> NDArray[T]:
    return values[np.maximum(at, 0)] if len(values) else np.full(len(at), default, values.dtype)


def _sum(run: _Run, found: MixedCounts, segments: _Segments, floats: Floats) -> None:
    """Store the shares of the sums: two of each number, one or two of each row that `estimation` needs."""
    stacked, column = run.stacked, segments.column
    first, squared = standard_sums(floats[:, None], stacked.centre[column], stacked.scale[column])
    place = stacked.place[column]
    rows, places, amounts = _estimates(run, found)
    found.sum_row = np.concatenate([segments.row, segments.row, *rows])
    found.place = np.concatenate([place, place + 1, *places])
    found.amount = np.concatenate([first[:, 0], squared[:, 0], *amounts])


def _estimates(run: _Run, found: MixedCounts) -> tuple[list[Integers], list[Integers], list[Integers]]:
    stacked = run.stacked
    estimated = run.of_rows(stacked.estimates)
    if not estimated.any():
        return [], [], []
    share = np.where(estimated, found.value, np.nan)
    curve = run.of_rows(stacked.calibrated)
    rows = np.flatnonzero(estimated & (curve >= 0) & ~np.isnan(share))
    share[rows] = stacked.calibrate(curve[rows], share[rows])
    share = np.clip(share, 0.0, 1.0)
    given = np.flatnonzero(~np.isnan(share))
    mass = np.rint(share[given] * FIXED_POINT).astype(np.int64)
    last = run.of_rows(stacked.sums)[given] - 2
    many = run.of_rows(stacked.multiclass)[given]
    label = found.label[given].astype(np.int64)
    binary = ~many & ((label == 0) | (label == 1))
    return (
        [given[many], given[many], given[binary]],
        [last[many], last[many] + 1, last[binary] + label[binary]],
        [mass[many], np.ones(int(many.sum()), np.int64), mass[binary]],
    )
