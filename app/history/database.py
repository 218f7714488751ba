"""Database of the history: a SQLite file or PostgreSQL, with one writer at a time."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from app.history.deadline import Deadline
from app.history.errors import HistoryTimeout, HistoryUnavailable, NewerHistory, NoHistory
from app.history.tables import REVISION

SECONDS = 10
"""Timeout of a connection, in seconds."""
WRITE_SECONDS = 60
"""Timeout of one statement of the writer, in seconds."""
BUSY_MS, LOCK_SECONDS = 5000, 10.0
"""Timeouts of a lock: milliseconds in SQLite, seconds in PostgreSQL."""
WAL_BYTES = 64 << 20
"""Size to which SQLite's write-ahead log is cut once no reader needs more of it, in bytes."""
REFUSED = "authentication failed"
"""PostgreSQL's words for a login with another password, or of an unknown user."""
WRITER_LOCK = 0x64726966746C696E
"""Key of PostgreSQL's advisory lock, which the writer takes (`driftlin`)."""


class History:
    """Connections to one history. Safe for use from several threads."""

    def __init__(self, url: str | Path, password: str | None = None) -> None:
        """Prepare the connections; the first use connects.

        `url`: a PostgreSQL URL, sqlite:///FILE, or the path of a SQLite file.
        """
        self._url = _url_of(url, password)
        self.path = Path(self._url.database or "") if self._url.drivername == "sqlite" else None
        self._turn = threading.Lock()
        self.engine = _sqlite(self._url) if self.path is not None else _postgresql(self._url)

    @property
    def name(self) -> str:
        """Return the location of the history, without the password."""
        return str(self.path) if self.path is not None else self._url.render_as_string(hide_password=True)

    @property
    def wal_bytes(self) -> int:
        """Return the size of SQLite's write-ahead log in bytes; 0 for PostgreSQL."""
        if self.path is None:
            return 0
        try:
            return self.path.with_name(f"{self.path.name}-wal").stat().st_size
        except FileNotFoundError:
            return 0

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Open a write transaction; other writers wait until it ends. Raises SQLAlchemy's errors."""
        if self.path is not None and not self.path.exists():
            self.engine.dispose()  # the file was deleted, so open connections would write to the old one
        with self._turn, self.engine.connect().execution_options(writes=True) as connection, connection.begin():
            if self.path is None:
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": WRITER_LOCK})
            yield connection

    @contextmanager
    def reading(self, deadline: Deadline | None = None) -> Iterator[Connection]:
        """Open a read transaction that sees one state, until a deadline.

        Raises NoHistory, NewerHistory, HistoryUnavailable, and HistoryTimeout when the deadline has passed.
        """
        if self.path is not None and not self.path.is_file():
            raise NoHistory(f"there is no history at {self.path}: run `driftline recorder`, or set history_url")
        try:
            with (
                self._read_connection() as connection,
                connection.begin(),
                nullcontext() if deadline is None else deadline.over(connection),
            ):
                self._check(connection)
                yield connection
        except DBAPIError as error:
            if deadline is not None and not deadline.left:
                raise HistoryTimeout(
                    f"the history had no result within {deadline.seconds:g} s: ask for less, with `model`, `since` or "
                    "`until`, or raise history_query_seconds"
                ) from None
            raise HistoryUnavailable(f"the history at {self.name} does not answer: {words_of(error)}") from None
        except SQLAlchemyError as error:
            raise HistoryUnavailable(f"the history at {self.name} does not answer: {error}") from None

    def prepare(self) -> None:
        """Create the database's tables, or migrate them to the current revision.

        Raises SQLAlchemy's errors, OSError and NewerHistory.
        """
        from app.history.migrating import migrate  # only the recorder needs Alembic

        if self.path is not None:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._close_to_others(self.path)
        with self.writing() as connection:
            migrate(connection)

    @staticmethod
    def _close_to_others(path: Path) -> None:
        """Make the database file accessible to its owner only. SQLite gives its other files the same mode."""
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        except FileExistsError:  # not opened: a process that closes SQLite's file loses all its locks on it
            about = path.stat()
            if stat.S_ISREG(about.st_mode) and about.st_mode & 0o077 and about.st_uid == os.geteuid():
                path.chmod(0o600)

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()

    def _read_connection(self) -> Connection:
        if self.path is not None:
            return self.engine.connect()
        options: dict[str, Any] = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        return self.engine.connect().execution_options(**options)

    def _check(self, connection: Connection) -> None:
        if not inspect(connection).has_table("alembic_version"):
            raise NoHistory(f"there is no history at {self.name}: run `driftline recorder`")
        found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        if found != REVISION:
            raise NewerHistory(
                f"the history at {self.name} has the tables of revision {found}, not {REVISION}: "
                "run the recorder and the rest in the same version of Driftline"
            )


def words_of(error: DBAPIError) -> str:
    """Return the database's error message in one line, with the setting to change where there is one.

    The statement and its values are left out.
    """
    words = " ".join(str(error.orig).split()) or type(error).__name__
    attempt = getattr(error.orig, "pgconn", None)  # psycopg has no SQLSTATE of a connection that was not made
    if attempt is not None and attempt.needs_password:
        return f"{words}: no password is set: set history_password or history_password_file"
    if attempt is not None and attempt.used_password and REFUSED in words:
        return f"{words}: history_password (or history_password_file) is not that of this user"
    return words


def _url_of(url: str | Path, password: str | None) -> URL:
    if isinstance(url, Path):
        return URL.create("sqlite", database=str(url))
    parsed = make_url(url)
    if parsed.drivername == "sqlite":
        return parsed
    return parsed.set(drivername="postgresql+psycopg", password=password)


def _sqlite(url: URL) -> Engine:
    """Return an engine whose readers and writer do not wait for each other (WAL).

    A transaction that writes takes the lock at its beginning.
    """
    engine = create_engine(url, hide_parameters=True, connect_args={"timeout": BUSY_MS / 1000})

    @event.listens_for(engine, "connect")
    def _connected(raw: Any, _record: Any) -> None:
        raw.isolation_level = None  # transactions begin below, not by the driver's own rules
        cursor = raw.cursor()
        cursor.execute("PRAGMA auto_vacuum = INCREMENTAL")  # before the first table, or never
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")
        cursor.execute("PRAGMA synchronous = NORMAL")  # a power cut loses rows together with their offsets
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begun(connection: Connection) -> None:
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _postgresql(url: URL) -> Engine:
    arguments = {
        "connect_timeout": SECONDS,
        "keepalives_idle": SECONDS,
        "tcp_user_timeout": WRITE_SECONDS * 1000,
        "options": f"-c lock_timeout={LOCK_SECONDS * 1000:.0f}ms -c statement_timeout={WRITE_SECONDS}s -c timezone=UTC",
        "application_name": "driftline",
        "client_encoding": "utf8",  # else texts of a SQL_ASCII database are returned as bytes
    }
    return create_engine(
        url, hide_parameters=True, pool_pre_ping=True, pool_size=4, pool_timeout=SECONDS, connect_args=arguments
    )
