"""Deletion of predictions from the history and its exports, by id or by a column's value."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, Table, delete, func, or_, select, tuple_, update

from app.history.database import History
from app.history.day_sums import take_away
from app.history.export_files import Exported, locked, new_file, put, read_manifest
from app.history.forgotten import ID, forgotten_of, has, keep_forgotten, text_of
from app.history.inserting import parts
from app.history.tables import (
    ALERTS,
    DRIFT_CHECKS,
    MODEL_DEPLOYMENTS,
    PREDICTIONS,
    TRAINING_RUNS,
    WAITING_FEEDBACK,
)

TOGETHER = 500
"""Predictions deleted in one transaction. The recorder waits no longer than for this many."""
FETCHED = 5000
PLACEHOLDER = "forgotten"
NAMING: dict[Table, tuple[str, ...]] = {
    ALERTS: ("title", "message", "labels", "evidence"),
    DRIFT_CHECKS: ("report",),
    TRAINING_RUNS: ("parameters", "metadata", "dataset", "detail"),
    MODEL_DEPLOYMENTS: ("metadata", "detail"),
}
"""Columns that may contain a forgotten value, of tables whose rows are kept."""


@dataclass(frozen=True)
class ForgetRequest:
    """Selection of what to forget: a prediction by id, or the predictions whose column `name` has one of `texts`.

    `texts`: the value as it is spelt, and its hash where the column may be hashed.
    """

    prediction_id: str | None = None
    name: str = ""
    texts: tuple[str, ...] = ()

    @property
    def values(self) -> list[tuple[str, str]]:
        """Return the (name, text) pairs of which later records are dropped."""
        return (
            [(ID, self.prediction_id)] if self.prediction_id is not None else [(self.name, one) for one in self.texts]
        )


@dataclass
class Done:
    """Counts of what was found, and deleted unless it was a dry run."""

    predictions: int = 0
    waiting_feedback: int = 0
    alerts: int = 0
    drift_checks: int = 0
    training_runs: int = 0
    deployments: int = 0
    export_rows: int = 0
    export_files: list[str] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)


def forget(history: History, wanted: ForgetRequest, now: datetime, *, dry_run: bool) -> Done:
    """Forget in the history. Return the counts. Raises the errors of `History.reading`.

    Unless `dry_run`, later records are blocked first. Then the recorded rows are deleted.
    """
    done = Done()
    if not dry_run:
        with history.reading():
            pass  # raises an error for a missing history, before anything is written
        with history.writing() as connection:
            keep_forgotten(connection, forgotten_of(connection), wanted.values, now)
    with history.reading() as connection:
        keys = list(_predictions(connection, wanted))
    done.predictions, done.ids = len(keys), {key[0] for key in keys}
    if wanted.prediction_id is not None:
        done.ids.add(wanted.prediction_id)
    ids = sorted(done.ids)
    with history.reading() as connection:
        waiting = WAITING_FEEDBACK.c.prediction_id
        for some in parts(ids):
            asked = select(func.count()).select_from(WAITING_FEEDBACK).where(waiting.in_(some))
            done.waiting_feedback += int(connection.execute(asked).scalar_one())
    if not dry_run:
        for start in range(0, len(keys), TOGETHER):
            _delete(history, keys[start : start + TOGETHER], now)
        with _overwriting(history) as connection:
            for some in parts(ids):
                connection.execute(delete(WAITING_FEEDBACK).where(waiting.in_(some)))
    found = {table.name: _named(history, table, columns, wanted, dry_run=dry_run) for table, columns in NAMING.items()}
    done.alerts, done.drift_checks = found[ALERTS.name], found[DRIFT_CHECKS.name]
    done.training_runs, done.deployments = found[TRAINING_RUNS.name], found[MODEL_DEPLOYMENTS.name]
    if not dry_run and history.path is not None:
        _overwrite(history)
    return done


def forget_exports(folder: Path, wanted: ForgetRequest, done: Done, *, dry_run: bool) -> None:
    """Forget in the files of an export, and add the counts to `done`. Raises OSError."""
    with locked(folder):
        manifest = read_manifest(folder)
        for path in sorted([*folder.glob("jsonl/**/*.jsonl"), *folder.glob("parquet/predictions/**/*.parquet")]):
            work = _without_parquet if path.suffix == ".parquet" else _without_lines
            with new_file(folder, path.relative_to(folder)) as new:
                gone, left = work(path, new, wanted, done.ids)
                if not gone:
                    continue
                done.export_rows += gone
                done.export_files.append(str(path))
                if dry_run:
                    continue
                with new.open("rb") as file:
                    digest = hashlib.file_digest(file, "sha256").hexdigest()
                put(new, path)
            name = str(path.relative_to(folder))
            known = manifest.files.get(name, Exported(-1, left))
            manifest.files[name] = msgspec.structs.replace(known, rows=left, digest=digest)
        if not dry_run:
            manifest.save(folder)


def _predictions(connection: Connection, wanted: ForgetRequest) -> Iterator[tuple[str, str, str]]:
    columns = PREDICTIONS.c
    asked = select(columns.prediction_id, columns.model, columns.model_version, columns.features, columns.metadata)
    if wanted.prediction_id is not None:
        asked = asked.where(columns.prediction_id == wanted.prediction_id)
    for row in connection.execution_options(yield_per=FETCHED).execute(asked).mappings():
        if wanted.prediction_id is not None or has(dict(row), wanted.name, wanted.texts):
            yield row["prediction_id"], row["model"], row["model_version"]


@contextmanager
def _overwriting(history: History) -> Iterator[Connection]:
    """Open a write transaction in which SQLite overwrites what it deletes.

    Not every build of SQLite does so by default.
    """
    with history.writing() as connection:
        if history.path is not None:
            connection.exec_driver_sql("PRAGMA secure_delete = ON")
        yield connection


def _delete(history: History, keys: Sequence[tuple[str, str, str]], now: datetime) -> None:
    with _overwriting(history) as connection:
        its = tuple_(*PREDICTIONS.primary_key).in_(keys)
        rows = connection.execute(select(PREDICTIONS).where(its)).all()
        connection.execute(delete(PREDICTIONS).where(its))
        take_away(connection, rows)
        keep_forgotten(connection, forgotten_of(connection), [(ID, key[0]) for key in keys], now)


def _named(history: History, table: Table, columns: Sequence[str], wanted: ForgetRequest, *, dry_run: bool) -> int:
    """Replace the value in alerts, reports, training runs and deployments.

    Return the number of rows that contain the value.
    """
    changed = 0
    for text in wanted.texts:
        if not text:
            continue
        quoted = json.dumps(text, ensure_ascii=False)
        conditions: list[ColumnElement[bool]] = [
            table.c[name].contains(quoted[1:-1], autoescape=True) for name in columns
        ]
        with history.reading() as connection:
            rows = connection.execute(select(table).where(or_(*conditions))).all()
        for row in rows:
            after = {name: _without(row._mapping[name], text, quoted) for name in columns}
            if all(after[name] == row._mapping[name] for name in columns):
                continue
            changed += 1
            if not dry_run:
                _write(history, table, row, after)
    return changed


def _without(given: str, text: str, quoted: str) -> str:
    """Return a text or JSON in which the whole value is replaced by the placeholder."""
    if given.startswith(("{", "[")):
        return given.replace(quoted, f'"{PLACEHOLDER}"')
    return re.sub(rf"(?<![\w.]){re.escape(text)}(?![\w.])", PLACEHOLDER, given)


def _write(history: History, table: Table, row: Row[Any], after: dict[str, str]) -> None:
    with _overwriting(history) as connection:
        its = [column == row._mapping[column.name] for column in table.primary_key]
        connection.execute(update(table).where(*its).values(**after))


def _overwrite(history: History) -> None:
    """Write SQLite's write-ahead log into the file and truncate it, so that deleted data is overwritten with zeros."""
    connection = history.engine.raw_connection()
    try:
        connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    finally:
        connection.close()


