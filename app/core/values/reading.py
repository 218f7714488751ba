"""Reading of the cells of one column: as numbers, or as category names of one spelling each."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from app.core.values.cell import Cell
from app.core.values.precision import Floats, Precision

Mask = NDArray[np.bool_]

Spelling = Literal["text", "whole", "boolean"]
"""Spelling of a column's categories: unchanged texts, whole numbers, or `true` and `false`."""

MISSING_NUMBERS = ("", "nan", "na", "n/a", "null", "none")
"""Texts that mean a missing number, in lower case and without surrounding spaces."""
MISSING_CATEGORIES = ("",)
"""Texts that mean a missing category. Every other text is a category: NA is Namibia."""

MOST_BITS = 10_000
"""Bits of a whole number from which on it is spelled in hexadecimal, not in decimal digits."""

_INFINITIES = {
    "inf": math.inf, "+inf": math.inf, "infinity": math.inf, "+infinity": math.inf,
    "-inf": -math.inf, "-infinity": -math.inf,
}  # fmt: skip
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_WHOLE = re.compile(r"(-?(?:0|[1-9][0-9]*))(?:\.0+)?")
_GROUPED = re.compile(r"[+-]?[0-9]{1,3}(?:\.[0-9]{3})+(?:,[0-9]+)?")
_BOOLEANS = {"true": True, "false": False}
_NUMBER_WORDS = {"0": False, "1": True}


@dataclass(frozen=True, slots=True)
class Reading:
    """Rules for reading a column's cells, as its reference decided them.

    `spelling` and `booleans` (the names of false and true) are for categories, `precision` is for numbers: later
    numbers are rounded to it before they are compared. `missing`: the texts that are no value; None means the default
    of the column's kind.
    """

    spelling: Spelling = "text"
    booleans: tuple[str, str] = ("false", "true")
    precision: Precision = "float64"
    missing: tuple[str, ...] | None = None


PLAIN = Reading()


def number_of(  # noqa: PLR0911 (one for each form of a cell)
    cell: Cell, missing: Collection[str] = MISSING_NUMBERS, decimal: str = "."
) -> float | None:
    """Return a cell as a number: NaN where it is missing, None where it is no number.

    A boolean is no number. `decimal`: the decimal mark of texts; with a comma, points may group thousands.
    """
    if isinstance(cell, float):
        return cell
    if cell is None:
        return math.nan
    if isinstance(cell, bool):
        return None
    if isinstance(cell, int | Decimal):
        try:
            return float(cell)
        except OverflowError:
            return None
    text = cell.strip()
    if text.casefold() in missing:
        return math.nan
    if decimal == "," and "," in text:
        text = text.replace(".", "") if _GROUPED.fullmatch(text) else text
        text = text.replace(",", ".") if text.count(",") == 1 and "." not in text else "no number"
    if _NUMBER.fullmatch(text):
        return float(text)
    return _INFINITIES.get(text.casefold())


def numbers(cells: Sequence[Cell] | Floats, reading: Reading = PLAIN, decimal: str = ".") -> tuple[Floats, Mask]:
    """Return n cells as floats (NaN where missing or invalid), and which are invalid."""
    if isinstance(cells, np.ndarray):
        return cells, np.zeros(len(cells), np.bool_)
    missing = MISSING_NUMBERS if reading.missing is None else reading.missing
    known = _all_texts(cells, decimal) if reading.missing is None else None  # a given word may look like a number
    if known is not None:
        return known, np.zeros(len(cells), np.bool_)
    floats, invalid = np.empty(len(cells)), np.zeros(len(cells), np.bool_)
    read: dict[str, float | None] = {}
    for i, cell in enumerate(cells):
        if isinstance(cell, str):
            if cell not in read:
                read[cell] = number_of(cell, missing, decimal)
            number = read[cell]
        else:
            number = number_of(cell, missing, decimal)
        if number is None:
            invalid[i], floats[i] = True, np.nan
        else:
            floats[i] = number
    return floats, invalid


def _all_texts(cells: Sequence[Cell], decimal: str) -> Floats | None:
    """Return texts that are all plain finite numbers as floats, in one call; None where any may be something else."""
    if decimal != "." or set(map(type, cells)) != {str}:
        return None
    joined = "".join(cells)  # type: ignore[arg-type]  # they are all texts
    if not joined.isascii() or "_" in joined:  # Python's float takes 1_000 and digits of every script
        return None
    try:
        found = np.fromiter(map(float, cells), np.float64, len(cells))  # type: ignore[arg-type]
    except ValueError:
        return None
    return None if np.isnan(found).any() else found


