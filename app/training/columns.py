"""Columns of a table as inputs of a model: kinds, types, and the statistics for the metadata."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from app.core.reference.profile import Kind
from app.core.values.kind import KindDecision, decide, not_a_feature
from app.core.values.reading import names, numbers, spelled, spelling_of
from app.registration.roles import values_of
from app.serving.bundle import ValueType
from app.tables import CellTable, TableError

OUTPUTS = ("prediction", "probability")
TOP_CATEGORIES = 50
DIGITS_OF_INT64 = 19
"""Digits below which whole numbers fit into 64 bits."""


class TrainingError(ValueError):
    """Reason why no model can be trained, with advice."""


@dataclass(frozen=True)
class Inputs:
    """Features in the types that the served model will receive: floats, texts, whole numbers, booleans."""

    frame: pd.DataFrame
    kinds: Mapping[str, Kind]
    types: Mapping[str, ValueType]


def inputs_of(frame: pd.DataFrame, target: str, ignore: Sequence[str], categorical: Sequence[str]) -> Inputs:
    """Return all columns except the target and the ignored ones.

    Raises TrainingError that names all unusable columns.
    """
    named = {"--target": [target], "--ignore": ignore, "--categorical": categorical}
    for flag, columns_ in named.items():
        for name in columns_:
            if name not in frame.columns:
                raise TrainingError(f"{flag}: no column {name!r} in the table; it has {', '.join(frame.columns)}")
    features = [name for name in frame.columns if name != target and name not in ignore]
    if not features:
        raise TrainingError("no column is left to be a feature: ignore fewer")
    table = CellTable(frame)
    useless: dict[str, str] = {}
    decisions: dict[str, KindDecision] = {}
    for name in features:
        decision = _decided(table, name, is_category=name in categorical)
        if isinstance(decision, str):
            useless[name] = decision
        else:
            decisions[name] = decision
    if useless:
        told = "; ".join(f"{name} {why}" for name, why in useless.items())
        flags = " ".join(f"--ignore {shlex.quote(name)}" for name in useless)
        raise TrainingError(f"columns that are no features: {told}. Leave them out: {flags}")
    types = {name: _type_of(table, name, decision) for name, decision in decisions.items()}
    columns = {name: _column(table, name, decision, types[name]) for name, decision in decisions.items()}
    kinds = {name: decision.kind for name, decision in decisions.items()}
    return Inputs(pd.DataFrame(columns, index=frame.index), kinds, types)


def check_hidden(frame: pd.DataFrame, target: str, hidden: Mapping[str, Sequence[str]]) -> None:
    """Check the hidden columns. Raises TrainingError for an absent column, the target, or a column hidden twice."""
    seen: set[str] = set()
    for flag, columns_ in hidden.items():
        for name in columns_:
            if name not in frame.columns:
                raise TrainingError(f"{flag}: no column {name!r} in the table; it has {', '.join(frame.columns)}")
            if name == target:
                raise TrainingError(f"{flag}: {name!r} is the target, which is needed as it is")
            if name in seen:
                raise TrainingError(f"{flag}: {name!r} is hidden by {' and '.join(hidden)}; leave one out")
        seen.update(columns_)


def target_of(frame: pd.DataFrame, name: str) -> pd.Series:
    """Return the target of the rows that have one: whole numbers, booleans, floats, or texts.

    Raises TrainingError where the column holds lists or similar values.
    """
    table = CellTable(frame)
    try:
        cells = table.cells(name)
    except TableError as error:
        raise TrainingError(f"--target: {error}") from None
    plain = table.listed(name)
    spelling = spelling_of(plain)
    spelled = names(plain, spelling)
    known = [i for i, label in enumerate(spelled) if label is not None]
    labels = [spelled[i] for i in known]
    index = frame.index[known]
    only_texts = table.typed and all(isinstance(plain[i], str) for i in known)
    if spelling.spelling == "boolean" and not only_texts:
        return pd.Series([label == spelling.booleans[1] for label in labels], index=index, dtype=bool, name=name)
    if decide(cells, typed=table.typed, decimal=table.decimal).kind == "numeric":
        floats, _ = numbers(cells, decimal=table.decimal)
        whole = spelling.spelling == "whole" and _fit_int64(labels)
        if whole:
            return pd.Series([int(str(label)) for label in labels], index=index, dtype=np.int64, name=name)
        present = ~np.isnan(floats)
        return pd.Series(floats[present], index=frame.index[present], dtype=np.float64, name=name)
    return pd.Series(labels, index=index, dtype="str", name=name)


def _fit_int64(labels: Sequence[str | None]) -> bool:
    return all(len(label) < DIGITS_OF_INT64 for label in set(labels) if label is not None)


def _decided(table: CellTable, name: str, *, is_category: bool) -> KindDecision | str:
    """Return the decision on a column's kind, or the reason why it is not a feature, in words."""
    if name in OUTPUTS:
        return "is what the model will add"
    try:
        cells = table.cells(name)
    except TableError:
        return "holds neither numbers nor categories"
    decision = decide(
        cells, typed=table.typed, precision=table.precision(name), decimal=table.decimal,
        given="categorical" if is_category else None,
    )  # fmt: skip
    values = values_of(table, name, decision)
    empty = np.isnan(values).all() if isinstance(values, np.ndarray) else not any(v is not None for v in values)
    if empty:
        return "has no values"
    return decision if is_category else not_a_feature(name, cells, decision) or decision


