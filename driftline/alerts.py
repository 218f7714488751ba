"""Alerts of the caller's own, as POST /alerts takes them: one document each, named so that it can be sent again."""

from __future__ import annotations

from typing import Any

ALERTS = "/alerts"
LASTS = 3600.0
"""Seconds that an alert fires which the caller has given no name: as long as the API lets one without a name."""


def alert_of(
    title: str, message: str, level: Any, metadata: Any, *, key: str, named: bool, status: Any, expires_after: Any
) -> dict[str, object]:
    """Return the members of an alert.

    `key` is its `dedupe_key`. Where the caller has not named it (`named` False) it ends by itself.
    """
    lasts = LASTS if expires_after is None and not named else expires_after
    return {
        "title": title, "message": message, "level": level, "metadata": metadata, "dedupe_key": key, "status": status,
        "expires_after": lasts,
    }  # fmt: skip
