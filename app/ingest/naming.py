"""Search for the model version that an unreadable record names."""

from __future__ import annotations

import re

import msgspec

from app.ingest.decoding import UNREADABLE

Version = tuple[str, str]

LOOKED_AT = 8192
"""Bytes of a value that are searched for the names, where the value is not JSON."""

_TEXT_OR_NUMBER = rb'\s*:\s*("(?:[^"\\]|\\.)*"|-?[0-9.]+)'
_NAMES = [re.compile(b'"%s"' % name + _TEXT_OR_NUMBER) for name in (b"model", b"model_version")]


class _Named(msgspec.Struct):
    model: str | float | None = None
    model_version: str | float | None = None


_named = msgspec.json.Decoder(_Named)
_name = msgspec.json.Decoder(str | float)


def version_in(value: bytes | None) -> Version | None:
    """Return the model version that a value names, even if other fields are wrong; None where it names none.

    A value that is not JSON (for example, because it is cut) is searched for the two fields. The result may be any
    text, and counts only where it is registered.
    """
    if not value:
        return None
    try:
        found = _named.decode(value)
        model, version = found.model, found.model_version
    except UNREADABLE:
        model, version = (_searched(pattern, value[:LOOKED_AT]) for pattern in _NAMES)
    return None if model is None or version is None else (_text(model), _text(version))


def _searched(pattern: re.Pattern[bytes], value: bytes) -> str | float | None:
    found = pattern.search(value)
    try:
        return None if found is None else _name.decode(found[1])
    except UNREADABLE:
        return None


def _text(name: str | float) -> str:
    return f"{name:g}" if isinstance(name, float) else name
