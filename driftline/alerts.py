"""The caller's own alerts, as POST /alerts accepts them: one document each, with a key so that it can be sent again."""

from __future__ import annotations

from typing import Any

ALERTS = "/alerts"
LASTS = 3600.0
"""Seconds that an alert without the caller's key fires; the API has the same limit for alerts without a key."""


def alert_of(
    title: str, message: str, level: Any, metadata: Any, *, key: str, named: bool, status: Any, expires_after: Any
) -> dict[str, object]:
    """Return the members of an alert.

    `key` is its `dedupe_key`. Without a key of the caller (`named` False) the alert is resolved by itself.
    """
    lasts = LASTS if expires_after is None and not named else expires_after
    return {
        "title": title, "message": message, "level": level, "metadata": metadata, "dedupe_key": key, "status": status,
        "expires_after": lasts,
    }  # fmt: skip
