"""What a model and its version may be called: names are parts of keys and of addresses."""

from __future__ import annotations

LONGEST = 200
DOTS = (".", "..")
"""Browsers take these out of an address, however they are written."""


def wrong_name(name: str) -> str | None:
    """What is wrong with the name of a model or a version; None where nothing is."""
    if 0 < len(name) <= LONGEST and "/" not in name and name not in DOTS and name.isprintable():
        return None
    return f"1 to {LONGEST} printable characters without '/', and not '.' or '..', not {name!r}"
