"""The kind of a column: numbers or categories, and how its cells are read. Decided once, from the whole reference."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import isnan
from typing import Literal

import numpy as np

from app.core.values.cell import Cell, is_missing
from app.core.values.precision import Floats, Precision
from app.core.values.reading import (
    MISSING_CATEGORIES,
    MISSING_NUMBERS,
    Reading,
    number_of,
    spelling_of,
)

Kind = Literal["numeric", "categorical"]

MOST_INVALID = 0.05
"""Maximum share of invalid cells of a numeric column; with more the column is categorical."""
CODES = 0.01
"""Share of cells with a leading zero above which whole numbers are codes: 01234 is not 1234."""
MANY = 100
"""Number of different values above which they count as many."""
ID_LIKE = 0.5
"""Share of different values in the rows above which (if more than MANY) they are ids, or texts for people."""
FEWEST_COUNTED = 50
"""Rows from which on consecutive whole numbers are a count of the rows."""

_LEADING_ZERO = re.compile(r"[+-]?0[0-9]+")
_DATE = re.compile(
    r"(?:[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}|[0-9]{4}/[0-9]{1,2}/[0-9]{1,2}|[0-9]{1,2}[./-][0-9]{1,2}[./-][0-9]{2,4})"
    r"(?:[T ][0-9]{1,2}:[0-9]{2}.*)?"
)
_UNNAMED = re.compile(
    r"(?i:|Unnamed: ?[0-9]+|__index_level_[0-9]+__|level_[0-9]+|index|row|rownum|row_?(?:number|id|index))"
)
_ID_NAME = re.compile(r"(?i:(?:^|[_\W])(?:id|uuid|guid|key)$)|[a-z0-9](?:Id|ID)$")


@dataclass(frozen=True, slots=True)
class KindDecision:
    """A column's kind, the reading of its cells, and the reason, as text for people.

    `dates`: the column holds dates or times.
    """

    kind: Kind
    reading: Reading
    reason: str
    dates: bool = False


@dataclass(frozen=True, slots=True)
class MissingWords:
    """Texts that mean a missing value, by kind; None means the default."""

    numeric: tuple[str, ...] | None = None
    categorical: tuple[str, ...] | None = None


def decide(
    cells: Sequence[Cell] | Floats,
    *,
    typed: bool,
    precision: Precision = "float64",
    missing: MissingWords | None = None,
    given: Kind | None = None,
    decimal: str = ".",
) -> KindDecision:
    """Decide a column's kind from all its cells.

    `typed`: the file format distinguishes text (JSON, Parquet), so that a text of digits is a code. `given`: the kind
    that the configuration names. `decimal`: the decimal mark of texts. A column without a value is categorical.
    """
    missing = MissingWords() if missing is None else missing
    if isinstance(cells, np.ndarray):
        if given == "categorical":
            return _categorical(cells.tolist(), missing, "listed as categorical")
        return KindDecision("numeric", Reading(precision=precision, missing=missing.numeric), "numbers")
    tally = _Tally.of(cells, MISSING_NUMBERS if missing.numeric is None else missing.numeric, decimal)
    if given == "numeric":
        return KindDecision("numeric", Reading(precision=precision, missing=missing.numeric), "listed as numeric")
    if given == "categorical":
        return _categorical(cells, missing, "listed as categorical")
    if tally.are_numbers(typed=typed):
        bad = tally.present - tally.numbers
        reason = "numbers" if not bad else f"numbers but for {bad:,} of {tally.present:,} cells"
        return KindDecision("numeric", Reading(precision=precision, missing=missing.numeric), reason)
    found = _categorical(cells, missing, tally.reason)
    reason = "truth values" if found.reading.spelling == "boolean" else found.reason
    return KindDecision("categorical", found.reading, reason, tally.are_dates)


def _categorical(cells: Sequence[Cell], missing: MissingWords, reason: str) -> KindDecision:
    return KindDecision("categorical", spelling_of(cells, missing.categorical), reason)


@dataclass(frozen=True, slots=True)
class _Tally:
    """Counts of the cells of a column by their form; `present` of them are no missing number."""

    present: int
    numbers: int
    texts: int
    booleans: int
    codes: int
    fixed_width: bool
    fractions: int
    dates: int
    distinct: int

    @staticmethod
    def of(cells: Sequence[Cell], missing: Sequence[str], decimal: str) -> _Tally:
        counts = Counter((type(cell), cell) for cell in cells if not is_missing(cell))
        present = numbers = texts = booleans = codes = fractions = dates = 0
        widths: set[int] = set()
        for (_, cell), n in counts.items():
            number = number_of(cell, missing, decimal)
            if number is not None and isnan(number):  # a word for a missing number
                continue
            present += n
            booleans += n * isinstance(cell, bool)
            numbers += n * (number is not None)
            if not isinstance(cell, str):
                fractions += n * (isinstance(cell, Decimal) or (isinstance(cell, float) and not cell.is_integer()))
                continue
            texts += n
            if number is None:
                dates += n * (_DATE.fullmatch(cell.strip()) is not None)
                continue
            text = cell.strip()
            widths.add(len(text) if text.isdigit() else 0)
            codes += n * (_LEADING_ZERO.fullmatch(text) is not None)
            fractions += n * (not text.lstrip("+-").isdigit())
        fixed = len(widths) == 1 and widths != {0}
        return _Tally(present, numbers, texts, booleans, codes, fixed, fractions, dates, len(counts))

    def are_numbers(self, *, typed: bool) -> bool:
        if not self.present or self.numbers < (1 - MOST_INVALID) * self.present:
            return False
        if self.codes > CODES * self.present or (self.codes and self.fixed_width):
            return False
        only_texts = self.texts >= self.numbers  # numbers with a few texts among them are numbers
        return not typed or not only_texts or (self.fractions > 0 and self.distinct > MANY)

    @property
    def are_dates(self) -> bool:
        return self.dates > 0 and self.dates >= (1 - MOST_INVALID) * self.present

    @property
    def reason(self) -> str:
        if self.are_dates:
            return "dates or times"
        if self.codes:
            return "codes with leading zeros"
        if self.booleans == self.present:
            return "truth values"
        return "texts"


def not_a_feature(name: str, cells: Sequence[Cell] | Floats, decision: KindDecision) -> str:
    """Return why a column is no feature, as text; empty where it may be one.

    Counts of the rows, ids, texts for people, and dates and times are no features.
    """
    if decision.dates:
        return "holds dates or times"
    if decision.kind == "numeric":
        return _counter_or_id(name, cells)
    n = len(cells)
    words = MISSING_CATEGORIES if decision.reading.missing is None else decision.reading.missing
    distinct = len({cell for cell in cells if not is_missing(cell) and cell not in words})
    if distinct > max(MANY, ID_LIKE * n):
        return f"has {distinct:,} different texts in {n:,} rows, as an id or a text has"
    return ""


def _counter_or_id(name: str, cells: Sequence[Cell] | Floats) -> str:
    n = len(cells)
    if n < 3:
        return ""
    values = cells if isinstance(cells, np.ndarray) else _whole_numbers(cells)
    if values is None or not np.isfinite(values).all() or (values != np.rint(values)).any():
        return ""
    distinct = np.unique(values)
    consecutive = len(distinct) == n and float(distinct[-1] - distinct[0]) == n - 1
    unnamed = _UNNAMED.fullmatch(name) is not None
    if (consecutive and (unnamed or n >= FEWEST_COUNTED)) or (unnamed and len(distinct) == n):
        return "counts its rows"
    if _ID_NAME.search(name) and len(distinct) > max(MANY, ID_LIKE * n):
        return f"has {len(distinct):,} different whole numbers in {n:,} rows, as an id has"
    return ""


def _whole_numbers(cells: Sequence[Cell]) -> Floats | None:
    found = [number_of(cell) for cell in cells]
    return None if None in found else np.array(found, np.float64)