def _type_of(table: CellTable, name: str, decision: KindDecision) -> ValueType:
    if decision.kind == "numeric":
        return "number"
    cells = table.cells(name)
    if table.typed and any(isinstance(cell, str) for cell in cells):
        return "text"
    if decision.reading.spelling == "boolean":
        return "boolean"
    whole = decision.reading.spelling == "whole" and _fit_int64(list(values_of(table, name, decision)))
    return "integer" if whole else "text"


def _column(table: CellTable, name: str, decision: KindDecision, kind: ValueType) -> pd.Series:
    """Return a column in the dtype in which the server will receive it."""
    values, index = values_of(table, name, decision), table.frame.index
    if isinstance(values, np.ndarray):
        return pd.Series(values, index=index, dtype=np.float64)
    if kind == "text":
        return pd.Series(values, index=index, dtype="str")
    true = decision.reading.booleans[1]
    plain = [None if v is None else v == true if kind == "boolean" else int(v) for v in values]
    complete = None not in plain
    return pd.Series(plain, index=index, dtype=(bool if kind == "boolean" else np.int64) if complete else object)


OF_ALL_ROWS = ("mean", "std", "unique", "missing")
"""Statistics that reveal no single row's value."""


def stats_of(inputs: Inputs, hidden: Collection[str] = ()) -> dict[str, dict[str, object]]:
    """Return the statistics of each feature, with the number of missing values.

    Numbers have mean, standard deviation, minimum, quartiles and maximum; categories have counts. `hidden` columns have
    only statistics that reveal no single row's value.
    """
    found = {name: _stats(inputs.frame[name], kind) for name, kind in inputs.kinds.items()}
    for name in hidden:
        if name in found:
            found[name] = {key: value for key, value in found[name].items() if key in OF_ALL_ROWS}
    return found


def _stats(column: pd.Series, kind: Kind) -> dict[str, object]:
    missing = int(column.isna().sum())
    if kind == "categorical":
        names_ = [None if pd.isna(value) else spelled(value) for value in column.tolist()]
        counts = pd.Series(names_, dtype=object).value_counts()
        shown = {str(name): int(count) for name, count in counts.head(TOP_CATEGORIES).items()}
        return {"unique": len(counts), "counts": shown, "missing": missing}
    finite = column[np.isfinite(column)]
    low, first, median, third, high = (float(q) for q in finite.quantile([0, 0.25, 0.5, 0.75, 1]))
    return {
        "mean": float(finite.mean()), "std": float(finite.std(ddof=0)), "min": low, "q1": first, "median": median,
        "q3": third, "max": high, "missing": missing,
    }  # fmt: skip
