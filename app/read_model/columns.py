"""Columns of a model version: each in one window against the reference, and its statistic over time."""

from __future__ import annotations

import dataclasses
import math
from array import array
from collections.abc import Sequence
from datetime import datetime

import msgspec
from msgspec.structs import replace

from app.read_model.report_store import ColumnStats, Named, ReportStore, Role, StoredWindow, columns_of
from topics.events import DriftReport, FeatureDrift, JudgedFrom, Usual

RECENT = 40
"""Windows of the small picture next to a column's name."""

Numbers = list[float | None]


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """One column of one window. `since`: the end of the first window of the unbroken row in which it has drifted.

    `judged`: the span of time from which the column is judged, and the time in which a change of each size is found. It
    is null where the usual effect is not known.
    """

    role: Role
    found: FeatureDrift
    since: datetime | None
    recent: Numbers
    judged: JudgedFrom | None = None


class Columns(msgspec.Struct, frozen=True, kw_only=True):
    """Every column of one window, without distributions. `usual`: the usual effect by which the window was judged."""

    window_start: datetime
    window_end: datetime
    n: int
    sufficient: bool
    drift_share: float
    drift_threshold: float
    unknown_features: dict[str, int]
    columns: list[Column]
    usual: Usual | None = None


class OverTime(msgspec.Struct, frozen=True, kw_only=True):
    """One column with a number for each window; oldest first. `missing`: share of rows without a value."""

    ends: list[datetime]
    statistic: Numbers
    p_value: Numbers
    missing: Numbers
    drifted: list[bool]


class ColumnView(msgspec.Struct, frozen=True, kw_only=True):
    """One column: one window against the reference with both distributions, and the statistic over time."""

    window_start: datetime
    window_end: datetime
    n: int
    sufficient: bool
    role: Role
    found: FeatureDrift
    since: datetime | None
    over_time: OverTime
    names: list[Named]


def columns_of_window(windows: ReportStore[DriftReport], report: DriftReport) -> Columns:
    """Return all columns of a report, each with its values in earlier windows."""
    known = [window for window in windows.last() if window.report.window_end <= report.window_end]
    judged = {} if report.usual is None else {one.name: one for one in report.usual.columns}
    return Columns(
        window_start=report.window_start,
        window_end=report.window_end,
        n=report.n,
        sufficient=report.sufficient,
        drift_share=report.drift_share,
        drift_threshold=report.drift_threshold,
        unknown_features=report.unknown_features,
        columns=[
            Column(
                role=role,
                found=dataclasses.replace(found, shape=None, unseen_names={}),
                since=since_of(known, (role, found.name)) if found.drifted else None,
                recent=_values(known[-RECENT:], (role, found.name), "statistic"),
                judged=judged.get(found.name),
            )
            for role, found in columns_of(report)
        ],
        usual=None if report.usual is None else replace(report.usual, columns=()),
    )


def column_view(windows: ReportStore[DriftReport], report: DriftReport, column: Named) -> ColumnView | None:
    """Return one column of a report; None where the report has no column of that name."""
    all_columns = columns_of(report)
    found = next((found for role, found in all_columns if (role, found.name) == column), None)
    if found is None:
        return None
    known = windows.last()
    until = [window for window in known if window.report.window_end <= report.window_end]
    return ColumnView(
        window_start=report.window_start,
        window_end=report.window_end,
        n=report.n,
        sufficient=report.sufficient,
        role=column[0],
        found=found,
        since=since_of(until, column) if found.drifted else None,
        over_time=OverTime(
            ends=[window.report.window_end for window in known],
            statistic=_values(known, column, "statistic"),
            p_value=_values(known, column, "p_value"),
            missing=_values(known, column, "missing"),
            drifted=[_drifted(window.marks, column) for window in known],
        ),
        names=[(role, other.name) for role, other in all_columns],
    )


def since_of(windows: Sequence[StoredWindow[DriftReport]], column: Named) -> datetime | None:
    """Return the end of the first window of the newest unbroken row in which a column has drifted; None without one."""
    first = None
    for window in reversed(windows):
        if not window.report.sufficient:
            continue
        if not _drifted(window.marks, column):
            break
        first = window.report.window_end
    return first


def _drifted(marks: ColumnStats | None, column: Named) -> bool:
    place = None if marks is None else marks.of(column)
    return marks is not None and place is not None and bool(marks.drifted[place])


def _values(windows: Sequence[StoredWindow[DriftReport]], column: Named, name: str) -> Numbers:
    return [_value(window.marks, column, name) for window in windows]


def _value(marks: ColumnStats | None, column: Named, name: str) -> float | None:
    place = None if marks is None else marks.of(column)
    if marks is None or place is None:
        return None
    row: array[float] = getattr(marks, name)
    return None if math.isnan(row[place]) else row[place]
