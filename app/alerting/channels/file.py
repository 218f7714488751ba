"""Channel to daily files `alerts-YYYY-MM-DD.jsonl`: one line for each alert, on disk before the delivery returns."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import threading
from collections.abc import Sequence
from datetime import UTC
from pathlib import Path

import msgspec

from app.alerting.notify.channel import Delivered, Outcome, Permanent, Retryable
from app.alerting.notify.notification import Notification, transitions_of
from topics.events import AlertEvent

HOPELESS = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP}
"""Errors that another attempt does not resolve."""


class _Named(msgspec.Struct):
    alert_id: str


class _Known:
    """The known content of a file: alert ids, and the end of the last whole line."""

    def __init__(self) -> None:
        self.ids: set[str] = set()
        self.end = 0


class FileChannel:
    """Channel that appends to the file of the day (UTC) on which each alert was emitted.

    Several processes may share the directory: a lock on the file orders them. An alert that the file has already is not
    written again. A partial line from a killed process is removed.
    """

    name = "file"
    digests = False

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._known: tuple[Path, _Known] | None = None

    async def deliver(self, notification: Notification) -> Outcome:
        """Append a line for each alert and fsync the file."""
        return await asyncio.to_thread(self._deliver, transitions_of(notification))

    def _deliver(self, alerts: Sequence[AlertEvent]) -> Outcome:
        days: dict[Path, list[AlertEvent]] = {}
        for alert in alerts:
            path = self._directory / f"alerts-{alert.emitted_at.astimezone(UTC):%Y-%m-%d}.jsonl"
            days.setdefault(path, []).append(alert)
        for path, of_the_day in days.items():
            try:
                with self._lock:
                    self._append(path, of_the_day)
            except OSError as error:
                reason = f"cannot write {path}: {error.strerror or error}; mend it or set alerts_dir"
                return Permanent(reason) if error.errno in HOPELESS else Retryable(reason)
        return Delivered(", ".join(map(str, days)))

    def _append(self, path: Path, alerts: Sequence[AlertEvent]) -> None:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            _close_to_others(fd)
            fcntl.flock(fd, fcntl.LOCK_EX)
            known = self._caught_up(path, fd)
            new = {alert.alert_id: alert for alert in alerts if alert.alert_id not in known.ids}
            if new:
                _write_lines(fd, b"".join(msgspec.json.encode(alert) + b"\n" for alert in new.values()), known.end)
            os.fsync(fd)
            _sync_directory(self._directory)
        finally:
            os.close(fd)

    def _caught_up(self, path: Path, fd: int) -> _Known:
        """Read what was appended since the last call. The caller has locked the file."""
        size = os.fstat(fd).st_size
        if self._known is None or self._known[0] != path or self._known[1].end > size:
            self._known = path, _Known()
        known = self._known[1]
        with os.fdopen(os.dup(fd), "rb") as file:
            file.seek(known.end)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                known.end += len(line)
                known.ids.update(_ids_of(line))
        return known


def _ids_of(line: bytes) -> tuple[str, ...]:
    try:
        return (msgspec.json.decode(line, type=_Named).alert_id,)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ()  # a line of another writer is left as it is


def _write_lines(fd: int, lines: bytes, end: int) -> None:
    """Write whole lines after `end`, or nothing."""
    os.ftruncate(fd, end)
    written = 0
    try:
        while written < len(lines):
            written += os.write(fd, lines[written:])
    except OSError:
        os.ftruncate(fd, end)
        raise


def _close_to_others(fd: int) -> None:
    """Remove the access of others that an earlier release allowed: alerts name columns and shares of people's data."""
    about = os.fstat(fd)
    if about.st_mode & 0o077 and about.st_uid == os.geteuid():
        os.fchmod(fd, 0o600)


def _sync_directory(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
