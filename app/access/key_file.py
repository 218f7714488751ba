"""The file of keys: one writer at a time, replaced whole, and read again when it has changed."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import msgspec

from app.access.keys import Key, NewKey, Role, fits, id_of, made
from app.runtime.kafka_jars import file_lock
from app.runtime.settings import Settings

FILE = "api-keys.json"
LONGEST_NAME = 100


class KeyFileError(Exception):
    """A file of keys, or a key in it, that cannot be used, in one line."""


class _Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    keys: tuple[Key, ...]


def keys_path(settings: Settings) -> Path:
    """Where the keys are: `keys_file`, else in the state folder."""
    return settings.keys_file or settings.state_dir / FILE


class KeyFile:
    """The keys of a file. Whoever asks it for a key sees what was written last."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, int, int] | None = None
        self._keys: dict[str, Key] = {}

    @property
    def exists(self) -> bool:
        """Whether there ever was a key."""
        return self.path.exists()

    def all(self) -> list[Key]:
        """All of them, oldest first; none where there is no file. Raises KeyFileError."""
        self._refresh()
        return list(self._keys.values())

    def find(self, text: str, now: datetime) -> Key | None:
        """The active key of this text, or None. Raises KeyFileError."""
        return self._find(text, now, lambda key: key.key_sha256)

    def find_session(self, text: str, now: datetime) -> Key | None:
        """The active key of this session, or None. Raises KeyFileError."""
        return self._find(text, now, lambda key: key.session_sha256)

    def create(self, name: str, roles: list[Role], now: datetime, expires_at: datetime | None = None) -> NewKey:
        """Make a key and keep its hashes. Raises KeyFileError."""
        if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
            raise KeyFileError(f"name: must have 1 to {LONGEST_NAME} printable characters")
        if not roles:
            raise KeyFileError("role: a key needs one at least: produce, read or admin")
        new = made(name, roles, now, expires_at)
        self._write(lambda keys: [*keys, new.key])
        return new

    def revoke(self, number: str, now: datetime) -> Key:
        """Make a key good for nothing, from the next request on. Again it changes nothing. Raises KeyFileError."""
        found: list[Key] = []

        def revoked(keys: list[Key]) -> list[Key]:
            at = next((i for i, key in enumerate(keys) if key.id == number), None)
            if at is None:
                raise KeyFileError(
                    f"no key {number!r} in {self.path}: `driftline keys list` shows those that there are"
                )
            if keys[at].revoked_at is None:
                keys[at] = msgspec.structs.replace(keys[at], revoked_at=now)
            found.append(keys[at])
            return keys

        self._write(revoked)
        return found[0]

    def _find(self, text: str, now: datetime, hash_of: Callable[[Key], str]) -> Key | None:
        self._refresh()
        key = self._keys.get(id_of(text) or "")
        return key if key is not None and fits(text, hash_of(key)) and key.state(now) == "active" else None

    def _write(self, change: Callable[[list[Key]], list[Key]]) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with file_lock(self.path.with_name(f"{self.path.name}.lock")):
                kept = _Kept(tuple(change(self.all())))
                new = self.path.with_name(f"{self.path.name}.new")
                new.unlink(missing_ok=True)
                with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                    file.write(msgspec.json.format(msgspec.json.encode(kept), indent=2) + b"\n")
                    file.flush()
                    os.fsync(file.fileno())
                new.replace(self.path)
        except OSError as error:
            raise KeyFileError(f"keys_file: cannot write {self.path}: {error.strerror}") from None

    def _refresh(self) -> None:
        """Read the file if it is not the one that was read last."""
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
