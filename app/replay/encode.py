"""Encoding of table rows as events in JSON bytes, one chunk at a time."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import orjson
import pandas as pd
from numpy.typing import NDArray

from app.core.reference.profile import ColumnProfile, Profile
from app.core.values.accepted import Probability, wrong_label, wrong_name, wrong_probability
from app.core.values.hiding import Hiding
from app.core.values.reading import PLAIN, Reading, names
from app.tables import CellTable
from app.tables.json_cells import Json, class_probabilities, json_cells
from app.tables.times import epoch_seconds

T = TypeVar("T")

LARGEST_INTEGER = 1 << 63
"""Whole numbers beyond this limit are not encoded by orjson, which supports at most 64 bits."""


class ReplayError(ValueError):
    """Raised for a file that cannot be replayed. The message says what to do."""


@dataclass(frozen=True, slots=True)
class ReplayColumns:
    """Columns of a file by role, and how they are read. `features` are sent under their own names.

    `prediction`: None where only features are sent. `probabilities`: the column of each class, where each class has
    one. `profile`: the profile of the model version; without one, cells are sent as they are. `ids`: how ids are
    spelled. `unit`: the seconds that a number 1 in `timestamp` stands for. `known`: columns that occur somewhere in the
    file; a chunk without one of them has no value for it. `hiding`: the model's columns that are hidden from Kafka.
    `as_is`: features whose cells are sent unread, for the API to hash.
    """

    features: tuple[str, ...]
    prediction: str | None = "prediction"
    probability: str | None = "probability"
    probabilities: Mapping[str, str] = field(default_factory=dict)
    prediction_id: str = "prediction_id"
    timestamp: str = "timestamp"
    actual: str = "actual"
    profile: Profile | None = None
    ids: Reading = PLAIN
    unit: float = 1.0
    known: Collection[str] = ()
    hiding: Hiding | None = None
    as_is: Collection[str] = ()

    def profiled(self, name: str) -> ColumnProfile | None:
        """Return a feature's column of the profile; None where there is none, or its cells are sent as they are."""
        if name in self.as_is:
            return None
        columns = () if self.profile is None else self.profile.features
        return next((column for column in columns if column.name == name), None)

    @property
    def outputs(self) -> ColumnProfile | None:
        """Return the profile's column of predictions; None without a profile."""
        return None if self.profile is None else self.profile.prediction


@dataclass(frozen=True, slots=True)
class Encoded:
    """A chunk of n events in file order: epoch seconds (inf where there is no time), record keys and values."""

    times: NDArray[np.float64]
    keys: list[bytes]
    values: list[bytes]

    def __len__(self) -> int:
        return len(self.keys)

    def cut(self, at: int) -> tuple[Encoded, Encoded]:
        """Return the first `at` events, and the rest."""
        return (
            Encoded(self.times[:at], self.keys[:at], self.values[:at]),
            Encoded(self.times[at:], self.keys[at:], self.values[at:]),
        )


def encode_predictions(frame: pd.DataFrame, columns: ReplayColumns, model: str, version: str) -> Encoded:
    """Return one `PredictionEvent` for each row, which every reader accepts.

    Raises ReplayError, which names the missing or unusable column, and the row.
    """
    for wrong in (wrong_name("model", model), wrong_name("model_version", version)):
        if wrong:
            raise ReplayError(wrong)
    table = CellTable(frame)
    ids = _ids(table, columns)
    times = _times(table, columns)
    if np.isnan(times).any():
        row = int(np.flatnonzero(np.isnan(times))[0]) + 1
        raise ReplayError(f"column {columns.timestamp!r} has empty timestamps (row {row}); every prediction needs one")
    features = [_feature(table, name, columns) for name in columns.features]
    nothing: Sequence[Json] = [None] * len(ids)
    told = nothing if columns.prediction is None else _cells(table, columns.prediction, columns, columns.outputs)
    probabilities = _probabilities(table, columns) or [None] * len(ids)
    _check(columns.prediction or "", told, lambda one: wrong_label("prediction", one))
    _check(columns.probability or "", probabilities, wrong_probability)
    envelope = {"model": model, "model_version": version}
    values = [
        _dumps({
            "prediction_id": id_, **envelope, "timestamp": time,
            "features": dict(zip(columns.features, row, strict=True)), "prediction": one, "probability": probability,
        })
        for id_, time, one, probability, row in zip(
            ids, times.tolist(), told, probabilities, _rows(features, len(ids)), strict=True
        )
    ]  # fmt: skip
    return Encoded(times, [id_.encode() for id_ in ids], values)


