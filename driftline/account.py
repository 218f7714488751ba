"""Number of events that a process keeps, where other processes find it after the process was killed.

The number is in memory that the machine's processes share, since writing to a file on a disk would delay the caller now
and then. Without such memory nothing is kept, and a killed process loses its events without a report.
"""

from __future__ import annotations

import contextlib
import hashlib
import mmap
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol

try:
    import fcntl
except ImportError:
    LOCKS = False  # Windows
else:
    LOCKS = True

SHARED = Path("/dev") / "shm"
LOGGED: Final = 0
SETTLED: Final = 1
BYTES = 16


class Counts(Protocol):
    """Whole numbers at LOGGED and SETTLED: a list, or shared memory."""

    def __getitem__(self, at: int, /) -> int: ...

    def __setitem__(self, at: int, number: int, /) -> None: ...


class Account:
    """Number of events that were logged, and of those that are sent or counted as lost: `counts`. Never raises.

    The system releases the lock on the account's file when the process ends for any reason.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self.counts: Counts = [0, 0]
        self._path: Path | None = None
        self._file = -1
        self._map: mmap.mmap | None = None

    def open(self) -> None:
        """Keep the counts where other processes find them from now on."""
        folder = _folder(make=True)
        if folder is None or not LOCKS or self._map is not None:
            return
        with contextlib.suppress(OSError, ValueError):
            path = folder / f"{_key(self._url)}-{os.getpid()}-{os.urandom(4).hex()}"
            new = path.with_name(f"new-{path.name}")  # other processes skip this name until it is locked
            self._file = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(self._file, BYTES)
            self._map = mmap.mmap(self._file, BYTES)
            counts = memoryview(self._map).cast("q")
            counts[LOGGED], counts[SETTLED] = self.counts[LOGGED], self.counts[SETTLED]
            new.rename(path)
            self.counts, self._path = counts, path

    def close(self) -> None:
        """Delete the file: all events are sent or counted as lost.

        Threads that still have `counts` may write to them.
        """
        with contextlib.suppress(OSError):
            if self._path is not None:
                self._path.unlink()
        self._let_go()

    def leave(self) -> None:
        """Leave the file to the parent process of a fork. Nothing else may refer to `counts`."""
        counts, memory = self.counts, self._map
        self._let_go()
        with contextlib.suppress(BufferError, OSError):
            if isinstance(counts, memoryview):
                counts.release()
            if memory is not None:
                memory.close()  # the map has a descriptor of its own, and with it the lock

    def _let_go(self) -> None:
        with contextlib.suppress(OSError):
            if self._file >= 0:
                os.close(self._file)
        self.counts, self._map, self._path, self._file = [0, 0], None, None, -1


def ended(url: str) -> Iterator[tuple[int, int]]:
    """Yield processes that ended with unsent events for `url`, as (pid, events).

    Each process is yielded to one caller, and its file is deleted when the caller goes on. Where the caller is killed
    before, the next caller finds the file again.
    """
    folder = _folder(make=False)
    if folder is None or not LOCKS:
        return
    for path in sorted(folder.glob(f"{_key(url)}-*")):
        with contextlib.suppress(OSError, ValueError), _opened(path) as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises where its process lives
            if not os.fstat(file).st_nlink:
                continue  # another process was faster
            counts = memoryview(os.read(file, BYTES).ljust(BYTES, b"\0")).cast("q")
            if counts[LOGGED] > counts[SETTLED]:
                yield int(path.name.split("-")[1]), counts[LOGGED] - counts[SETTLED]
            path.unlink()


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    file = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    try:
        yield file
    finally:
        os.close(file)


def _key(url: str) -> str:
    return hashlib.sha256(url.rstrip("/").encode(errors="replace")).hexdigest()[:16]


def _folder(*, make: bool) -> Path | None:
    """Return this user's own folder; None where it does not exist or may be another user's."""
    if not hasattr(os, "geteuid") or not SHARED.is_dir():
        return None
    folder = SHARED / f"driftline-{os.geteuid()}"
    try:
        if make:
            with contextlib.suppress(FileExistsError):
                folder.mkdir(mode=0o700)
        seen = folder.lstat()
    except OSError:
        return None
    ours = stat.S_ISDIR(seen.st_mode) and seen.st_uid == os.geteuid() and not seen.st_mode & 0o077
    return folder if ours else None
