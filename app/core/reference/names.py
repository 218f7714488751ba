"""Permitted names of a model and its version: names are parts of keys and of URLs."""

from __future__ import annotations

LONGEST = 200
DOTS = (".", "..")
"""Names that browsers remove from a URL, however they are written."""


def wrong_name(name: str) -> str | None:
    """Return why the name of a model or a version is not permitted; None where it is."""
    if 0 < len(name) <= LONGEST and "/" not in name and name not in DOTS and name.isprintable():
        return None
    return f"1 to {LONGEST} printable characters without '/', and not '.' or '..', not {name!r}"
