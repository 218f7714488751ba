"""Errors of documents that do not fit their type, with the field first."""

from __future__ import annotations

import re

import msgspec

FIELD = re.compile(r" - at `(?:key in )?\$(?:\[\.\.\.\]|\.)?(?P<field>[^`]*)`$")


MISSING = re.compile(r"missing required field `([^`]+)`")


def is_missing(error: Exception) -> bool:
    """Return whether a document lacks a required field."""
    return MISSING.search(str(error)) is not None


def field_error(error: Exception) -> str:
    """Return msgspec's message, starting with the wrong field: `timestamp: expected float, got str`."""
    words = str(error)
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if type(error) is msgspec.DecodeError:
        return f"not JSON: {words}"
    if isinstance(error, UnicodeDecodeError):
        return "not UTF-8"
    missing = MISSING.search(words)
    found = FIELD.search(words)
    field = found["field"] if found else ""
    if missing:
        return f"{f'{field}.' if field else ''}{missing[1]}: missing"
    words = FIELD.sub("", words).replace("`", "")
    words = words[0].lower() + words[1:]
    return f"{field.replace('[...]', '.*')}: {words}" if field else words