def _without_lines(path: Path, new: Path, wanted: ForgetRequest, ids: set[str]) -> tuple[int, int]:
    """Write the lines that are kept. Return how many are removed, and how many are kept."""
    gone = left = 0
    with path.open("rb") as lines, new.open("wb") as file:
        for line in lines:
            row = msgspec.json.decode(line, type=dict[str, Any])
            cells = {
                name: None if (one := row.get(name)) is None else json.dumps(one) for name in ("features", "metadata")
            }
            if row["prediction_id"] in ids or has(cells, wanted.name, wanted.texts):
                gone += 1
                continue
            file.write(line)
            left += 1
    return gone, left


def _without_parquet(path: Path, new: Path, wanted: ForgetRequest, ids: set[str]) -> tuple[int, int]:
    """Write the rows that are kept, with the file's columns. Return how many are removed, and how many are kept."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    gone = left = 0
    with pq.ParquetFile(path) as file, pq.ParquetWriter(new, file.schema_arrow, compression="zstd") as writer:
        for number in range(file.num_row_groups):
            table = file.read_row_group(number)
            keep = [id_ not in ids for id_ in table["prediction_id"].to_pylist()]
            for name in (f"feature.{wanted.name}", f"metadata.{wanted.name}"):
                if wanted.texts and name in table.column_names:
                    values = table[name].to_pylist()
                    keep = [
                        kept and (value is None or text_of(value) not in wanted.texts)
                        for kept, value in zip(keep, values, strict=True)
                    ]
            gone += keep.count(False)
            left += keep.count(True)
            writer.write_table(table.filter(pa.array(keep, pa.bool_())))
    return gone, left
