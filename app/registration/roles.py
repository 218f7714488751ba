"""Roles and kinds of a table's columns: as given in monitoring.json, else by their cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from app.core.config.close_names import did_you_mean
from app.core.reference.profile import Kind
from app.core.values.cell import Cell
from app.core.values.kind import KindDecision, MissingWords, decide, not_a_feature
from app.core.values.reading import names
from app.registration.monitoring import TableColumns
from app.tables import CellTable, TableError, column_of

USUAL_TARGETS = ("target", "actual")
USUAL_IDS = ("prediction_id", "id")

Features = Mapping[str, NDArray[np.float64] | Sequence[str | None]]


@dataclass(frozen=True, slots=True)
class Roles:
    """Columns of one table: features with their decisions in the table's order, and the other columns by role.

    `probabilities`: the column of each class's probability, where each class has one. `left_out`: columns that are not
    features, with reasons. `by_name`: outputs that were found by their usual names, as (key, column).
    """

    decisions: Mapping[str, KindDecision]
    prediction: str | None
    probability: str | None
    target: str | None
    probabilities: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    by_name: Sequence[tuple[str, str]] = ()

    @property
    def kinds(self) -> dict[str, Kind]:
        """Return each feature's kind, by name."""
        return {name: decision.kind for name, decision in self.decisions.items()}


def roles_of(table: CellTable | pd.DataFrame, columns: TableColumns) -> Roles:
    """Return the role of each column: as `columns` names it, else by its usual name; the rest are features.

    Row counters, ids, free texts and dates among the rest are left out. Raises TableError that names the column that is
    absent, has two roles, or is neither numeric nor categorical.
    """
    table = CellTable(table) if isinstance(table, pd.DataFrame) else table
    named, outputs = _outputs(table, columns)
    others = _others(table, columns, outputs)
    listed = columns.features is not None
    features = list(columns.features or ()) if listed else [str(n) for n in table.frame.columns if n not in others]
    _check_lists(features, columns)
    decisions: dict[str, KindDecision] = {}
    left_out: dict[str, str] = {}
    for name in features:
        decision, cells = _decided(table, name, columns), table.cells(name, "columns.features")
        chosen = listed or name in (*columns.categorical, *columns.numeric)
        why = "" if chosen else not_a_feature(name, cells, decision)
        if why:
            left_out[name] = why
        else:
            decisions[name] = decision
    if not decisions:
        hint = "; ".join(f"{name} {why}" for name, why in left_out.items())
        raise TableError(
            f"no column is left to be a feature{f' ({hint})' if hint else ''}: name some under columns.features"
        )
    return Roles(decisions, *outputs, columns.probabilities, left_out, named)


def _outputs(
    table: CellTable, columns: TableColumns
) -> tuple[list[tuple[str, str]], tuple[str | None, str | None, str | None]]:
    """Return the outputs that were found by their names, and the columns of prediction, probability and target."""
    by_name: list[tuple[str, str]] = []

    def named(key: str, name: str | None, usual: Sequence[str]) -> str | None:
        if name is not None:
            column_of(table.frame, name, f"columns.{key}")
            return name
        found = next((one for one in usual if one in table), None)
        if found is not None:
            by_name.append((key, found))
        return found

    prediction = named("prediction", columns.prediction, ("prediction",))
    probability = None if columns.probabilities else named("probability", columns.probability, ("probability",))
    for label, name in columns.probabilities.items():
        column_of(table.frame, name, f"columns.probabilities.{label}")
    return by_name, (prediction, probability, named("target", columns.target, USUAL_TARGETS))


def _others(table: CellTable, columns: TableColumns, outputs: Sequence[str | None]) -> set[str | None]:
    id_ = columns.id or next((one for one in USUAL_IDS if one in table), None)
    timestamp = columns.timestamp or ("timestamp" if "timestamp" in table else None)
    truth_timestamp = columns.truth_timestamp
    for key, name in (("id", columns.id), ("timestamp", columns.timestamp), ("truth_timestamp", truth_timestamp)):
        if name is not None:
            column_of(table.frame, name, f"columns.{key}")
    return {*outputs, *columns.ignore, *columns.probabilities.values(), id_, timestamp, truth_timestamp}


def _check_lists(features: Sequence[str], columns: TableColumns) -> None:
    for name in (*columns.categorical, *columns.numeric):
        if name not in features:
            hint = did_you_mean(name, features, before="; ")
            raise TableError(f"columns.categorical and columns.numeric: {name!r} is not one of the features{hint}")
    for name in columns.categorical:
        if name in columns.numeric:
            raise TableError(f"column {name!r} is listed under columns.categorical and columns.numeric")


def _decided(table: CellTable, name: str, columns: TableColumns) -> KindDecision:
    given: Kind | None = (
        "categorical" if name in columns.categorical else "numeric" if name in columns.numeric else None
    )
    words = columns.missing.numeric
    numeric = None if words is None else tuple(word.strip().casefold() for word in words)
    decision = decide(
        table.cells(name, "columns.features"), typed=table.typed, precision=table.precision(name),
        missing=MissingWords(numeric, columns.missing.categorical), given=given, decimal=table.decimal,
    )  # fmt: skip
    if decision.kind == "numeric":
        _check_numbers(table, name, decision)
    return decision


def _check_numbers(table: CellTable, name: str, decision: KindDecision) -> None:
    cells = table.cells(name)
    floats, invalid = table.numbers(name, decision.reading)
    if invalid.any() and invalid.sum() >= np.isfinite(floats).sum():
        first = int(np.flatnonzero(invalid)[0])
        raise TableError(
            f"column {name!r} holds {_what(cells[first])}, not numbers, in {int(invalid.sum()):,} of {len(cells):,} "
            f"rows (the first is row {first + 1}): list it under columns.categorical, or convert it"
        )


def _what(cell: Cell | np.float64) -> str:
    return "truth values" if isinstance(cell, bool) else "texts"


def features_of(table: CellTable | pd.DataFrame, decisions: Mapping[str, KindDecision]) -> Features:
    """Return every feature's column as its decision reads it: floats with NaN where numeric, names where categorical.

    Raises TableError that names an absent column.
    """
    table = CellTable(table) if isinstance(table, pd.DataFrame) else table
    return {name: values_of(table, name, decision) for name, decision in decisions.items()}


def values_of(table: CellTable, name: str, decision: KindDecision) -> NDArray[np.float64] | Sequence[str | None]:
    """Return one column's values: floats with NaN where numeric, names where categorical."""
    if decision.kind == "numeric":
        return table.numbers(name, decision.reading)[0]
    return names(table.listed(name), decision.reading)
