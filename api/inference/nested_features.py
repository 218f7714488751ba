"""Features of a request to predict that are no single value, by their names: the decoder knows them as one field."""

from __future__ import annotations

import json
import math

from topics.reasons import field_error

OF_FEATURES = "features.*:"


def feature_error(error: Exception, document: bytes) -> str:
    """Return what is wrong with a request: of its features each by name, and never its value."""
    words = field_error(error)
    if not words.startswith(OF_FEATURES):
        return words
    try:
        features = json.loads(document)["features"]
        named = {name: wrong for name, value in features.items() if (wrong := _wrong(value))}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return words
    return "; ".join(f"{name}: expected one value, got {wrong}" for name, wrong in named.items()) or words


def _wrong(value: object) -> str:
    if isinstance(value, dict):
        return "an object; send its fields as features of their own"
    if isinstance(value, list):
        return "a list"
    return "a number that no float holds" if isinstance(value, float) and math.isinf(value) else ""
