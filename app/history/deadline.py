"""How long a question to the history may take; whoever asked may end it before."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, text

STEPS = 20_000
"""Steps of SQLite's virtual machine between two looks at the clock: some milliseconds."""


class Deadline:
    """A time, by the monotonic clock, and an earlier end by `cancel`. May be used from several threads."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._until = time.monotonic() + seconds
        self._turn = threading.Lock()
        self._stop: Callable[[], None] | None = None
        self._cancelled = False

    @property
    def left(self) -> float:
        """Seconds that are left; 0 when it is over."""
        return 0.0 if self._cancelled else max(0.0, self._until - time.monotonic())

    def cancel(self) -> None:
        """End the statement that is being worked at.

        PostgreSQL does not hear of it between two statements: cancel again until what is asked has ended.
        """
        with self._turn:
            self._cancelled = True
            if self._stop is not None:
                self._stop()

    @contextmanager
    def over(self, connection: Connection) -> Iterator[None]:
        """Hold the deadline over what is asked through a connection, in its transaction.

        When it is over, the database's own error of an interrupted statement is raised.
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
