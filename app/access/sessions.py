"""Sessions of browsers: random, stored as hashes in the key file's folder, ended by their expiry or by sign-out."""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from app.processes.file_lock import lock_within

log = logging.getLogger(__name__)

FILE = "api-sessions.json"
PREFIX = "dls"
SECRET_BYTES = 32
MOST = 10_000
LOCK_SECONDS = 2.0


class Session(msgspec.Struct, frozen=True):
    """The key with which a browser signed in, and the session's end."""

    key_id: str
    ends_at: datetime


Known = dict[str, Session]


class Sessions:
    """Sessions of a folder, shared by all APIs that read its keys; of one process for a read-only folder."""

    def __init__(self, keys: Path) -> None:
        """Use the folder of `keys`, the key file."""
        self.path = keys.with_name(FILE)
        self._seen: tuple[int, int, int] | None = None
        self._known: Known = {}
        self._alone = False
        self._turn = threading.Lock()

    def begin(self, key_id: str, now: datetime, lasts: timedelta) -> str:
        """Begin a session with a key; return the text that the browser keeps."""
        text = f"{PREFIX}_{secrets.token_hex(SECRET_BYTES)}"
        self._change(lambda known: {**known, _digest(text): Session(key_id, now + lasts)}, now)
        return text

    def key_of(self, text: str, now: datetime) -> str | None:
        """Return the id of the key with which a session began; None where the session has ended or does not exist."""
        if not text.startswith(f"{PREFIX}_"):
            return None
        self._refresh()
        found = self._known.get(_digest(text))
        return found.key_id if found is not None and found.ends_at > now else None

    def end(self, text: str, now: datetime) -> None:
        """End a session, from the next request on."""
        digest = _digest(text)
        self._change(lambda known: {name: one for name, one in known.items() if name != digest}, now)

    def _change(self, change: Callable[[Known], Known], now: datetime) -> None:
        with self._turn:
            if not self._alone:
                try:
                    self._write(change, now)
                except OSError as error:
                    log.warning(
                        "sessions are kept in this process alone: cannot write %s: %s", self.path, error.strerror
                    )
                    self._alone = True
            if self._alone:
                self._known = _kept(change(self._known), now)

    def _write(self, change: Callable[[Known], Known], now: datetime) -> None:
        with lock_within(self.path.with_name(f"{FILE}.lock"), LOCK_SECONDS):
            self._refresh()
            kept = _kept(change(self._known), now)
            new = self.path.with_name(f"{FILE}.{secrets.token_hex(4)}.new")
            with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(msgspec.json.encode(kept))
            new.replace(self.path)
            self._known = kept

    def _refresh(self) -> None:
        """Read the file if it has changed since it was read last. An unreadable file counts as no sessions."""
        if self._alone:
            return
        try:
            about = self.path.stat()
            seen = about.st_mtime_ns, about.st_ino, about.st_size
            if seen == self._seen:
                return
            self._known = msgspec.json.decode(self.path.read_bytes(), type=Known)
            self._seen = seen
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            self._seen, self._known = None, {}


def _kept(sessions: Known, now: datetime) -> Known:
    """Return the sessions that have not ended, at most the newest MOST."""
    left = [(name, one) for name, one in sessions.items() if one.ends_at > now]
    return dict(left[-MOST:])


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
