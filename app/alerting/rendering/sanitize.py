"""Words that come from outside (names of models, features and categories; answers), made fit to be shown."""

from __future__ import annotations

import unicodedata

BIDI = frozenset("\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Marks that turn the direction of what follows them, in text that is not theirs too."""
UNSEEN = frozenset({"Cc", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Categories of characters that break lines, steer terminals, or cannot be written as UTF-8."""


def clean(text: str, limit: int | None = None) -> str:
    """The text on one line: without control characters, line breaks and bidi marks; cut at `limit` characters."""
    kept = "".join(" " if hidden(character) else character for character in text)
    return clip(" ".join(kept.split()), limit)


def clip(text: str, limit: int | None) -> str:
    """The text, with an ellipsis at its end where it is longer than `limit` characters."""
    return text if limit is None or len(text) <= limit else f"{text[: limit - 1].rstrip()}…"


def hidden(character: str) -> bool:
    """Whether a character is not to be seen, but does something."""
    return character in BIDI or unicodedata.category(character) in UNSEEN
