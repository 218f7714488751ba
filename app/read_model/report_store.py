"""Last windows of a model version: every report in a few numbers, and the newest reports complete and compressed."""

from __future__ import annotations

import math
from array import array
from bisect import insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Literal, TypeVar

import msgspec
from msgspec.structs import replace

from topics.compression import zstd
from topics.events import DriftReport, FeatureDrift, PerformanceReport

MAX_WINDOWS = 500
MAX_PACKED_BYTES = 4 << 20
"""Bytes for one kind of report of one model version: about 100 complete reports of 100 features."""

Role = Literal["feature", "prediction", "probability"]
Named = tuple[Role, str]
R = TypeVar("R", DriftReport, PerformanceReport)


@dataclass(frozen=True, slots=True)
class ColumnStats:
    """Statistics of each column of a window, in the order of `columns`; NaN where there is none."""

    columns: tuple[Named, ...]
    statistic: array[float]
    p_value: array[float]
    missing: array[float]
    drifted: bytes

    def of(self, column: Named) -> int | None:
        """Return the position of a column; None where the window has no such column."""
        try:
            return self.columns.index(column)
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class StoredWindow(Generic[R]):
    """One window: its report without columns and confusion, column statistics, and the compressed report or nothing."""

    report: R
    marks: ColumnStats | None
    packed: bytes


class ReportStore(Generic[R]):
    """The newest report of each of the last windows, by window end."""

    def __init__(self) -> None:
        self._windows: dict[datetime, StoredWindow[R]] = {}
        self._ends: list[datetime] = []
        self._size = 0
        self._columns: tuple[Named, ...] = ()
        self._judged: R | None = None
        self._looked = True

    def put(self, report: R, wire: bytes | None = None) -> bool:
        """Add a report, unless a newer report of its window is known. Return whether the report was added.

        Of two reports with one profile the higher revision is newer; of two profiles, the later time of emission.
        `wire` is the encoded report, where the caller has it.
        """
        end = report.window_end
        known = self._windows.get(end)
        if known is not None and not _replaces(report, known.report):
            return False
        if known is None:
            if len(self._ends) >= MAX_WINDOWS and end < self._ends[0]:
                return False
            insort(self._ends, end)
        else:
            self._size -= len(known.packed)
        packed = zstd.compress(wire or msgspec.json.encode(report), 1)
        self._size += len(packed)
        self._windows[end] = StoredWindow(_bare(report), self._marks(report), packed)
        self._looked = False
        if len(self._ends) > MAX_WINDOWS:
            self._size -= len(self._windows.pop(self._ends.pop(0)).packed)
        self._unpack()
        return True

    def _marks(self, report: R) -> ColumnStats | None:
        """Return the statistics of a drift report's columns.

        Column names equal to the last report's share one tuple.
        """
        if not isinstance(report, DriftReport):
            return None
        marks = marks_of(report, self._columns)
        self._columns = marks.columns
        return marks

    def _unpack(self) -> None:
        """Drop the oldest complete reports while all together are too large; never the newest one."""
        for end in self._ends[:-1]:
            if self._size <= MAX_PACKED_BYTES:
                return
            window = self._windows[end]
            self._size -= len(window.packed)
            self._windows[end] = StoredWindow(window.report, window.marks, b"")

    def last(self, limit: int = MAX_WINDOWS) -> list[StoredWindow[R]]:
        """Return the last windows, oldest first."""
        return [self._windows[end] for end in self._ends[max(0, len(self._ends) - limit) :]]

    def whole(self, limit: int = MAX_WINDOWS) -> Iterator[R]:
        """Return the reports of the last windows that are still complete, oldest first."""
        return (_whole(window) for window in self.last(limit) if window.packed)

    def at(self, end: datetime | None) -> R | None:
        """Return the complete report of the window with this end, else of the newest; None where it is not kept."""
        if end is None:
            end = self._ends[-1] if self._ends else None
        window = None if end is None else self._windows.get(end)
        return _whole(window) if window is not None and window.packed else None

    @property
    def latest(self) -> R | None:
        """Return the last window's report, without columns and confusion; None without a window."""
        return self._windows[self._ends[-1]].report if self._ends else None

    @property
    def judged(self) -> R | None:
        """Return the newest report with enough rows to judge, without columns and confusion; None without one."""
        if not self._looked:
            reports = (self._windows[end].report for end in reversed(self._ends))
            self._judged, self._looked = next((report for report in reports if report.sufficient), None), True
        return self._judged

    def __bool__(self) -> bool:
        return bool(self._ends)


def columns_of(report: DriftReport) -> list[tuple[Role, FeatureDrift]]:
    """Return every column that a report compares, with its role."""
    found: list[tuple[Role, FeatureDrift]] = [("feature", feature) for feature in report.features]
    found += [("prediction", report.prediction)] if report.prediction else []
    return found + ([("probability", report.probability)] if report.probability else [])


def marks_of(report: DriftReport, known: tuple[Named, ...] = ()) -> ColumnStats:
    """Return the statistics of a report's columns. Where the columns are the `known` ones, that tuple is reused."""
    columns = columns_of(report)
    named = tuple((role, column.name) for role, column in columns)
    rows = max(report.n, 1)
    return ColumnStats(
        columns=known if named == known else named,
        statistic=_numbers([column.statistic for _, column in columns]),
        p_value=_numbers([column.p_value for _, column in columns]),
        missing=_numbers([column.missing / rows for _, column in columns]),
        drifted=bytes(column.drifted for _, column in columns),
    )


def _numbers(values: Sequence[float | None]) -> array[float]:
    return array("d", [math.nan if value is None else value for value in values])


def _bare(report: R) -> R:
    if isinstance(report, DriftReport):
        return replace(report, features=(), prediction=None, probability=None, unknown_features={})
    return replace(report, confusion=(), labels=())


_decoder: msgspec.json.Decoder[DriftReport | PerformanceReport] = msgspec.json.Decoder(DriftReport | PerformanceReport)


def _whole(window: StoredWindow[R]) -> R:
    report = _decoder.decode(zstd.decompress(window.packed))
    assert type(report) is type(window.report)
    return report


def _replaces(report: R, known: R) -> bool:
    if report.profile_id == known.profile_id:
        return report.revision >= known.revision
    return report.emitted_at >= known.emitted_at
