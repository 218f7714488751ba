"""From table rows to events as JSON bytes, a chunk at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import orjson
import pandas as pd
from numpy.typing import NDArray

from topics.events import Scalar


class ReplayError(ValueError):
    """What is wrong with a file that was to be replayed, and what to do about it."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Which column holds what. `features` are sent under their own names."""

    features: tuple[str, ...]
    prediction: str = "prediction"
    probability: str | None = "probability"
    prediction_id: str = "prediction_id"
    timestamp: str = "timestamp"
    actual: str = "actual"


@dataclass(frozen=True, slots=True)
class Encoded:
    """A chunk of n events in file order: epoch seconds (inf where none is given), record keys and values."""

    times: NDArray[np.float64]
    keys: list[bytes]
    values: list[bytes]

    def __len__(self) -> int:
        return len(self.keys)

    def cut(self, at: int) -> tuple[Encoded, Encoded]:
        """The first `at` events, and the rest."""
        return (
            Encoded(self.times[:at], self.keys[:at], self.values[:at]),
            Encoded(self.times[at:], self.keys[at:], self.values[at:]),
        )


def encode_predictions(frame: pd.DataFrame, columns: Columns, model: str, version: str) -> Encoded:
    """One `PredictionEvent` a row. Raises ReplayError naming the column that is absent or unusable."""
    ids = _ids(frame, columns.prediction_id)
    times = epoch_seconds(column_of(frame, columns.timestamp))
    if not np.isfinite(times).all():
        raise ReplayError(f"column {columns.timestamp!r} has empty timestamps; every prediction needs one")
    predictions = json_values(column_of(frame, columns.prediction))
    features = [json_values(column_of(frame, name)) for name in columns.features]
    probabilities: Sequence[Scalar] = [None] * len(ids)
    if columns.probability is not None:
        probabilities = json_values(column_of(frame, columns.probability))
    names, dumps = columns.features, orjson.dumps
    values = [
        dumps({
            "prediction_id": id_, "model": model, "model_version": version, "timestamp": time,
            "features": dict(zip(names, row, strict=True)), "prediction": prediction, "probability": probability,
        })
        for id_, time, prediction, probability, row in zip(
            ids, times.tolist(), predictions, probabilities, _rows(features, len(ids)), strict=True
        )
    ]  # fmt: skip
    return Encoded(times, [id_.encode() for id_ in ids], values)


def encode_feedback(frame: pd.DataFrame, columns: Columns) -> Encoded:
    """One `FeedbackEvent` a row that has a truth; the timestamp column may be absent."""
    frame = frame[column_of(frame, columns.actual).notna()]
    ids = _ids(frame, columns.prediction_id)
    times = np.full(len(ids), np.inf)
    if columns.timestamp in frame.columns:
        times = epoch_seconds(frame[columns.timestamp])
    stamps = [time if math.isfinite(time) else None for time in times.tolist()]
    values = [
        orjson.dumps({"prediction_id": id_, "actual": actual, "timestamp": time})
        for id_, actual, time in zip(ids, json_values(frame[columns.actual]), stamps, strict=True)
    ]
    return Encoded(np.where(np.isfinite(times), times, np.inf), [id_.encode() for id_ in ids], values)


def json_values(series: pd.Series) -> list[Scalar]:
    """A column as JSON scalars: missing (NaN too) as None, infinities by their names in events."""
    if isinstance(series.dtype, pd.CategoricalDtype):
        names = np.array([*json_values(pd.Series(series.cat.categories)), None], dtype=object)
        taken: list[Scalar] = names[series.cat.codes.to_numpy()].tolist()
        return taken
    if series.dtype.kind in "biu" and isinstance(series.dtype, np.dtype):
        plain: list[Scalar] = series.to_numpy().tolist()
        return plain
    if series.dtype.kind == "f" and isinstance(series.dtype, np.dtype):
        floats = series.to_numpy(dtype=np.float64)
        values: list[Scalar] = floats.tolist()
        for i in np.flatnonzero(~np.isfinite(floats)).tolist():
            values[i] = _non_finite(floats[i])
        return values
    missing = series.isna().to_numpy()
    return [None if gone else _scalar(v) for v, gone in zip(series.tolist(), missing.tolist(), strict=True)]


def epoch_seconds(series: pd.Series) -> NDArray[np.float64]:
    """Timestamps as seconds since the epoch (NaN where empty): numbers as they are, text as RFC 3339.

    Times without a zone are read as UTC.
    """
    if series.dtype.kind in "iuf":
        numbers: NDArray[np.float64] = series.to_numpy(dtype=np.float64, na_value=np.nan)
        return numbers
    try:
        moments = pd.to_datetime(series, utc=True, format=None if series.dtype.kind == "M" else "ISO8601")
    except (ValueError, TypeError) as error:
        raise ReplayError(f"column {series.name!r} is no timestamp (RFC 3339 or epoch seconds): {error}") from None
    micros = moments.dt.tz_localize(None).to_numpy(dtype="datetime64[us]")
    return np.where(np.isnat(micros), np.nan, micros.astype(np.int64) / 1e6)


def column_of(frame: pd.DataFrame, name: str) -> pd.Series:
    """One column. Raises ReplayError naming it where it is absent."""
    if name not in frame.columns:
        known = ", ".join(map(str, frame.columns[:30]))
        raise ReplayError(f"no column {name!r}; the file has: {known}")
    return frame[name]


def _ids(frame: pd.DataFrame, name: str) -> list[str]:
    column = column_of(frame, name)
    if column.isna().any():
        raise ReplayError(f"column {name!r} has empty ids; every row needs its prediction_id")
    return [v if isinstance(v, str) else str(v) for v in json_values(column)]


def _rows(features: Sequence[Sequence[Scalar]], n: int) -> Sequence[tuple[Scalar, ...]]:
    return list(zip(*features, strict=True)) if features else [()] * n


def _non_finite(value: float) -> Scalar:
    if math.isnan(value):
        return None
    return "Infinity" if value > 0 else "-Infinity"


def _scalar(value: object) -> Scalar:
    if isinstance(value, float) and not math.isfinite(value):
        return _non_finite(value)
    if isinstance(value, (str, float, bool, int)):
        return value
    if isinstance(value, np.generic):
        return _scalar(value.item())
    return str(value)
