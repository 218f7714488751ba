"""Cells as events contain them: JSON's numbers, texts, truth values and null."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal

import numpy as np

from app.core.reference.profile import ColumnProfile, Profile, judged_class
from app.core.values.cell import Cell
from app.core.values.precision import Floats
from app.core.values.reading import Reading, name_of, names, numbers
from app.tables.columns import Cells, CellTable, Probability

Json = str | int | float | bool | None

_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]*)")


def json_cells(cells: Cells, column: ColumnProfile | None = None, decimal: str = ".") -> list[Json]:
    """Return cells as JSON values that the stream reads in the same way.

    Cells are read by their column's reading; without a column they stay as they are. A number becomes a number (NaN
    becomes null, infinities become their names). A category becomes its name in the column's spelling. In a column of
    numbers, other values stay as they are, so that the stream counts them as invalid.
    """
    if column is None or (column.kind == "numeric" and isinstance(cells, np.ndarray)):
        return json_floats(cells) if isinstance(cells, np.ndarray) else [json_of(cell) for cell in cells]
    if column.kind == "numeric":
        floats, invalid = numbers(cells, column.reading, decimal)
        found = json_floats(floats)
        for row in np.flatnonzero(invalid).tolist():
            found[row] = json_of(cells[row])
        return found
    plain = cells.tolist() if isinstance(cells, np.ndarray) else cells
    return [None if name is None else _typed(name, column.reading) for name in names(plain, column.reading)]


def json_floats(floats: Floats) -> list[Json]:
    """Return floats as JSON: NaN as null, infinities by their names in events."""
    values: list[Json] = floats.tolist()
    for row in np.flatnonzero(~np.isfinite(floats)).tolist():
        values[row] = json_of(float(floats[row]))
    return values


def json_of(cell: Cell) -> Json:
    """Return one cell as JSON: a decimal as its text, NaN as null, infinities by their names in events."""
    if isinstance(cell, Decimal):
        return format(cell, "f")
    if isinstance(cell, float) and not math.isfinite(cell):
        return None if math.isnan(cell) else "Infinity" if cell > 0 else "-Infinity"
    return cell


def _typed(name: str, reading: Reading) -> Json:
    """Return a name as JSON's own type, where the column has whole numbers or truth values."""
    if reading.spelling == "whole" and _WHOLE.fullmatch(name) and len(name) < MOST_DIGITS:
        return int(name)
    if reading.spelling == "boolean" and name in reading.booleans:
        return name == reading.booleans[1]
    return name


MOST_DIGITS = 4000
"""Digits of a whole number from which Python does not read it."""


def class_probabilities(table: CellTable, columns: Mapping[str, str]) -> list[Probability | None]:
    """Return the columns of the classes as one {class: p} for each row; None where no class has a probability."""
    each = {label: table.probabilities(name) for label, name in columns.items()}
    rows: list[Probability | None] = []
    for row in range(len(table)):
        found = {label: p for label, values in each.items() if isinstance(p := values[row], float | int)}
        rows.append(found or None)
    return rows


def judged_probabilities(
    profile: Profile, prediction: Sequence[Cell], given: Sequence[Probability | None]
) -> list[float | None]:
    """Return the probability of the evaluated class in each row (see `judged_class`)."""
    reading = profile.prediction.reading
    found: list[float | None] = []
    for p, told in zip(given, prediction, strict=True):
        if not isinstance(p, dict):
            found.append(p)
            continue
        label = judged_class(profile, told)
        found.append(p[label] if label in p else next((q for n, q in p.items() if name_of(n, reading) == label), None))
    return found
