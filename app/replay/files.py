"""Files as streams of encoded chunks, in bounded memory: rows as CSV, Parquet or JSONL, or events as JSONL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import msgspec
import numpy as np
import orjson
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from app.replay.encode import Encoded, ReplayError
from topics.events import Name, Timestamp, to_epoch

CHUNK = 2_000
"""Rows encoded at a time."""
JSONL = frozenset({".jsonl", ".ndjson"})
CSV = frozenset({".csv"})
PARQUET = frozenset({".parquet", ".pq"})

Encode = Callable[[pd.DataFrame], Encoded]


class _Truth(msgspec.Struct):
    """What is read of a line that is a `FeedbackEvent`."""

    prediction_id: Name
    timestamp: Timestamp | None = None


class _Said(msgspec.Struct):
    """What is read of a line that is a `PredictionEvent`."""

    prediction_id: Name
    model: Name
    model_version: Name
    timestamp: Timestamp


def encoded_chunks(
    path: Path, encode: Encode, chunk: int = CHUNK, *, model: tuple[str, str] | None = None
) -> Iterator[Encoded]:
    """The file's events, `chunk` at a time, in file order.

    JSONL may hold events, which are sent as they are, or rows; the first line tells which. `model`: the model and
    version whose predictions they are, None for feedback. Raises ReplayError, OSError.
    """
    suffix = path.suffix.lower()
    if suffix in JSONL:
        if _has_events(path, model):
            return _events(path, chunk, model)
        return _encoded(path, _json_rows(path, chunk), encode)
    if suffix in CSV:
        return _encoded(path, _csv(path, chunk), encode)
    if suffix in PARQUET:
        return _encoded(path, _parquet(path, chunk), encode)
    raise ReplayError(f"{path}: unknown kind of file; give .csv, .parquet or .jsonl (a row or an event a line)")


def frame_chunks(frame: pd.DataFrame, encode: Encode, chunk: int = CHUNK) -> Iterator[Encoded]:
    """The same for a table in memory."""
    for start in range(0, len(frame), chunk):
        yield encode(frame.iloc[start : start + chunk])


def rows_in(path: Path) -> int | None:
    """How many rows the file has, where that can be told without reading it."""
    if path.suffix.lower() not in PARQUET:
        return None
    rows: int = pq.read_metadata(path).num_rows
    return rows


def _encoded(path: Path, frames: Iterator[pd.DataFrame], encode: Encode) -> Iterator[Encoded]:
    try:
        for frame in frames:
            yield encode(frame)
    except (ReplayError, pa.ArrowInvalid, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise ReplayError(f"{path}: {error}") from None


def _csv(path: Path, chunk: int) -> Iterator[pd.DataFrame]:
    with pd.read_csv(path, chunksize=chunk) as frames:
        yield from frames


def _parquet(path: Path, chunk: int) -> Iterator[pd.DataFrame]:
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=chunk):
            yield batch.to_pandas()


def _has_events(path: Path, model: tuple[str, str] | None) -> bool:
    """Whether the first line is an event: predictions then have their `features` within, feedback its own names."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                row = _row(path, number, line)
                return "features" in row if model is not None else row.keys() >= {"prediction_id", "actual"}
    return True


def _row(path: Path, number: int, line: bytes) -> dict[str, object]:
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise ReplayError(f"{path} line {number}: {error}") from None
    if not isinstance(row, dict):
        raise ReplayError(f"{path} line {number}: expected an object: a row, or an event")
    return row


def _numbered(path: Path, chunk: int) -> Iterator[list[tuple[int, bytes]]]:
    """The lines that are not empty, each with its number from 1."""
    with path.open("rb") as file:
        lines = ((number, value) for number, line in enumerate(file, 1) if (value := line.strip()))
        while found := list(islice(lines, chunk)):
            yield found


def _json_rows(path: Path, chunk: int) -> Iterator[pd.DataFrame]:
    """Tables of all columns seen so far: a row may leave out what it has no value for."""
    columns: dict[str, None] = {}
    for lines in _numbered(path, chunk):
        rows = [_row(path, *line) for line in lines]
        for (number, _), row in zip(lines, rows, strict=True):
            if "features" in row:
                raise ReplayError(f"{path} line {number}: an event, but the first line is a row without `features`")
            columns.update(dict.fromkeys(row))
        yield pd.DataFrame.from_records(rows).reindex(columns=list(columns))


def _events(path: Path, chunk: int, model: tuple[str, str] | None) -> Iterator[Encoded]:
    kind: type[_Truth | _Said] = _Truth if model is None else _Said
    decode = msgspec.json.Decoder(kind).decode
    for lines in _numbered(path, chunk):
        times = []
        keys = []
        for number, line in lines:
            try:
                event = decode(line)
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                raise ReplayError(f"{path} line {number}: no event: {error}") from None
            if isinstance(event, _Said) and (event.model, event.model_version) != model:
                raise ReplayError(
                    f"{path} line {number}: an event of {event.model} version {event.model_version}: "
                    f"give --model {event.model} --version {event.model_version}, or another file"
                )
            times.append(np.inf if event.timestamp is None else to_epoch(event.timestamp))
            keys.append(event.prediction_id.encode())
        yield Encoded(np.array(times, np.float64), keys, [line for _, line in lines])
