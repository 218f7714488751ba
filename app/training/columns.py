"""A table's columns as a model takes them: kinds, types, and the statistics that go into the metadata."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from app.core.profile import Kind
from app.registration.profiling import ID_LIKE, MANY
from app.registration.table import TableError, categories_of, kind_of, numbers_of
from app.serving.bundle import ValueType

OUTPUTS = ("prediction", "probability")
TOP_CATEGORIES = 50


class TrainingError(ValueError):
    """Why no model can be trained, and what to do about it."""


@dataclass(frozen=True)
class Inputs:
    """The features as the served model will be given them: floats, text, whole numbers, booleans."""

    frame: pd.DataFrame
    kinds: Mapping[str, Kind]
    types: Mapping[str, ValueType]


def inputs_of(frame: pd.DataFrame, target: str, ignore: Sequence[str], categorical: Sequence[str]) -> Inputs:
    """All columns but the target and the ignored ones. Raises TrainingError that names all that cannot be used."""
    named = {"--target": [target], "--ignore": ignore, "--categorical": categorical}
    for flag, names in named.items():
        for name in names:
            if name not in frame.columns:
                raise TrainingError(f"{flag}: no column {name!r} in the table; it has {', '.join(frame.columns)}")
    features = [name for name in frame.columns if name != target and name not in ignore]
    if not features:
        raise TrainingError("no column is left to be a feature: ignore fewer")
    useless = {name: why for name in features if (why := _useless(frame[name], name in categorical))}
    if useless:
        told = "; ".join(f"{name} {why}" for name, why in useless.items())
        flags = " ".join(f"--ignore {name}" for name in useless)
        raise TrainingError(f"columns that are no features: {told}. Leave them out: {flags}")
    kinds: dict[str, Kind] = {name: "categorical" if name in categorical else kind_of(frame[name]) for name in features}
    types = {name: _type_of(frame[name], kind) for name, kind in kinds.items()}
    columns = {name: _column(frame[name], types[name]) for name in features}
    return Inputs(pd.DataFrame(columns, index=frame.index), kinds, types)


def _useless(column: pd.Series, is_category: bool) -> str:
    if column.name in OUTPUTS:
        return "is what the model will add"
    if column.isna().all():
        return "has no values"
    try:
        kind = "categorical" if is_category else kind_of(column)
        distinct = column.nunique()
    except (TableError, TypeError):
        return "holds neither numbers nor categories"
    if kind == "categorical" and not is_category and distinct > max(MANY, ID_LIKE * len(column)):
        return f"has {distinct:,} different texts in {len(column):,} rows, as an id or a text has"
    return ""


def _type_of(column: pd.Series, kind: Kind) -> ValueType:
    if kind == "numeric":
        return "number"
    present = column.dropna()
    if pd.api.types.is_bool_dtype(present.infer_objects().dtype):
        return "boolean"
    if pd.api.types.is_integer_dtype(present.infer_objects().dtype):
        return "integer"
    numbers = pd.api.types.is_float_dtype(present.dtype) and bool((present % 1 == 0).all())
    return "integer" if numbers else "text"


def _column(column: pd.Series, kind: ValueType) -> pd.Series:
    """A column in the dtype in which the server will have it."""
    if kind == "number":
        return pd.Series(numbers_of(column), index=column.index, dtype=np.float64)
    if kind == "text":
        return pd.Series(categories_of(column), index=column.index, dtype="str")
    plain = [None if pd.isna(v) else bool(v) if kind == "boolean" else int(v) for v in column]
    complete = None not in plain
    return pd.Series(plain, index=column.index, dtype=(bool if kind == "boolean" else np.int64) if complete else object)


def stats_of(inputs: Inputs) -> dict[str, dict[str, object]]:
    """Of numbers mean, standard deviation and quartiles; of categories how often each occurs; of both what lacks."""
    return {name: _stats(inputs.frame[name], kind) for name, kind in inputs.kinds.items()}


def _stats(column: pd.Series, kind: Kind) -> dict[str, object]:
    missing = int(column.isna().sum())
    if kind == "categorical":
        counts = pd.Series(categories_of(column)).value_counts()
        shown = {str(name): int(count) for name, count in counts.head(TOP_CATEGORIES).items()}
        return {"unique": len(counts), "counts": shown, "missing": missing}
    finite = column[np.isfinite(column)]
    low, first, median, third, high = (float(q) for q in finite.quantile([0, 0.25, 0.5, 0.75, 1]))
    return {
        "mean": float(finite.mean()), "std": float(finite.std(ddof=0)), "min": low, "q1": first, "median": median,
        "q3": third, "max": high, "missing": missing,
    }  # fmt: skip
