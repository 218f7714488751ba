"""Predictions as a Parquet file with flat columns: `feature.NAME`, `metadata.NAME`, `probability.CLASS`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from app.core.values.precision import EXACT_IN_A_FLOAT
from app.core.values.reading import spelled
from app.history.answers import Prediction

GROUP = 20_000
"""Rows of a row group."""

Flat = dict[str, Any]

CASTS: dict[str, Callable[[Any], object]] = {"string": spelled, "float64": float, "bool_": bool}


def write_parquet(path: Path, rows: Callable[[], Iterable[Prediction]]) -> int:
    """Write them; answers how many. `rows` is called twice: a column's type is known when all of it was seen.

    A column of numbers is float64, of booleans bool; of both, with text, or with a whole number that a float cannot
    hold, it is text.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds: dict[str, set[type]] = {}
    for row in rows():
        for name, value in _parts(row):
            kinds.setdefault(name, set()).add(str if _is_large(value) else type(value))
    types = {name: _type_of(kinds[name]) for name in sorted(kinds)}
    moment = pa.timestamp("us", tz="UTC")
    known = {
        "prediction_id": pa.string(), "model": pa.string(), "model_version": pa.string(), "timestamp": moment,
        "prediction": pa.string(), "prediction_value": pa.float64(), "probability": pa.float64(),
        "actual": pa.string(), "actual_value": pa.float64(), "feedback_at": moment,
    }  # fmt: skip
    schema = pa.schema([*known.items(), *((name, getattr(pa, kind)()) for name, kind in types.items())])
    n = 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for group in _groups(_flat(row, types) for row in rows()):
            writer.write_table(pa.Table.from_pylist(group, schema=schema))
            n += len(group)
    return n


def _flat(row: Prediction, types: dict[str, str]) -> Flat:
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


def _is_large(value: object) -> bool:
    """Return whether a value is a whole number that a float may not hold with every digit."""
    return isinstance(value, int) and abs(value) > EXACT_IN_A_FLOAT


def _type_of(kinds: set[type]) -> str:
    if kinds == {bool}:
        return "bool_"
    return "float64" if kinds <= {int, float} else "string"


def _number(value: str | float | bool | None) -> float | None:
    return None if value is None or isinstance(value, str) else float(value)


def _groups(rows: Iterator[Flat]) -> Iterator[list[Flat]]:
    while group := list(islice(rows, GROUP)):
        yield group
