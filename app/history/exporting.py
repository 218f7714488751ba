"""Predictions with their truth as files: one for each day (UTC) and model version, written anew where it has changed.

DIR/model=churn/version=3/2026-06-01.jsonl
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import msgspec
from sqlalchemy import Connection, select

from app.history.answers import Prediction, prediction_of
from app.history.database import History
from app.history.parquet import write_parquet
from app.history.tables import PREDICTION_DAYS, PREDICTIONS

log = logging.getLogger(__name__)

MANIFEST = "exported.json"
LONGEST_NAME = 200
"""Bytes of a folder's name, as a model's and a version's are spelt; longer ones end in their hash."""
FETCHED = 5000

Rows = Callable[[], Iterable[Prediction]]


class Exported(msgspec.Struct, frozen=True):
    """What a file was written from: the day's revision, and how many rows."""

    revision: int
    rows: int


@dataclass(frozen=True)
class Day:
    """A day of a model version."""

    model: str
    model_version: str
    day: str
    revision: int
    trimmed: bool

    def path(self, suffix: str) -> Path:
        """Its file, below the export's folder."""
        folder = Path(f"model={_spelt(self.model)}") / f"version={_spelt(self.model_version)}"
        return folder / f"{self.day}.{suffix}"


def export(
    history: History, folder: Path, formats: Sequence[str], *, stop: Callable[[], bool] = lambda: False
) -> list[Path]:
    """Write the files of the days that have changed since; answers which. Raises OSError, and as `History.reading`.

    A file is replaced whole, or stays as it was. It is left as it is where the history has not all of its day any more.
    """
    folder.mkdir(parents=True, exist_ok=True)
    manifest = _read(folder / MANIFEST)
    written: list[Path] = []
    try:
        for day in _days(history):
            for suffix in formats:
                if stop():
                    return written
                path = day.path(suffix)
                known = manifest.get(str(path))
                if _is_current(day, known, folder / path):
                    continue
                found = _write(history, day, folder / path, known)
                if found is not None:
                    manifest[str(path)] = found
                    written.append(folder / path)
    finally:
        if written:
            _replace(folder / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest), indent=1))
    return written


def _is_current(day: Day, known: Exported | None, path: Path) -> bool:
    if not path.exists():
        return False
    return day.trimmed or (known is not None and known.revision == day.revision)


def _write(history: History, day: Day, path: Path, known: Exported | None) -> Exported | None:
    """Write one file; None where it stays as it is."""
    with history.reading() as connection:
        columns = PREDICTION_DAYS.c
        its = select(columns.revision).where(
            columns.model == day.model, columns.model_version == day.model_version, columns.day == day.day
        )
        revision = connection.execute(its).scalar_one()
        path.parent.mkdir(parents=True, exist_ok=True)
        with _new(path) as new:
            rows = _write_rows(new, path.suffix, lambda: _rows(connection, day))
            if not rows or (known is not None and path.exists() and rows < known.rows):
                if rows:
                    log.warning("%s has %d rows, the history only %d: it stays", path, known and known.rows, rows)
                return None
            os.replace(new, path)  # noqa: PTH105 - both names are given
    return Exported(revision, rows)


def _write_rows(path: Path, suffix: str, rows: Rows) -> int:
    if suffix == ".parquet":
        return write_parquet(path, rows)
    encoder, n = msgspec.json.Encoder(), 0
    with path.open("wb") as file:
        for row in rows():
            file.write(encoder.encode(row) + b"\n")
            n += 1
        file.flush()
        os.fsync(file.fileno())
    return n


def _rows(connection: Connection, day: Day) -> Iterator[Prediction]:
    start = datetime.fromisoformat(day.day).replace(tzinfo=UTC)
    columns = PREDICTIONS.c
    asked = (
        select(PREDICTIONS)
        .where(columns.model == day.model, columns.model_version == day.model_version)
        .where(columns.predicted_at >= start, columns.predicted_at < start + timedelta(days=1))
        .order_by(columns.predicted_at, columns.prediction_id)
    )
    found = connection.execution_options(yield_per=FETCHED).execute(asked)
    return map(prediction_of, found)


def _days(history: History) -> list[Day]:
    columns = PREDICTION_DAYS.c
    named = [columns[field.name] for field in fields(Day)]
    asked = select(*named).order_by(columns.day, columns.model, columns.model_version)
    with history.reading() as connection:
        return [Day(**row) for row in connection.execute(asked).mappings()]


def _spelt(name: str) -> str:
    """A name as one folder's, whatever is in it."""
    spelt = quote(name, safe=" ")
    if len(spelt) <= LONGEST_NAME:
        return spelt
    return f"{spelt[: LONGEST_NAME - 17]}-{hashlib.sha256(name.encode()).hexdigest()[:16]}"


@contextmanager
def _new(path: Path) -> Iterator[Path]:
    """A file beside it, gone at the end unless it has taken its place."""
    new = path.with_name(f".{path.name}.new")
    try:
        yield new
    finally:
        new.unlink(missing_ok=True)


def _replace(path: Path, content: bytes) -> None:
    with _new(path) as new:
        new.write_bytes(content)
        new.replace(path)


def _read(path: Path) -> dict[str, Exported]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Exported])
    except FileNotFoundError:
        return {}
    except msgspec.MsgspecError as error:
        log.warning("%s is left aside: %s", path, error)
        return {}
