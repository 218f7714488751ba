"""Spool on the disk for records that wait for Kafka.

Records keep their order, their bytes are bounded, and each is synced before it counts as kept. A spool is a folder of
segments, each a file of lines: a CRC-32, the time in milliseconds, the record. A segment is deleted when all of it is
sent. So after a crash, at most one segment is sent again. A process locks its segments, and takes over the segments
that no process has locked. So records of a killed process are sent by the next process.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import time
import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from app.processes.private_files import private_folder

log = logging.getLogger(__name__)

SEGMENT_BYTES = 1 << 20
SUFFIX = ".spool"
DAMAGED = ".damaged"
HEAD = 8 + 1 + 13 + 1
"""Number of characters before a record: the CRC, a space, milliseconds, a space."""


class SpoolError(RuntimeError):
    """Raised when a record cannot be kept. The message says what to do."""


class SpoolFull(SpoolError):
    """Raised when the records would exceed the bound in bytes."""


@dataclass
class _Segment:
    """A segment file, locked by this process. `times`: the times of its records, in milliseconds."""

    path: Path
    fd: int
    size: int
    times: list[int]


class Spool:
    """Spool of one process. Its methods block, and may be called from several threads."""

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self.folder = folder
        self.torn = 0
        """Number of last lines that were cut off when their process was killed. No client got a response for these."""
        self.damaged = 0
        """Number of other lines that could not be read: these predictions are lost."""
        self._most = most_bytes
        self._segments: list[_Segment] = []
        self._is_open_ended = False
        """Whether the last segment still accepts records."""
        self._lock = threading.Lock()

    @property
    def waiting(self) -> int:
        """Return the number of records that wait."""
        return sum(len(segment.times) for segment in tuple(self._segments))

    @property
    def size(self) -> int:
        """Return the size of the waiting records in bytes."""
        return sum(segment.size for segment in tuple(self._segments))

    @property
    def most_bytes(self) -> int:
        """Return the largest permitted size in bytes."""
        return self._most

    def age(self, now: float) -> float:
        """Return the seconds for which the oldest record has waited at `now` (epoch seconds); 0 where none waits."""
        oldest = min((segment.times[0] for segment in tuple(self._segments) if segment.times), default=None)
        return 0.0 if oldest is None else max(0.0, now - oldest / 1000)

    def open(self) -> list[bytes]:
        """Take over the records that wait in the folder; return them, oldest first. Raises SpoolError."""
        found: list[bytes] = []
        try:
            private_folder(self.folder)
            for path in sorted(self.folder.glob(f"*{SUFFIX}")):
                segment = _locked(path)
                if segment is None:
                    continue
                records, segment.times, damaged, torn = _read(segment)
                if damaged:
                    self._set_aside(segment, damaged)
                if torn:
                    self.torn += 1
                    segment.size -= torn
                    os.ftruncate(segment.fd, segment.size)
                found += records
                self._segments.append(segment)
                if not records:
                    self._remove(segment)
        except OSError as error:
            raise SpoolError(f"cannot read the spool {self.folder}: {error.strerror or error}") from error
        return found

    def append(self, records: Sequence[bytes]) -> None:
        """Keep records, all or none. They are on the disk when the method returns. Raises SpoolFull, SpoolError."""
        now = int(time.time() * 1000)
        lines = b"".join(_line(record, now) for record in records)
        with self._lock:
            if self.size + len(lines) > self._most:
                raise SpoolFull(f"the spool {self.folder} is full: {self.size:,} of {self._most:,} bytes (spool_mib)")
            try:
                segment = self._open_ended()
                _write(segment, lines)
            except OSError as error:
                self._is_open_ended = False  # the segment may end in a partial line
                raise SpoolError(f"cannot write to the spool {self.folder}: {error.strerror or error}") from error
            segment.size += len(lines)
            segment.times += [now] * len(records)

    def oldest(self) -> list[bytes]:
        """Return the records of the oldest segment, and stop adding records to it. Raises SpoolError."""
        with self._lock:
            if not self._segments:
                return []
            if len(self._segments) == 1:
                self._is_open_ended = False
            try:
                return _read(self._segments[0])[0]
            except OSError as error:
                raise SpoolError(f"cannot read the spool {self.folder}: {error.strerror or error}") from error

    def discard(self) -> None:
        """Delete the oldest segment, all of which is sent."""
        with self._lock:
            self._remove(self._segments[0])

    def close(self) -> None:
        """Release the locks of the segments; their files stay."""
        with self._lock:
            for segment in self._segments:
                os.close(segment.fd)
            self._segments = []

    def _open_ended(self) -> _Segment:
        """Return the segment that accepts new records."""
        if not (self._is_open_ended and self._segments and self._segments[-1].size < SEGMENT_BYTES):
            self._segments.append(_new(self.folder))
            self._is_open_ended = True
        return self._segments[-1]

    def _remove(self, segment: _Segment) -> None:
        with suppress(FileNotFoundError):
            segment.path.unlink()
        self._segments.remove(segment)
        os.close(segment.fd)

    def _set_aside(self, segment: _Segment, damaged: int) -> None:
        """Keep a copy of a file with unreadable lines for inspection."""
        self.damaged += damaged
        aside = segment.path.with_suffix(DAMAGED)
        with suppress(FileExistsError):
            os.link(segment.path, aside)
        log.error(
            "%s: %d lines cannot be read, their predictions are lost, the others are sent; look at %s and delete it",
            segment.path, damaged, aside,
        )  # fmt: skip


def waits_in(folder: Path) -> bool:
    """Return whether a folder has records of an ended process, or of another one."""
    return any(folder.glob(f"*{SUFFIX}"))


def _line(record: bytes, now: int) -> bytes:
    checked = b"%013d %s" % (now, record)
    return b"%08x %s\n" % (zlib.crc32(checked), checked)


def _locked(path: Path) -> _Segment | None:
    """Return a segment that this process has locked now.

    Return None where another process has locked the segment, or has just deleted it.
    """
    try:
        fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    about = os.fstat(fd)
    if not about.st_nlink:
        os.close(fd)
        return None
    return _Segment(path, fd, about.st_size, [])


def _new(folder: Path) -> _Segment:
    path = folder / f"{time.time_ns():020d}-{os.getpid()}{SUFFIX}"
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
    fcntl.flock(fd, fcntl.LOCK_EX)
    above = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(above)
    finally:
        os.close(above)
    return _Segment(path, fd, 0, [])


def _write(segment: _Segment, lines: bytes) -> None:
    """Write whole lines and sync them. After an error, remove what was written."""
    written = 0
    try:
        while written < len(lines):
            written += os.write(segment.fd, lines[written:])
        os.fsync(segment.fd)
    except OSError:
        with suppress(OSError):
            os.ftruncate(segment.fd, segment.size)
        raise


def _read(segment: _Segment) -> tuple[list[bytes], list[int], int, int]:
    """Return a segment's records, their times, the number of unreadable lines, and the bytes of a last partial line."""
    records: list[bytes] = []
    times: list[int] = []
    damaged = torn = 0
    with os.fdopen(os.dup(segment.fd), "rb") as file:
        file.seek(0)
        for line in file:
            if not line.endswith(b"\n"):
                torn = len(line)
                continue
            if not _is_whole(line):
                damaged += 1
                continue
            times.append(int(line[9:22]))
            records.append(line[HEAD:-1])
    return records, times, damaged, torn


def _is_whole(line: bytes) -> bool:
    try:
        return int(line[:8], 16) == zlib.crc32(line[9:-1])
    except ValueError:
        return False
