"""Exchanges with the other side, for those who test a channel. Nothing is kept unless somebody records."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

_recorded: ContextVar[list[Exchange] | None] = ContextVar("recorded", default=None)


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request, without secrets: its first line and headers, its body, and what the other side returned."""

    sent: str
    body: str
    returned: str


@contextmanager
def recording() -> Iterator[list[Exchange]]:
    """Record the exchanges of the channels that are used within the context, in the order in which they end."""
    found: list[Exchange] = []
    token = _recorded.set(found)
    try:
        yield found
    finally:
        _recorded.reset(token)


def record(exchange: Exchange) -> None:
    """Add an exchange to the current recording, if there is one."""
    found = _recorded.get()
    if found is not None:
        found.append(exchange)


def is_recorded() -> bool:
    """Return whether exchanges are being recorded."""
    return _recorded.get() is not None
