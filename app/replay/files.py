"""Files as streams of encoded chunks, in bounded memory: CSV, Parquet, or JSONL of events as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import msgspec
import numpy as np
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


class _Addressed(msgspec.Struct):
    prediction_id: Name
    timestamp: Timestamp | None = None


def encoded_chunks(path: Path, encode: Encode, chunk: int = CHUNK) -> Iterator[Encoded]:
    """The file's events, `chunk` at a time, in file order. Raises ReplayError, OSError."""
    suffix = path.suffix.lower()
    if suffix in JSONL:
        return _lines(path, chunk)
    if suffix in CSV:
        return _encoded(path, _csv(path, chunk), encode)
    if suffix in PARQUET:
        return _encoded(path, _parquet(path, chunk), encode)
    raise ReplayError(f"{path}: unknown kind of file; give .csv, .parquet or .jsonl (one event a line)")


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


def _lines(path: Path, chunk: int) -> Iterator[Encoded]:
    decode = msgspec.json.Decoder(_Addressed).decode
    number = 0
    with path.open("rb") as file:
        while lines := list(islice(file, chunk)):
            times, keys, values = [], [], []
            for line in lines:
                number += 1
                value = line.strip()
                if not value:
                    continue
                try:
                    event = decode(value)
                except msgspec.MsgspecError as error:
                    raise ReplayError(f"{path} line {number}: {error}") from None
                times.append(np.inf if event.timestamp is None else to_epoch(event.timestamp))
                keys.append(event.prediction_id.encode())
                values.append(value)
            yield Encoded(np.array(times, np.float64), keys, values)
