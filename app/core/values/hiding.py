"""Hiding of personal values: they are dropped, or replaced by a keyed hash, before anything is sent to Kafka.

A hash is HMAC-SHA-256 of the value as it is spelled. Equal values stay equal, and without the key nobody can try out
which value it was.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from app.core.values.reading import spelled

Value = str | int | float | bool | Decimal | None

Cell = str | int | float | bool | None

DIGITS = 32
"""Hexadecimal digits of a hash: 128 bits."""
HASH = re.compile(rf"h[0-9a-f]{{{DIGITS}}}")
"""Spelling of a hash."""
CHECKED = b"driftline: the key of hashed columns"


@dataclass(frozen=True, slots=True)
class Hiding:
    """Values of a model that are dropped or hashed, by the names of features and of metadata."""

    redact: frozenset[str]
    hashed: frozenset[str]
    key: bytes = b""

    def row(self, values: Mapping[str, Cell]) -> dict[str, Cell]:
        """Return one row with the values hidden."""
        return {
            name: self.value(value) if name in self.hashed else value
            for name, value in values.items()
            if name not in self.redact
        }

    def value(self, value: Value) -> str | None:
        """Return the hash of a value, `h` and 32 digits; None for a missing value."""
        if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
            return None
        text = unicodedata.normalize("NFC", value) if isinstance(value, str) else spelled(value)
        raw = text.encode("utf-8", "surrogatepass")
        return f"h{hmac.new(self.key, raw, hashlib.sha256).hexdigest()[:DIGITS]}"


def check_of(key: bytes) -> str:
    """Return a check value that identifies a key without revealing it."""
    return hmac.new(key, CHECKED, hashlib.sha256).hexdigest()[:16]
