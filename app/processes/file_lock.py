"""Locks between processes, by a file."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def lock_within(path: Path, seconds: float) -> Iterator[bool]:
    """Acquire a lock between processes, or go on without it after `seconds`. Yields whether it was acquired."""
    last = time.monotonic() + seconds
    with path.open("ab") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() < last:
                    time.sleep(0.05)
                    continue
                yield False
            else:
                yield True
            return


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Acquire a lock between processes. A process that dies releases it."""
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
