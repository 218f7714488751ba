"""Periodic work of the recorder: exporting the days that changed, then deleting rows by the retention limits."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from app.history.database import History
from app.history.errors import HistoryError
from app.history.exporting import expire, export
from app.history.retention import Limits, retain
from app.history.retrying import reason_of

log = logging.getLogger(__name__)

RETENTION_SECONDS = 600.0


@dataclass(frozen=True)
class Files:
    """Settings of the export: folder, formats, seconds between two exports, and days for which files are kept."""

    folder: Path
    formats: Sequence[str]
    seconds: float
    days: float


class Housekeeping:
    """Periodic tasks that run in a thread, one after the other.

    An error is logged when it changes, and the task is tried again.
    """

    def __init__(self, history: History, limits: Limits, files: Files | None, stopping: asyncio.Event) -> None:
        self._history = history
        self._limits = limits
        self._files = files
        self._stopping = stopping
        self._trouble: dict[str, str] = {}

    async def run(self) -> None:
        """Run the tasks until stopped."""
        turns = {"retention": (RETENTION_SECONDS, self._retain)}
        if self._files is not None:
            turns = {"export": (self._files.seconds, self._export), **turns}
        due = dict.fromkeys(turns, 0.0)
        while not self._stopping.is_set():
            for name, (seconds, work) in turns.items():
                if time.monotonic() >= due[name]:
                    await self._turn(name, work)
                    due[name] = time.monotonic() + seconds
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), max(0.0, min(due.values()) - time.monotonic()))

    async def _turn(self, name: str, work: Callable[[], None]) -> None:
        try:
            await asyncio.to_thread(work)
        except (SQLAlchemyError, HistoryError, OSError) as error:
            words = reason_of(error)
            if self._trouble.get(name) != words:
                log.warning("%s of the history: %s", name, words)
            self._trouble[name] = words
        else:
            self._trouble.pop(name, None)

    def _export(self) -> None:
        assert self._files is not None
        expired = expire(self._files.folder, datetime.now(UTC) - timedelta(days=self._files.days))
        if expired:
            log.info("%d files of predictions in %s are over and deleted", len(expired), self._files.folder)
        written = export(self._history, self._files.folder, self._files.formats, stop=self._stopping.is_set)
        if written:
            log.info("%d files of predictions in %s", len(written), self._files.folder)

    def _retain(self) -> None:
        deleted = retain(self._history, self._limits, stop=self._stopping.is_set)
        if deleted:
            log.info("retention has taken %d rows from the history", deleted)
