"""Tables from files, and their columns as the stream would see them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from app.core.profile import Kind, category_of

CSV, PARQUET, JSONL = (".csv",), (".parquet", ".pq"), (".jsonl", ".ndjson")
NUMBERS = frozenset({"integer", "floating", "mixed-integer-float", "decimal"})
SHOWN_COLUMNS = 30
ENVELOPE = frozenset({"model", "model_version", "metadata"})
"""What an event says that is no column of its table."""


class TableError(ValueError):
    """What is wrong with a table or one of its columns, and what to do about it."""


def read_table(path: Path) -> pd.DataFrame:
    """A CSV, Parquet or JSONL file as a table; of JSONL events, `features` become columns of their own.

    Raises TableError; OSError where the file cannot be opened.
    """
    kind = path.suffix.lower()
    if kind not in (*CSV, *PARQUET, *JSONL):
        raise TableError(f"{path}: unknown kind of file; give .csv, .parquet or .jsonl")
    if not path.is_file():
        raise TableError(f"{path}: no such file")
    try:
        if kind in CSV:
            frame = pd.read_csv(path, low_memory=False)
        elif kind in PARQUET:
            frame = pd.read_parquet(path)
        else:
            frame = _jsonl(path)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, pa.ArrowInvalid, UnicodeDecodeError) as error:
        raise TableError(f"{path}: {' '.join(str(error).split())}") from None
    frame.columns = frame.columns.map(str)
    twice = frame.columns[frame.columns.duplicated()]
    if len(twice):
        raise TableError(f"{path}: column {twice[0]!r} stands there twice")
    if not len(frame):
        raise TableError(f"{path}: the table has no rows")
    return frame


def _jsonl(path: Path) -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = orjson.loads(line)
            except orjson.JSONDecodeError as error:
                raise TableError(f"{path} line {number}: {error}") from None
            if not isinstance(row, dict):
                raise TableError(f"{path} line {number}: expected an object")
            features = row.pop("features", None)
            if isinstance(features, dict):
                row = {name: value for name, value in row.items() if name not in ENVELOPE} | features
            elif features is not None:
                row["features"] = features
            rows.append(row)
    return pd.DataFrame.from_records(rows)


def column_of(frame: pd.DataFrame, name: str, key: str = "") -> pd.Series:
    """One column, which `key` of monitoring.json names. Raises TableError naming both where it is absent."""
    if name in frame.columns:
        return frame[name]
    known = ", ".join(frame.columns[:SHOWN_COLUMNS])
    more = ", …" if len(frame.columns) > SHOWN_COLUMNS else ""
    hint = f" ({key} names it)" if key else ""
    raise TableError(f"no column {name!r} in the table{hint}; it has {known}{more}")


def kind_of(column: pd.Series) -> Kind:
    """Numbers are numeric; text, booleans and pandas categories are categorical.

    Integers are numeric however few they are: KS serves them too, and a count that grows must not become an
    unseen category. Codes are to be listed under `columns.categorical`. Raises TableError for times and the like.
    """
    if isinstance(column.dtype, pd.CategoricalDtype) or pd.api.types.is_bool_dtype(column.dtype):
        return "categorical"
    if pd.api.types.is_complex_dtype(column.dtype):
        raise _unusable(column)
    if pd.api.types.is_numeric_dtype(column.dtype):
        return "numeric"
    inferred = pd.api.types.infer_dtype(column, skipna=True)
    if inferred in NUMBERS:
        return "numeric"
    if inferred in ("string", "boolean", "empty", "mixed-integer"):
        return "categorical"
    if inferred == "mixed" and not column.map(lambda v: isinstance(v, (dict, list, tuple, bytes, np.ndarray))).any():
        return "categorical"
    raise _unusable(column)


def _unusable(column: pd.Series) -> TableError:
    what = pd.api.types.infer_dtype(column, skipna=True)
    return TableError(
        f"column {column.name!r} holds {what}, neither numbers nor categories: "
        f"list it under columns.ignore (or as columns.timestamp), or convert it"
    )


def numbers_of(column: pd.Series) -> NDArray[np.float64]:
    """A numeric column as n floats, NaN where empty. Raises TableError for anything but numbers.

    Text and booleans are not taken for numbers here, because the stream does not either.
    """
    if kind_of(column) != "numeric":
        held = pd.api.types.infer_dtype(column, skipna=True)
        if held == "empty":
            return np.full(len(column), np.nan)
        raise TableError(
            f"column {column.name!r} holds {held}, not numbers: list it under columns.categorical, or convert it"
        )
    numbers: NDArray[np.float64] = pd.to_numeric(column).to_numpy(dtype=np.float64, na_value=np.nan)
    return numbers


def categories_of(column: pd.Series) -> list[str | None]:
    """A categorical column as n names, None where empty, spelled as the stream spells them (`category_of`)."""
    try:
        codes, distinct = pd.factorize(column)
    except TypeError:
        raise _unusable(column) from None
    names = [_spelled(value) for value in distinct]
    return [None if code < 0 else names[code] for code in codes.tolist()]


def _spelled(value: object) -> str:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return "Infinity" if value > 0 else "-Infinity"
    return category_of(value if isinstance(value, (str, bool, int, float)) else str(value))


def values_of(column: pd.Series, kind: Kind) -> NDArray[np.float64] | Sequence[str | None]:
    """A column by its kind."""
    return numbers_of(column) if kind == "numeric" else categories_of(column)