def name_of(cell: Cell, reading: Reading = PLAIN) -> str | None:
    """Return the name of a category, a label or an id in its column's spelling; None where it is missing.

    Texts are Unicode NFC. In a whole-number column 7, 7.0 and "7" are `7`; in other columns a text is unchanged.
    """
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return None
    if isinstance(cell, bool):
        return reading.booleans[cell]
    text = spelled(cell)
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    if text in (MISSING_CATEGORIES if reading.missing is None else reading.missing):
        return None
    if reading.spelling == "text":
        return text
    return _boolean_name(text, reading) or _whole_name(text, reading)


def spelled(cell: str | float | bool | Decimal) -> str:
    """Return a category as text: whole numbers without a fraction, every digit kept, truth values in lower case."""
    if isinstance(cell, str):
        return cell
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, Decimal):
        return format(cell, "f")
    if isinstance(cell, int):
        return _digits(cell)
    if not math.isfinite(cell):
        return "NaN" if math.isnan(cell) else "Infinity" if cell > 0 else "-Infinity"
    return _digits(int(cell)) if cell.is_integer() else repr(cell)


def _digits(number: int) -> str:
    """Return a whole number's digits, hexadecimal for a very long one: Python limits decimal digits."""
    return str(number) if abs(number).bit_length() < MOST_BITS else hex(number)


def _boolean_name(text: str, reading: Reading) -> str:
    """Return the name of the truth value that a text means, in a column of truth values; empty where it means none."""
    if reading.spelling != "boolean" and reading.booleans != ("0", "1"):
        return ""
    found = _BOOLEANS.get(text.casefold())
    if found is None and reading.spelling == "boolean":
        whole = _WHOLE.fullmatch(text)
        found = None if whole is None else _NUMBER_WORDS.get(whole[1])
    return "" if found is None else reading.booleans[found]


def _whole_name(text: str, reading: Reading) -> str:
    whole = _WHOLE.fullmatch(text) if reading.spelling == "whole" else None
    if whole is None:
        return text
    return "0" if whole[1] == "-0" else whole[1]


def names(cells: Sequence[Cell], reading: Reading = PLAIN) -> list[str | None]:
    """Return the name of each cell, None where it is missing."""
    known: dict[tuple[type, Cell], str | None] = {}
    found: list[str | None] = []
    for cell in cells:
        key = (type(cell), cell)  # True, 1 and 1.0 are one key of a dict
        if key not in known:
            known[key] = name_of(cell, reading)
        found.append(known[key])
    return found


def spelling_of(cells: Sequence[Cell], missing: tuple[str, ...] | None = None) -> Reading:
    """Decide how a column of categories, labels or ids spells them, from all cells of its reference.

    Only truth values (and 0 and 1 among them, where the first one is a truth value): `boolean`. Only whole numbers,
    as numbers or as texts without leading zeros: `whole`. Everything else keeps its texts.
    """
    seen = dict.fromkeys((type(cell), cell) for cell in cells)
    plain = Reading(missing=missing)
    given = [(cell, name) for _, cell in seen if (name := name_of(cell, plain)) is not None]
    if not given:
        return plain
    booleans = [isinstance(cell, bool) or name.casefold() in _BOOLEANS for cell, name in given]
    whole = [_WHOLE.fullmatch(name) for _, name in given]
    binary = {match[1] for match in whole if match is not None} <= {"0", "1"}
    truths = all(boolean or match is not None for boolean, match in zip(booleans, whole, strict=True))
    if any(booleans) and truths and binary:
        first = Reading("boolean", missing=missing)
        return first if booleans[0] else Reading("whole", ("0", "1"), missing=missing)
    if all(match is not None for match in whole):
        return Reading("whole", ("0", "1") if binary else ("false", "true"), missing=missing)
    texts = {name for _, name in given}
    for false, true in (("false", "true"), ("False", "True"), ("FALSE", "TRUE")):
        if false in texts or true in texts:
            return Reading("text", (false, true), missing=missing)
    return plain
