"""Files as streams of encoded chunks, in bounded memory: rows as CSV, Parquet or JSONL, or events as JSONL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from app.core.values.accepted import wrong_feedback, wrong_prediction
from app.core.values.hiding import Hiding
from app.replay.encode import Encoded, ReplayError
from app.tables import FileOptions, TableError, read_chunks
from app.tables.csv_form import opened
from app.tables.files import FOUND, JSONL, json_object, kind_of_file
from topics.events import FeedbackEvent, PredictionEvent, to_epoch
from topics.reasons import field_error

CHUNK = 2_000
"""Number of rows that are encoded at a time."""

Encode = Callable[[pd.DataFrame], Encoded]


def encoded_chunks(
    path: Path,
    encode: Encode,
    chunk: int = CHUNK,
    *,
    model: tuple[str, str] | None = None,
    options: FileOptions = FOUND,
    hiding: Hiding | None = None,
) -> Iterator[Encoded]:
    """Yield the file's events in file order, `chunk` at a time.

    JSONL may contain events, which are sent as they are, or rows; the first line decides. `model`: the model and
    version of the predictions; None for feedback. `hiding`: the columns of events that are hidden from Kafka. Raises
    ReplayError, OSError.
    """
    if holds_events(path, model):
        return _events(path, chunk, model, hiding)
    return _encoded(path, frames(path, chunk, model, options), encode)


def frame_chunks(frame: pd.DataFrame, encode: Encode, chunk: int = CHUNK) -> Iterator[Encoded]:
    """Yield the events of a table in memory, `chunk` at a time."""
    for start in range(0, len(frame), chunk):
        yield encode(frame.iloc[start : start + chunk])


def frames(
    path: Path, chunk: int = CHUNK, model: tuple[str, str] | None = None, options: FileOptions = FOUND
) -> Iterator[pd.DataFrame]:
    """Yield a file's rows as tables.

    Raises ReplayError, also where there is an event among rows of predictions.
    """
    kind_of(path)
    try:
        yield from read_chunks(path, chunk, options, events=model is None)
    except TableError as error:
        raise ReplayError(str(error)) from None


def kind_of(path: Path) -> str:
    """Return a file's extension. Raises ReplayError where no reader supports it."""
    try:
        return kind_of_file(path)
    except TableError as error:
        raise ReplayError(f"{error}: a row, or an event, a line") from None


def rows_in(path: Path) -> int | None:
    """Return the number of rows where it is known without reading the file (Parquet); else None."""
    if path.suffix.lower() not in (".parquet", ".pq"):
        return None
    rows: int = pq.read_metadata(path).num_rows
    return rows


def _encoded(path: Path, tables: Iterator[pd.DataFrame], encode: Encode) -> Iterator[Encoded]:
    rows = 0
    for table in tables:
        try:
            found = encode(table)
        except (ReplayError, TableError) as error:
            where = f" (in rows {rows + 1:,} to {rows + len(table):,})" if rows else ""
            raise ReplayError(f"{path}: {error}{where}") from None
        rows += len(table)
        yield found


def holds_events(path: Path, model: tuple[str, str] | None) -> bool:
    """Return whether a file contains events.

    An event of a prediction has `features`. An event of feedback has the fields `prediction_id` and `actual`.
    """
    if kind_of(path) not in JSONL:
        return False
    with opened(path) as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                row = _row(path, number, line)
                return "features" in row if model is not None else row.keys() >= {"prediction_id", "actual"}
    return True


def _row(path: Path, number: int, line: bytes) -> dict[str, object]:
    try:
        return json_object(path, number, line.removeprefix(b"\xef\xbb\xbf"))
    except TableError as error:
        raise ReplayError(f"{error}: a row, or an event") from None


def _numbered(path: Path, chunk: int) -> Iterator[list[tuple[int, bytes]]]:
    """Yield the lines that are not empty, each with its number from 1."""
    with opened(path) as file:
        lines = ((number, value) for number, line in enumerate(file, 1) if (value := line.strip()))
        while found := list(islice(lines, chunk)):
            yield found


def _events(path: Path, chunk: int, model: tuple[str, str] | None, hiding: Hiding | None) -> Iterator[Encoded]:
    kind: type[FeedbackEvent | PredictionEvent] = FeedbackEvent if model is None else PredictionEvent
    decode = msgspec.json.Decoder(kind).decode
    for lines in _numbered(path, chunk):
        times = []
        keys = []
        values = []
        for number, line in lines:
            try:
                event = decode(line)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                raise ReplayError(f"{path} line {number}: no event: {field_error(error)}") from None
            if isinstance(event, PredictionEvent) and (event.model, event.model_version) != model:
                raise ReplayError(
                    f"{path} line {number}: an event of {event.model} version {event.model_version}: "
                    f"give --model {event.model} --version {event.model_version}, or another file"
                )
            if wrong := _wrong(event):
                raise ReplayError(f"{path} line {number}: {wrong}")
            times.append(np.inf if event.timestamp is None else to_epoch(event.timestamp))
            keys.append(event.prediction_id.encode())
            values.append(line if hiding is None else msgspec.json.encode(_hidden(event, hiding)))
        yield Encoded(np.array(times, np.float64), keys, values)


def _hidden(event: PredictionEvent | FeedbackEvent, hiding: Hiding) -> PredictionEvent | FeedbackEvent:
    metadata = None if event.metadata is None else hiding.row(event.metadata)
    if isinstance(event, FeedbackEvent):
        return msgspec.structs.replace(event, metadata=metadata)
    return msgspec.structs.replace(event, features=hiding.row(event.features), metadata=metadata)


def _wrong(event: PredictionEvent | FeedbackEvent) -> str:
    """Return why no reader accepts an event; empty where readers do.

    The event's time is checked together with the other times of the file.
    """
    if isinstance(event, FeedbackEvent):
        return wrong_feedback(event.prediction_id, None, event.actual)
    return wrong_prediction(
        event.prediction_id, event.model, event.model_version, None, event.prediction, event.probability
    )
