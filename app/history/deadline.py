"""Deadline of a query to the history, which the caller may cancel earlier."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, text

STEPS = 20_000
"""Steps of SQLite's virtual machine between two checks of the clock: some milliseconds."""


class Deadline:
    """Deadline on the monotonic clock, which `cancel` ends earlier. Safe for use from several threads."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._until = time.monotonic() + seconds
        self._turn = threading.Lock()
        self._stop: Callable[[], None] | None = None
        self._cancelled = False

    @property
    def left(self) -> float:
        """Return the seconds that are left; 0 once the deadline has passed or was cancelled."""
        return 0.0 if self._cancelled else max(0.0, self._until - time.monotonic())

    def cancel(self) -> None:
        """Interrupt the running statement.

        PostgreSQL ignores an interrupt between two statements. Call `cancel` again until the query has ended.
        """
        with self._turn:
            self._cancelled = True
            if self._stop is not None:
                self._stop()

    @contextmanager
    def over(self, connection: Connection) -> Iterator[None]:
        """Apply the deadline to the statements of a connection, in its transaction.

        Once the deadline has passed, the database's own error of an interrupted statement is raised.
        """
        raw: Any = connection.connection.dbapi_connection
        if connection.dialect.name == "sqlite":
            raw.set_progress_handler(lambda: not self.left, STEPS)
            try:
                yield
            finally:
                raw.set_progress_handler(None, 0)
            return
        connection.execute(text(f"SET LOCAL statement_timeout = {max(1, round(self.left * 1000))}"))
        with self._turn:
            self._stop = raw.cancel
        try:
            yield
        finally:
            with self._turn:
                self._stop = None
