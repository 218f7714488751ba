"""Retention of the history: a number of days and of megabytes. The oldest records are deleted first."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, Table, delete, func, select, text, tuple_, union_all

from app.history.database import BUSY_MS, WAL_BYTES, History
from app.history.day_sums import trim
from app.history.tables import KEPT_LONGER, PREDICTIONS, RETAINED
from app.telemetry import metrics
from topics.registry import DEPLOYMENTS, TRAINING_RUNS

TOGETHER = 1000
"""Rows deleted in one transaction. The recorder waits no longer than for this many."""
PAUSE_SECONDS = 0.01
"""Pause between two of these transactions, in which the recorder can write, in seconds."""
LONGER_DAYS = max(TRAINING_RUNS.retention_days, DEPLOYMENTS.retention_days)
"""Shortest time for which training runs and deployments are kept, in days."""
ROUNDS = 20
PAGES = 2000
SAMPLE = 1000
"""Number of newest rows from whose width the size of PostgreSQL's tables is estimated."""


@dataclass(frozen=True)
class Limits:
    """Limits of the history: the days for which a record is kept after it was recorded, and the size in megabytes."""

    days: float
    megabytes: int


def retain(
    history: History,
    limits: Limits,
    *,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    stop: Callable[[], bool] = lambda: False,
) -> int:
    """Delete what is older than the limit or exceeds the size. Return the number of deleted rows.

    Raises the errors of `History.reading` and `History.writing`.
    """
    deleted = _expire(history, now() - timedelta(days=limits.days), stop)
    deleted += _expire(history, now() - timedelta(days=max(limits.days, LONGER_DAYS)), stop, KEPT_LONGER)
    if history.path is not None:
        _checkpoint(history)
    allowed = limits.megabytes * 1_000_000 - min(history.wal_bytes, WAL_BYTES)
    for _ in range(ROUNDS):
        with history.reading() as connection:
            size = size_of(connection)
            metrics.HISTORY_BYTES.set(size + history.wal_bytes)
            before = None if size <= allowed else _oldest_share(connection, 1 - allowed / size)
        if before is None or stop():
            break
        deleted += _expire(history, before, stop)
    if deleted and history.path is not None:
        _give_back(history)
    return deleted


def size_of(connection: Connection) -> int:
    """Return the bytes of the rows and their indexes. Free space that deleted rows have left is not counted."""
    if connection.dialect.name == "sqlite":
        pages, free, bytes_ = (
            connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * bytes_)
    connection.execute(text("SET LOCAL statement_timeout = 0"))
    return round(sum(_size_in_postgresql(connection, table) for table in RETAINED))


def _size_in_postgresql(connection: Connection, table: Table) -> float:
    """Return the estimated bytes of a table: rows times their width, and indexes in proportion.

    The size that PostgreSQL reports for a table never shrinks, so it is not used.
    """
    asked = text(
        f"SELECT (SELECT count(*) FROM {table.name}), "
        f"(SELECT avg(pg_column_size(newest)) FROM "
        f"(SELECT * FROM {table.name} ORDER BY recorded_at DESC LIMIT {SAMPLE}) newest), "
        f"pg_indexes_size('{table.name}'), pg_table_size('{table.name}')"
    )
    rows, width, indexes, heap = connection.execute(asked).one()
    return 0.0 if not rows else rows * float(width) * (1 + indexes / max(heap, 1))


def _oldest_share(connection: Connection, share: float) -> datetime | None:
    """Return the time before which about this share of the records was recorded, at least one of them.

    Return None where there are no records.
    """
    bounds = union_all(*(select(func.min(t.c.recorded_at), func.max(t.c.recorded_at)) for t in RETAINED))
    found = [(first, last) for first, last in connection.execute(bounds) if first is not None]
    if not found:
        return None
    first, last = min(one[0] for one in found), max(one[1] for one in found)
    step: timedelta = (last - first) * share
    cut: datetime = first + max(step, timedelta(microseconds=1))
    return cut


def _expire(
    history: History, before: datetime, stop: Callable[[], bool], tables: Sequence[Table] = RETAINED
) -> int:  # fmt: skip
    """Delete the rows that were recorded before a time; return their number."""
    deleted = 0
    for table in tables:
        keys = list(table.primary_key)
        oldest = select(table).where(table.c.recorded_at < before).order_by(table.c.recorded_at).limit(TOGETHER)
        while not stop():
            with history.writing() as connection:
                rows = connection.execute(oldest).all()
                if not rows:
                    break
                gone = [tuple(row._mapping[key.name] for key in keys) for row in rows]
                connection.execute(delete(table).where(tuple_(*keys).in_(gone)))
                if table is PREDICTIONS:
                    trim(connection, rows)
            deleted += len(rows)
            time.sleep(PAUSE_SECONDS)
    return deleted


def _give_back(history: History) -> None:
    """Return SQLite's free pages to the file system."""
    connection = history.engine.raw_connection()
    try:
        cursor = connection.cursor()
        free = cursor.execute("PRAGMA freelist_count").fetchone()[0]
        for _ in range(0, free, PAGES):
            cursor.executescript(f"PRAGMA incremental_vacuum({PAGES})")  # `execute` would free one page
            time.sleep(PAUSE_SECONDS)
    finally:
        connection.close()
    _checkpoint(history)


def _checkpoint(history: History) -> None:
    """Move SQLite's write-ahead log into its file, as far as no reader needs it."""
    connection = history.engine.raw_connection()
    try:
        cursor = connection.cursor()
        cursor.execute("PRAGMA busy_timeout = 0")  # do not wait for readers
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        cursor.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
    finally:
        connection.close()
