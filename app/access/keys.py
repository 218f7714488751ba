"""A key: 256 random bits with a name and roles, of which only hashes are kept."""

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
"""Begins every key, so that whoever scans repositories for secrets knows one."""
LIMITED: tuple[Role, ...] = ("produce", "read", "rows")
"""Roles of keys that are for some models alone: what the others let one do is about all of them."""
ID_BYTES, SECRET_BYTES = 6, 32


class Key(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is kept of a key. The id is no secret; the key cannot be made from its hash.

    `models`: the only ones that it is for; empty where it is for all. `created_by` and `revoked_by`: who typed it.
    """

    id: str
    name: str
    roles: tuple[Role, ...]
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    key_sha256: str
    session_sha256: str = ""
    """Of a key of an earlier release: what its sessions were made of."""
    models: tuple[str, ...] = ()
    created_by: str = ""
    revoked_by: str = ""

    def state(self, now: datetime) -> Literal["active", "expired", "revoked"]:
        """What it is good for at a time."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "active"

    def allows(self, role: Role) -> bool:
        """Whether it has a role; `admin` has them all."""
        return role in self.roles or "admin" in self.roles


class NewKey(NamedTuple):
    """A key that was just made: `text` is told once and kept nowhere."""

    text: str
    key: Key


def made(
    name: str, roles: Iterable[Role], now: datetime, expires_at: datetime | None = None, models: Iterable[str] = (),
    created_by: str = "",
) -> NewKey:  # fmt: skip
    """A new key. Its roles are put in order, each once, and so are its models."""
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
    """The id that a key names; None where it is none."""
    prefix, _, rest = text.partition("_")
    number, _, secret = rest.partition("_")
    return number if prefix == PREFIX and number and secret else None


def fits(text: str, sha256: str) -> bool:
    """Whether a key has this hash; takes as long when it has not."""
    return hmac.compare_digest(_hash(text), sha256)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