def encode_feedback(frame: pd.DataFrame, columns: ReplayColumns) -> Encoded:
    """Return one `FeedbackEvent` for each row that has a truth. The timestamp column may be missing."""
    table = CellTable(frame)
    actual = _cells(table, columns.actual, columns, columns.outputs)
    kept = [i for i, truth in enumerate(actual) if truth is not None and truth != ""]
    _check(columns.actual, actual, lambda one: wrong_label("actual", one))
    all_ids = _ids(table, columns, kept)
    all_times = _times(table, columns) if columns.timestamp in table else np.full(len(table), np.nan)
    times = all_times[kept]
    values = [
        _dumps({"prediction_id": all_ids[i], "actual": actual[i], "timestamp": None if math.isnan(time) else time})
        for i, time in zip(kept, times.tolist(), strict=True)
    ]
    return Encoded(np.where(np.isnan(times), np.inf, times), [all_ids[i].encode() for i in kept], values)


def _cells(table: CellTable, name: str, columns: ReplayColumns, column: ColumnProfile | None) -> Sequence[Json]:
    if name not in table:
        if name in columns.known:
            return [None] * len(table)
        known = ", ".join(map(str, table.frame.columns[:30]))
        raise ReplayError(f"no column {name!r}; the file has: {known}{_flag_of(name, columns)}")
    return json_cells(table.cells(name), column, table.decimal)


def _feature(table: CellTable, name: str, columns: ReplayColumns) -> Sequence[Json]:
    """Return a feature's cells, or their hashes where the feature is to be hashed."""
    if columns.hiding is None or name not in columns.hiding.hashed or name not in table:
        return _cells(table, name, columns, columns.profiled(name))
    return [columns.hiding.value(cell) for cell in table.listed(name)]


def _flag_of(name: str, columns: ReplayColumns) -> str:
    """Return a hint on the flag that names another column; empty for a feature."""
    flags = {
        columns.prediction_id: "id", columns.timestamp: "timestamp", columns.prediction: "prediction",
        columns.probability: "probability", columns.actual: "actual",
    }  # fmt: skip
    return f" (--{flags[name]}-column names another)" if name in flags else ""


def _probabilities(table: CellTable, columns: ReplayColumns) -> Sequence[Probability | None] | None:
    if columns.probabilities:
        return class_probabilities(table, columns.probabilities)
    if columns.probability is None:
        return None
    if columns.probability not in table:
        _cells(table, columns.probability, columns, None)  # an error, unless another chunk has it
        return None
    return table.probabilities(columns.probability)


def _ids(table: CellTable, columns: ReplayColumns, rows: Sequence[int] | None = None) -> list[str]:
    """Return ids in the column's spelling.

    Raises ReplayError where an id in `rows` (by default, in any row) is empty.
    """
    if columns.prediction_id not in table:
        _cells(table, columns.prediction_id, columns, None)
    cells = table.listed(columns.prediction_id) if columns.prediction_id in table else [None] * len(table)
    found = names(cells, columns.ids)
    empty = next((i for i in (range(len(found)) if rows is None else rows) if found[i] is None), None)
    if empty is not None:
        raise ReplayError(
            f"column {columns.prediction_id!r} has empty ids (row {empty + 1}); every row needs its prediction_id"
        )
    ids = [id_ or "" for id_ in found]
    _check(columns.prediction_id, ids, lambda id_: wrong_name("prediction_id", id_) if id_ else "")
    return ids


def _times(table: CellTable, columns: ReplayColumns) -> NDArray[np.float64]:
    name = columns.timestamp
    if name not in table:
        _cells(table, name, columns, None)
        return np.full(len(table), np.nan)
    times = epoch_seconds(table, name) * columns.unit
    if np.isinf(times).any():
        raise ReplayError(f"column {name!r} row {int(np.flatnonzero(np.isinf(times))[0]) + 1}: the time is infinite")
    return times


def _check(column: str, values: Sequence[T], wrong: Callable[[T], str]) -> None:
    """Raise ReplayError, which names the first row for which `wrong` returns an error."""
    for row, value in enumerate(values, 1):
        if value is not None and (words := wrong(value)):
            raise ReplayError(f"column {column!r} row {row}: {words}")


def _dumps(event: dict[str, object]) -> bytes:
    """Return an event as JSON. Raises ReplayError for values that JSON cannot represent."""
    try:
        return orjson.dumps(event)
    except TypeError:  # a whole number of more than 64 bits, or half a surrogate pair
        try:
            return json.dumps(event, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
        except UnicodeEncodeError:
            words = "a text holds half a surrogate pair, which is not Unicode"
        except ValueError:  # Python converts no whole number of more than 4,300 digits
            words = "a number has too many digits"
    raise ReplayError(f"prediction_id {event['prediction_id']!r}: {words}")


def _rows(features: Sequence[Sequence[Json]], n: int) -> Sequence[tuple[Json, ...]]:
    return list(zip(*features, strict=True)) if features else [()] * n
