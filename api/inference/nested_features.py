"""Errors for features that are no single value: names each feature, since the decoder reports one field for all."""

from __future__ import annotations

import json
import math

from topics.reasons import field_error

OF_FEATURES = "features.*:"


def feature_error(error: Exception, document: bytes) -> str:
    """Return the error of a request: each wrong feature by name, and never its value."""
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
