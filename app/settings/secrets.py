"""Secrets from a setting or a file."""

from __future__ import annotations

from pathlib import Path

from pydantic import SecretStr
from pydantic_settings import BaseSettings

from app.settings.settings import SettingsError

SHORTEST_KEY = 16
LONGEST_SECRET_FILE = 65_536
"""Most bytes of a file with a secret: a larger file is not a secret."""


def secret_of(settings: BaseSettings, name: str) -> str | None:
    """Return a secret from its setting or its file; None where neither is set. Raises SettingsError."""
    value: SecretStr | None = getattr(settings, name)
    path: Path | None = getattr(settings, f"{name}_file")
    if value is not None and path is not None:
        raise SettingsError(f"{name}: it is set, and {name}_file is too; leave one of them out")
    if path is None:
        return None if value is None else _filled(name, value.get_secret_value())
    return read_secret(f"{name}_file", path)


def read_secret(name: str, path: Path) -> str:
    """Return the secret in the file that the setting `name` names. Raises SettingsError."""
    try:
        with path.open("rb") as file:
            text = file.read(LONGEST_SECRET_FILE + 1)
        if len(text) > LONGEST_SECRET_FILE:
            raise SettingsError(f"{name}: {path} is too large to be a secret")
        return _filled(name, text.decode())
    except OSError as error:
        raise SettingsError(f"{name}: cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{name}: {path} is not text") from None


def _filled(name: str, text: str) -> str:
    """Return the secret without the line break at the end of the file. Raises SettingsError where it is empty."""
    found = text.rstrip("\r\n")
    if not found.strip():
        raise SettingsError(f"{name}: it is empty")
    return found


def hash_key_of(settings: BaseSettings) -> bytes | None:
    """Return the key of hashed columns; None where none is set. Raises SettingsError."""
    found = secret_of(settings, "hash_key")
    if found is not None and len(found) < SHORTEST_KEY:
        raise SettingsError(f"hash_key: must have {SHORTEST_KEY} characters at least; `openssl rand -hex 32` makes one")
    return None if found is None else found.encode()
