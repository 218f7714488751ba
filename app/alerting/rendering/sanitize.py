"""Sanitizing of text from outside (names of models, features and categories; responses) before display."""

from __future__ import annotations

import unicodedata

BIDI = frozenset("\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that change the text direction, also of text that follows them."""
UNSEEN = frozenset({"Cc", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Categories of characters that break lines, control terminals, or cannot be written as UTF-8."""


def clean(text: str, limit: int | None = None) -> str:
    """Return the text on one line: without control characters, line breaks and bidi marks, cut at `limit`
    characters.
    """
    kept = "".join(" " if hidden(character) else character for character in text)
    return clip(" ".join(kept.split()), limit)


def clip(text: str, limit: int | None) -> str:
    """Return the text, cut with an ellipsis where it is longer than `limit` characters."""
    return text if limit is None or len(text) <= limit else f"{text[: limit - 1].rstrip()}…"


def hidden(character: str) -> bool:
    """Return whether a character is invisible but has an effect."""
    return character in BIDI or unicodedata.category(character) in UNSEEN
