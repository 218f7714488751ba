"""Export of predictions with their truth: one file for each day (UTC) and model version, rewritten when it changes."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
from sqlalchemy import Connection, select

from app.history.answers import Prediction, prediction_of
from app.history.database import History
from app.history.export_files import (
    COLUMNS,
    Exported,
    Manifest,
    adopt,
    locked,
    make_private,
    new_file,
    path_of,
    put,
    read_manifest,
)
from app.history.parquet import columns_of, joined, widen_parquet, write_columns, write_parquet
from app.history.tables import PREDICTION_DAYS, PREDICTIONS

log = logging.getLogger(__name__)

FETCHED = 5000
UNKNOWN = -1
"""Revision of a file that the manifest does not know."""


@dataclass(frozen=True)
class ExportedDay:
    """One day (UTC) of a model version, as the history has it."""

    model: str
    model_version: str
    day: str
    revision: int
    trimmed: bool


def export(
    history: History, folder: Path, formats: Sequence[str], *, stop: Callable[[], bool] = lambda: False
) -> list[Path]:
    """Write the files of the days that changed since the last export; return their paths.

    Raises OSError, and the errors of `History.reading`. A file is replaced completely or not at all. A file stays
    unchanged where the history no longer has the complete day. All Parquet files of a model version have the same
    columns. When columns are added, the files of other days are rewritten with them.
    """
    make_private(folder)
    with locked(folder):
        adopt(folder)
        work = _Export(history, folder, read_manifest(folder), stop)
        try:
            for day in _days(history):
                for suffix in formats:
                    work.write(day, suffix)
            if "parquet" in formats:
                work.align()
        finally:
            if work.changed:
                work.manifest.save(folder)
    return work.written


def expire(folder: Path, before: datetime) -> list[Path]:
    """Delete the files that were first written before a time, permanently; return their paths. Raises OSError.

    As in the history, age counts from when the rows were recorded: a replay of last year's data stays.
    """
    if not folder.is_dir():
        return []
    with locked(folder):
        manifest, gone = read_manifest(folder), list[Path]()
        for path in sorted([*folder.glob("jsonl/**/*.jsonl"), *folder.glob("parquet/predictions/**/*.parquet")]):
            name = str(path.relative_to(folder))
            known = manifest.files.get(name, Exported(UNKNOWN, 0))
            if (known.first_at or path.stat().st_mtime) >= before.timestamp():
                continue
            path.unlink()
            manifest.files[name] = msgspec.structs.replace(known, is_over=True)
            gone.append(path)
        if gone:
            manifest.save(folder)
    return gone


class _Export:
    """One export: the known files, and the paths that were written."""

    def __init__(self, history: History, folder: Path, manifest: Manifest, stop: Callable[[], bool]) -> None:
        self._history, self._folder, self._stop = history, folder, stop
        self.manifest = manifest
        self.written: list[Path] = []
        self.changed = False

    def write(self, day: ExportedDay, suffix: str) -> None:
        """Write one file where its day has changed."""
        path = path_of(day.model, day.model_version, day.day, suffix)
        if self._stop() or self._is_over(path):
            return
        known = self._known(path)
        if known is not None and (day.trimmed or known.revision == day.revision):
            return
        with self._history.reading() as connection, new_file(self._folder, path) as new:
            revision = _revision(connection, day)
            found = self._write_rows(new, path, lambda: _rows(connection, day))
            if not found.rows:
                return
            if known is not None and found.rows < known.rows:
                log.warning("%s has %d rows, the history only %d: it stays", path, known.rows, found.rows)
                return
            self._put(new, path, msgspec.structs.replace(found, revision=revision))

    def _is_over(self, path: Path) -> bool:
        known = self.manifest.files.get(str(path))
        return known is not None and known.is_over

    def align(self) -> None:
        """Give the Parquet files of each model version the same columns, and write the columns file of all versions."""
        for name, known in sorted(self.manifest.files.items()):
            path = Path(name)
            columns = self.manifest.columns.get(str(path.parent))
            if (
                known.is_over
                or path.suffix != ".parquet"
                or columns is None
                or known.columns == _signature(columns)
                or self._stop()
            ):
                continue
            if not (self._folder / path).exists():  # a user has moved the file
                continue
            with new_file(self._folder, path) as new:
                widen_parquet(self._folder / path, new, columns)
                self._put(new, path, msgspec.structs.replace(known, columns=_signature(columns)))
        every = joined(*self.manifest.columns.values())
        first = self._folder / COLUMNS
        if every and not (first.exists() and columns_of(first).columns == every):
            with new_file(self._folder, first) as new:
                write_columns(new, every)
                put(new, first)

    def _known(self, path: Path) -> Exported | None:
        """Return the known state of a file; read the file where the manifest does not have it."""
        file = self._folder / path
        if not file.exists():
            return None
        known = self.manifest.files.get(str(path))
        if known is not None:
            return known
        try:
            found = self._look(path)
        except ValueError as error:
            log.warning("%s cannot be read, and is written anew: %s", file, error)
            return None
        self.manifest.files[str(path)] = found
        self.changed = True
        return found

    def _look(self, path: Path) -> Exported:
        if path.suffix != ".parquet":
            with (self._folder / path).open("rb") as lines:
                return Exported(UNKNOWN, sum(1 for _ in lines))
        rows, columns = columns_of(self._folder / path)
        self._join(path, columns)
        return Exported(UNKNOWN, rows, columns=_signature(columns))

    def _write_rows(self, new: Path, path: Path, rows: Callable[[], Iterable[Prediction]]) -> Exported:
        if path.suffix == ".parquet":
            n, columns = write_parquet(new, rows, self.manifest.columns.get(str(path.parent)))
            if n:
                self._join(path, columns)
            return Exported(UNKNOWN, n, columns=_signature(columns))
        encoder, n = msgspec.json.Encoder(), 0
        with new.open("wb") as file:
            for row in rows():
                file.write(encoder.encode(row) + b"\n")
                n += 1
        return Exported(UNKNOWN, n)

    def _join(self, path: Path, columns: dict[str, str]) -> None:
        folder = str(path.parent)
        self.manifest.columns[folder] = joined(self.manifest.columns.get(folder, {}), columns)

    def _put(self, new: Path, path: Path, found: Exported) -> None:
        """Move the new file to its path, unless its content has not changed."""
        with new.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        known = self.manifest.files.get(str(path))
        if known is None or known.digest != digest or not (self._folder / path).exists():
            put(new, self._folder / path)
            self.written.append(self._folder / path)
        first_at = time.time() if known is None or not known.first_at else known.first_at
        self.manifest.files[str(path)] = msgspec.structs.replace(found, digest=digest, first_at=first_at)
        self.changed = True


def _signature(columns: dict[str, str]) -> str:
    encoded = msgspec.json.encode(sorted(columns.items()))
    return hashlib.sha256(encoded).hexdigest()[:16]


def _revision(connection: Connection, day: ExportedDay) -> int:
    columns = PREDICTION_DAYS.c
    its = select(columns.revision).where(
        columns.model == day.model, columns.model_version == day.model_version, columns.day == day.day
    )
    return int(connection.execute(its).scalar_one())


def _rows(connection: Connection, day: ExportedDay) -> Iterator[Prediction]:
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


def _days(history: History) -> list[ExportedDay]:
    columns = PREDICTION_DAYS.c
    named = [columns[field.name] for field in fields(ExportedDay)]
    asked = select(*named).order_by(columns.day, columns.model, columns.model_version)
    with history.reading() as connection:
        return [ExportedDay(**row) for row in connection.execute(asked).mappings()]
