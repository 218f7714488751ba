"""API keys: 256 random bits with a name and roles; only hashes are stored."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from datetime import datetime
from typing import Literal, NamedTuple, get_args

import msgspec

Role = Literal["produce", "read", "rows", "metrics", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)

PREFIX = "dlk"
"""Prefix of every key, so that scanners of repositories recognise one."""
LIMITED: tuple[Role, ...] = ("produce", "read", "rows")
"""Roles that a key for some models may have. The other roles are about all models."""
ID_BYTES, SECRET_BYTES = 6, 32


class Key(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Stored part of a key. The id is no secret; the key cannot be derived from its hash.

    `models`: the only models that the key is for; empty where it is for all. `created_by` and `revoked_by`: the users
    who did so.
    """

    id: str
    name: str
    roles: tuple[Role, ...]
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    key_sha256: str
    session_sha256: str = ""
    """Hash from which the sessions of an earlier release were made."""
    models: tuple[str, ...] = ()
    created_by: str = ""
    revoked_by: str = ""

    def state(self, now: datetime) -> Literal["active", "expired", "revoked"]:
        """Return the key's state at a time."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "active"

    def allows(self, role: Role) -> bool:
        """Return whether the key has a role; `admin` includes all roles."""
        return role in self.roles or "admin" in self.roles


class NewKey(NamedTuple):
    """A new key: `text` is shown once and stored nowhere."""

    text: str
    key: Key


def made(
    name: str, roles: Iterable[Role], now: datetime, expires_at: datetime | None = None, models: Iterable[str] = (),
    created_by: str = "",
) -> NewKey:  # fmt: skip
    """Return a new key. Its roles and its models are sorted, without repetitions."""
    number = secrets.token_hex(ID_BYTES)
    text = f"{PREFIX}_{number}_{secrets.token_urlsafe(SECRET_BYTES)}"
    given = set(roles)
    key = Key(
        id=number, name=name, roles=tuple(role for role in ROLES if role in given), created_at=now,
        expires_at=expires_at, key_sha256=_hash(text),
        models=tuple(sorted({*models})), created_by=created_by,
    )  # fmt: skip
    return NewKey(text, key)


def id_of(text: str) -> str | None:
    """Return the id in a key's text; None where the text is no key."""
    prefix, _, rest = text.partition("_")
    number, _, secret = rest.partition("_")
    return number if prefix == PREFIX and number and secret else None


def fits(text: str, sha256: str) -> bool:
    """Return whether a key has this hash, in constant time."""
    return hmac.compare_digest(_hash(text), sha256)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
