"""Predictions as a Parquet file with flat columns: `feature.NAME`, `metadata.NAME`, `probability.CLASS`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from app.core.values.precision import EXACT_IN_A_FLOAT
from app.core.values.reading import spelled
from app.history.answers import Prediction

GROUP = 20_000
"""Number of rows in a row group."""

Flat = dict[str, Any]
Columns = Mapping[str, str]
"""Types (keys of CASTS) of the columns that not every file has, by name."""

CASTS: dict[str, Callable[[Any], object]] = {"string": spelled, "float64": float, "bool_": bool}
ARROW = {"string": "string", "double": "float64", "bool": "bool_"}
"""Keys of CASTS by the name that Arrow prints for a type."""


class Written(NamedTuple):
    """Number of rows of a file, and its columns: those that were requested, and those that the rows added."""

    rows: int
    columns: dict[str, str]


def write_parquet(path: Path, rows: Callable[[], Iterable[Prediction]], columns: Columns | None = None) -> Written:
    """Write predictions with the `columns` that other files of their model version have.

    `rows` is called again where a row has further columns, since a column's type is known only after all rows were
    read. A column of numbers is float64, a column of booleans bool. A column is text where it has both, has text, or
    has a whole number that a float cannot represent.
    """
    known = dict(columns or {})
    found = dict(known)
    rest = _fitting(rows(), found)
    n = _write(path, rest, known)
    if found == known:
        return Written(n, found)
    return Written(_write(path, rows(), found), found)


def widen_parquet(old: Path, new: Path, columns: Columns) -> None:
    """Write a file again with more columns, or with text instead of numbers or booleans."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _schema(columns)
    with pq.ParquetFile(old) as file, pq.ParquetWriter(new, schema, compression="zstd") as writer:
        for number in range(file.num_row_groups):
            table = file.read_row_group(number)
            writer.write_table(pa.table([_widened(table, field) for field in schema], schema=schema))


def columns_of(path: Path) -> Written:
    """Return the number of rows and the columns of a file.

    Raises OSError, and ValueError where the file is not Parquet.
    """
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        own = set(_schema({}).names)
        types = {field.name: str(field.type) for field in file.schema_arrow if field.name not in own}
        return Written(file.metadata.num_rows, {name: ARROW.get(kind, "string") for name, kind in types.items()})


def write_columns(path: Path, columns: Columns) -> None:
    """Write a file without rows, but with the columns of all files.

    A reader of a folder takes the columns of its first file for those of all files.
    """
    import pyarrow.parquet as pq

    schema = _schema(columns)
    pq.write_table(schema.empty_table(), path, compression="zstd")


def joined(*columns: Columns) -> dict[str, str]:
    """Return the columns of all; a column is text where two types differ."""
    found: dict[str, str] = {}
    for name, kind in (item for one in columns for item in one.items()):
        found[name] = kind if found.get(name, kind) == kind else "string"
    return dict(sorted(found.items()))


def _schema(columns: Columns) -> Any:
    import pyarrow as pa

    moment = pa.timestamp("us", tz="UTC")
    known = {
        "prediction_id": pa.string(), "model": pa.string(), "model_version": pa.string(), "timestamp": moment,
        "prediction": pa.string(), "prediction_value": pa.float64(), "probability": pa.float64(),
        "actual": pa.string(), "actual_value": pa.float64(), "feedback_at": moment,
    }  # fmt: skip
    return pa.schema([*known.items(), *((name, getattr(pa, columns[name])()) for name in sorted(columns))])


def _fitting(rows: Iterable[Prediction], found: dict[str, str]) -> Iterator[Prediction]:
    """Yield the rows until one has a column that `found` lacks; `found` is updated with the columns of all rows."""
    fits = True
    for row in rows:
        for name, value in _parts(row):
            kind, now = _kind(value), found.get(name)
            if now not in (kind, "string"):
                found[name] = kind if now is None else "string"
                fits = False
        if fits:
            yield row


def _write(path: Path, rows: Iterable[Prediction], types: Columns) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema, n = _schema(types), 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for group in _groups(_flat(row, types) for row in rows):
            writer.write_table(pa.Table.from_pylist(group, schema=schema))
            n += len(group)
    return n


def _widened(table: Any, field: Any) -> Any:
    import pyarrow as pa

    if field.name not in table.column_names:
        return pa.nulls(table.num_rows, field.type)
    column = table[field.name]
    if column.type == field.type:
        return column
    return pa.array([None if value is None else spelled(value) for value in column.to_pylist()], field.type)


def _flat(row: Prediction, types: Columns) -> Flat:
    return {
        "prediction_id": row.prediction_id,
        "model": row.model,
        "model_version": row.model_version,
        "timestamp": row.timestamp,
        "prediction": "" if row.prediction is None else spelled(row.prediction),
        "prediction_value": _number(row.prediction),
        "probability": None if isinstance(row.probability, dict) else row.probability,
        "actual": None if row.actual is None else spelled(row.actual),
        "actual_value": _number(row.actual),
        "feedback_at": row.feedback_at,
        **{name: CASTS[types[name]](value) for name, value in _parts(row)},
    }


def _parts(row: Prediction) -> Iterator[tuple[str, str | float | bool]]:
    by_class = row.probability if isinstance(row.probability, dict) else {}
    for kind, values in (("feature", row.features), ("metadata", row.metadata or {}), ("probability", by_class)):
        for name, value in values.items():
            if value is not None:
                yield f"{kind}.{name}", value


def _kind(value: str | float | bool) -> str:
    """Return the type that represents a value with every digit. A float may not represent a large whole number."""
    if isinstance(value, bool):
        return "bool_"
    if isinstance(value, str) or (isinstance(value, int) and abs(value) > EXACT_IN_A_FLOAT):
        return "string"
    return "float64"


def _number(value: str | float | bool | None) -> float | None:
    return None if value is None or isinstance(value, str) else float(value)


def _groups(rows: Iterator[Flat]) -> Iterator[list[Flat]]:
    while group := list(islice(rows, GROUP)):
        yield group
