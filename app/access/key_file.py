"""The key file: one writer at a time, replaced as a whole, and read again after a change."""

from __future__ import annotations

import os
import secrets
import unicodedata
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from app.access.keys import LIMITED, ROLES, Key, NewKey, Role, fits, id_of, made
from app.access.sessions import Sessions
from app.core.values.accepted import wrong_name
from app.processes.file_lock import lock_within
from app.settings.settings import Settings

FILE = "api-keys.json"
LONGEST_NAME = 100
LOCK_SECONDS = 5.0
TRIES = 5


class KeyFileError(Exception):
    """Error of a key file, or of a key in it, in one line."""


class _Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    keys: tuple[Key, ...]


def keys_path(settings: Settings) -> Path:
    """Return the path of the key file: `keys_file`, else in the state folder."""
    return settings.keys_file or settings.state_dir / FILE


class KeyFile:
    """Keys of a file. Every look-up sees the newest written version."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, int, int] | None = None
        self._keys: dict[str, Key] = {}
        self._sessions = Sessions(path)

    @property
    def exists(self) -> bool:
        """Return whether a key was ever created."""
        return self.path.exists()

    def all(self) -> list[Key]:
        """Return all keys, oldest first; none where there is no file. Raises KeyFileError."""
        self._refresh()
        return list(self._keys.values())

    def find(self, text: str, now: datetime) -> Key | None:
        """Return the active key with this text, or None. Raises KeyFileError."""
        self._refresh()
        key = self._keys.get(id_of(text) or "")
        return key if key is not None and fits(text, key.key_sha256) and key.state(now) == "active" else None

    def begin_session(self, text: str, now: datetime, lasts: timedelta) -> str | None:
        """Begin a browser's session with a key, and return the session's text; None for an invalid key.

        Raises KeyFileError.
        """
        key = self.find(text, now)
        return None if key is None else self._sessions.begin(key.id, now, lasts)

    def find_session(self, text: str, now: datetime) -> Key | None:
        """Return the active key of a session, or None. Raises KeyFileError."""
        self._refresh()
        key = self._keys.get(self._sessions.key_of(text, now) or "")
        return key if key is not None and key.state(now) == "active" else None

    def end_session(self, text: str, now: datetime) -> None:
        """End a browser's session, from the next request on."""
        self._sessions.end(text, now)

    def create(
        self, name: str, roles: list[Role], now: datetime, expires_at: datetime | None = None,
        models: Sequence[str] = (), created_by: str = "",
    ) -> NewKey:  # fmt: skip
        """Create a key and store its hash. `models`: the only models that the key is for. Raises KeyFileError."""
        if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
            raise KeyFileError(f"name: must have 1 to {LONGEST_NAME} printable characters")
        if not roles:
            raise KeyFileError(f"role: a key needs one at least: {', '.join(ROLES)}")
        beyond = [role for role in roles if role not in LIMITED] if models else []
        if beyond:
            raise KeyFileError(f"model: {beyond[0]} is about all models; a key for some may {', '.join(LIMITED)}")
        for model in models:
            if wrong := wrong_name("model", unicodedata.normalize("NFC", model)):
                raise KeyFileError(wrong)
        its = [unicodedata.normalize("NFC", model) for model in models]
        new = made(name, roles, now, expires_at, its, created_by)
        self._write(lambda keys: [*keys, new.key])
        return new

    def revoke(self, number: str, now: datetime, revoked_by: str = "") -> Key:
        """Revoke a key, from the next request on. A second call changes nothing. Raises KeyFileError.

        The call waits for another writer for at most LOCK_SECONDS: a process that keeps the lock cannot keep a key
        valid.
        """
        found: list[Key] = []

        def revoked(keys: list[Key]) -> list[Key]:
            at = next((i for i, key in enumerate(keys) if key.id == number), None)
            if at is None:
                raise KeyFileError(
                    f"no key {number!r} in {self.path}: `driftline keys list` shows those that there are"
                )
            if keys[at].revoked_at is None:
                keys[at] = msgspec.structs.replace(keys[at], revoked_at=now, revoked_by=revoked_by)
            found.append(keys[at])
            return keys

        for _ in range(TRIES):
            self._write(revoked, insists=True)
            if any(key.id == number and key.revoked_at is not None for key in self.all()):
                return found[0]
        raise KeyFileError(f"keys_file: another writer takes the revocation out of {self.path} again and again")

    def _write(self, change: Callable[[list[Key]], list[Key]], *, insists: bool = False) -> None:
        """Write the keys that `change` returns. `insists`: write without the lock too, where it is not free in time."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with lock_within(self.path.with_name(f"{self.path.name}.lock"), LOCK_SECONDS) as is_locked:
                if not is_locked and not insists:
                    raise KeyFileError(
                        f"keys_file: another process holds the lock of {self.path} for more than {LOCK_SECONDS:g} s"
                    )
                kept = _Kept(tuple(change(self.all())))
                new = self.path.with_name(f"{self.path.name}.{secrets.token_hex(4)}.new")
                with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                    file.write(msgspec.json.format(msgspec.json.encode(kept), indent=2) + b"\n")
                    file.flush()
                    os.fsync(file.fileno())
                new.replace(self.path)
        except OSError as error:
            raise KeyFileError(f"keys_file: cannot write {self.path}: {error.strerror}") from None

    def _refresh(self) -> None:
        """Read the file if it has changed since it was read last."""
        try:
            about = self.path.stat()
            seen = about.st_mtime_ns, about.st_ino, about.st_size
            if seen == self._seen:
                return
            kept = msgspec.json.decode(self.path.read_bytes(), type=_Kept)
        except FileNotFoundError:
            self._seen, self._keys = None, {}
            return
        except OSError as error:
            raise KeyFileError(f"keys_file: cannot read {self.path}: {error.strerror}") from None
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise KeyFileError(f"keys_file: {self.path} is no file of keys: {error}") from None
        self._seen, self._keys = seen, {key.id: key for key in kept.keys}
