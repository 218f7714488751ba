"""Conversion of a column of times to seconds since the epoch."""

from __future__ import annotations

import numpy as np
import pandas as pd

from app.core.values.precision import Floats
from app.core.values.reading import numbers
from app.core.values.times import EARLIEST, LATEST
from app.tables.columns import CellTable
from app.tables.errors import TableError

UNITS = ((1.0, "seconds"), (1e-3, "milliseconds"), (1e-6, "microseconds"), (1e-9, "nanoseconds"))
SINCE = 315_532_800.0
"""Start of 1980. Today's time read in a wrong unit is after LATEST, or before this time."""


def epoch_seconds(table: CellTable, name: str) -> Floats:
    """Return timestamps as epoch seconds (NaN where empty): numbers as they are, text as RFC 3339.

    Times without a zone are read as UTC. Raises TableError, which names the column and the first row without a valid
    time.
    """
    series = table.frame[name]
    if series.dtype.kind == "M":
        return _seconds(pd.to_datetime(series, utc=True))
    cells = table.cells(name)
    floats, invalid = numbers(cells, decimal=table.decimal)
    if not invalid.any():
        return floats
    texts = pd.Series([str(cell) if bad else None for cell, bad in zip(cells, invalid.tolist(), strict=True)])
    moments = pd.to_datetime(texts, utc=True, format="ISO8601", errors="coerce")
    wrong = np.flatnonzero(moments.isna().to_numpy() & invalid)
    if len(wrong):
        raise TableError(
            f"column {name!r} row {int(wrong[0]) + 1} is no timestamp (RFC 3339 or epoch seconds): "
            f"{str(cells[int(wrong[0])])[:40]!r}"
        )
    return np.where(invalid, _seconds(moments), floats)


def _seconds(moments: pd.Series) -> Floats:
    micros = moments.dt.tz_localize(None).to_numpy(dtype="datetime64[us]")
    found: Floats = np.where(np.isnat(micros), np.nan, micros.astype(np.int64) / 1e6)
    return found


def unit_of(lowest: float, highest: float) -> tuple[float, str]:
    """Return the unit of numbers between two limits, as its factor to seconds and its name.

    The unit is seconds where these give believable times, else the first unit that does.
    """
    if lowest >= EARLIEST and highest < LATEST:
        return UNITS[0]
    for factor, name in UNITS[1:]:
        if lowest * factor >= SINCE and highest * factor < LATEST:
            return factor, name
    return UNITS[0]
