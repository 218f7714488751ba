"""The recorder as a process, and the rows of its history."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from app.settings.settings import Settings

RECORDER = ("-m", "app.cli", "recorder")


def counts(settings: Settings) -> tuple[int, int]:
    """Predictions, and those with feedback."""
    file = settings.state_dir / "history.db"
    if not file.exists():
        return 0, 0
    with sqlite3.connect(file) as connection:
        try:
            (found,) = connection.execute("SELECT count(*), count(actual) FROM predictions").fetchall()
        except sqlite3.OperationalError:
            return 0, 0  # its tables are being made
    connection.close()
    return int(found[0]), int(found[1])


async def until(settings: Settings, enough: Callable[[tuple[int, int]], bool], seconds: float = 30) -> tuple[int, int]:
    deadline = time.monotonic() + seconds
    while not enough(found := counts(settings)):
        assert time.monotonic() < deadline, (found, log_of(settings))
        await asyncio.sleep(0.05)
    return found


async def until_rows(settings: Settings, question: str, wanted: Sequence[tuple[str, ...]]) -> None:
    deadline = time.monotonic() + 20
    while True:
        with closing(sqlite3.connect(settings.state_dir / "history.db")) as connection:
            found = connection.execute(question).fetchall()
        if found == list(wanted):
            return
        assert time.monotonic() < deadline, (found, log_of(settings))
        await asyncio.sleep(0.05)


def log_of(settings: Settings) -> str:
    return "\n".join(path.read_text()[-2000:] for path in sorted(Path(settings.state_dir).glob("recorder*.log")))
