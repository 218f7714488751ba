"""Detection of columns that only number the rows, and of columns whose future values differ from today's."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from app.core.values.kind import MANY, decide
from app.tables import CellTable, TableError
from app.tables.times import epoch_seconds
from app.training.cautions import TrainingWarning
from app.training.columns import Inputs

Floats = NDArray[np.float64]

WITH_TIME = 0.98
"""Rank correlation with the order of the rows, or with a time, from which a column counts as following it."""
FEWEST = 40
MOST_ROWS = 10_000
FEWEST_PERIODS = 3
FEW_YEARS = 5
"""Span below which a column named as a year holds the years of the rows."""
EPOCHS = {"seconds": 1.0, "milliseconds": 1e3, "microseconds": 1e6, "nanoseconds": 1e9}
SINCE, UNTIL = 946_684_800.0, 4_102_444_800.0
"""Start of the years 2000 and 2100, in seconds since 1970."""

_YEAR = re.compile(r"(?i:(?:^|[_\W])(?:year|yr)$)")


@dataclass(frozen=True)
class RowOrder:
    """Orders of the rows: by position, if meaningful, and by each column of times that is not a feature."""

    by_rows: bool
    times: Mapping[str, Floats]


def order_warnings(inputs: Inputs, target: pd.Series, times: Mapping[str, Floats]) -> list[TrainingWarning]:
    """Return at most one warning for each feature: that it is a running id, or that it is certain to drift.

    `times`: seconds since 1970 by name, from columns of times that are not features. Where the rows are sorted by the
    target, their order shows nothing about time; that is a warning of its own.
    """
    sorted_by_target = _is_sorted(target)
    order = RowOrder(not sorted_by_target, times)
    found = []
    if sorted_by_target:
        words = (
            "the rows are sorted by the target, so features were not compared with the order of the rows to find those "
            "that change with time; give the rows in the order of time, or a column of times with --ignore"
        )
        found.append(TrainingWarning("row_order", str(target.name), words))
    for name, kind in inputs.kinds.items():
        column = inputs.frame[name]
        is_text = kind == "categorical" and inputs.types[name] in ("text", "boolean")
        warning = _of_texts(name, column, order) if is_text else _of_numbers(name, column, order)
        if warning is not None:
            found.append(warning)
    return found


def times_of(frame: pd.DataFrame, ignored: Sequence[str]) -> dict[str, Floats]:
    """Return the ignored columns that hold dates or times, as seconds since 1970."""
    table = CellTable(frame)
    found = {}
    for name in ignored:
        try:
            is_time = (
                frame[name].dtype.kind == "M"
                or decide(table.cells(name), typed=table.typed, decimal=table.decimal).dates
            )
            if is_time:
                found[name] = epoch_seconds(table, name)
        except TableError:  # neither dates nor times: nothing to compare with
            continue
    return found


def _of_numbers(name: str, column: pd.Series, order: RowOrder) -> TrainingWarning | None:
    values = np.asarray(pd.to_numeric(column, errors="coerce"), np.float64)
    finite = values[np.isfinite(values)]
    if len(finite) < FEWEST:
        return None
    distinct = len(np.unique(finite))
    whole = bool((finite == np.rint(finite)).all())
    if whole and (words := _time_in_numbers(name, finite)):
        return _drift(name, words)
    steps = np.diff(finite)
    monotone = bool((steps >= 0).all() or (steps <= 0).all())
    if whole and monotone and distinct >= max(MANY, len(finite) / 2):
        way = "rise" if steps.sum() > 0 else "fall"
        return _id(name, f"its whole numbers only {way} from row to row, as a running number does")
    if (warning := _with_time(name, values, distinct, order)) is not None:
        return warning
    if whole and distinct == len(finite):
        return _id(name, f"all of its {distinct:,} whole numbers differ, as ids do")
    return None


def _with_time(name: str, values: Floats, distinct: int, order: RowOrder) -> TrainingWarning | None:
    if distinct < FEWEST_PERIODS:
        return None
    orders = {f"the time in {other!r}": times for other, times in order.times.items()}
    if order.by_rows:
        orders["the order of the rows"] = np.arange(len(values), dtype=np.float64)
    for what, times in orders.items():
        rho = _rank_correlation(values, times)
        if abs(rho) >= WITH_TIME:
            words = (
                f"it goes with {what}: their rank correlation is {rho:.4f}, the threshold {WITH_TIME:g}, so values to "
                "come lie outside those that the model has learnt"
            )
            return _drift(name, words, rho, WITH_TIME)
    return None


def _of_texts(name: str, column: pd.Series, order: RowOrder) -> TrainingWarning | None:
    present = column.dropna()
    if len(present) < FEWEST:
        return None
    distinct = int(present.nunique())
    if distinct == len(present):
        return _id(name, f"all of its {distinct:,} texts differ, as ids do")
    if distinct < FEWEST_PERIODS:
        return None
    codes = pd.factorize(present)[0]
    orders = {f"the time in {other!r}": times[column.notna()] for other, times in order.times.items()}
    if order.by_rows:
        orders["the order of the rows"] = np.arange(len(present), dtype=np.float64)
    for what, times in orders.items():
        in_turn = codes[np.argsort(times, kind="stable")]
        runs = 1 + int((np.diff(in_turn) != 0).sum())
        if runs == distinct:
            return _drift(name, f"its {distinct:,} categories come one after another in {what}, as periods do")
    return None


def _id(name: str, why: str) -> TrainingWarning:
    words = (
        f"{why}: a model learns nothing of it that holds for new rows, and it drifts for certain. Leave it out with "
        f"--ignore {shlex.quote(name)}, unless it measures something"
    )
    return TrainingWarning("running_id", name, words)


def _drift(name: str, why: str, figure: float | None = None, threshold: float | None = None) -> TrainingWarning:
    words = (
        f"{why}: it will drift for certain, and alerts will name it. Leave it out with --ignore {shlex.quote(name)}, "
        "or give what it stands for instead, such as an age, a difference or the hour of the day"
    )
    return TrainingWarning("certain_drift", name, words, figure, threshold)


def _time_in_numbers(name: str, finite: Floats) -> str:
    """Return the kind of times that a column of whole numbers holds, in words; empty where it holds none."""
    low, high = float(finite.min()), float(finite.max())
    is_year = _YEAR.fullmatch(name) or (_YEAR.search(name) and high - low < FEW_YEARS)  # years of birth drift slowly
    if is_year and low >= 1900 and high < 2101:
        return "its numbers are years"
    if len(np.unique(finite)) < FEWEST_PERIODS:
        return ""
    for unit, scale in EPOCHS.items():
        if low >= SINCE * scale and high < UNTIL * scale:
            return f"its numbers are times, {unit} since 1970"
    if low >= 1900_01_01 and high < 2101_00_00 and _are_days(finite):
        return "its numbers are dates, as 20260131"
    return ""


def _are_days(finite: Floats) -> bool:
    rest = finite % 10_000
    month, day = rest // 100, rest % 100
    return bool(((month >= 1) & (month <= 12) & (day >= 1) & (day <= 31)).all())


def _rank_correlation(values: Floats, times: Floats) -> float:
    both = np.flatnonzero(np.isfinite(values) & np.isfinite(times))
    if len(both) > MOST_ROWS:
        both = both[np.linspace(0, len(both) - 1, MOST_ROWS).astype(int)]
    if len(both) < FEWEST:
        return 0.0
    ranks = [rankdata(one[both]) for one in (values, times)]
    if any(np.ptp(one) == 0 for one in ranks):
        return 0.0
    return float(np.corrcoef(*ranks)[0, 1])


def _is_sorted(target: pd.Series) -> bool:
    """Return whether the rows are sorted by the target: by class, or by rising or falling numbers."""
    values, distinct = np.asarray(target), target.nunique()
    if not pd.api.types.is_numeric_dtype(target.dtype) or distinct <= min(MANY, len(target) / 4):
        return bool(1 + int((values[1:] != values[:-1]).sum()) == distinct)
    return abs(_rank_correlation(values.astype(np.float64), np.arange(len(values), dtype=np.float64))) >= WITH_TIME
