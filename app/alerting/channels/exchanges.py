"""What was sent and what came back, for who tries a channel; nothing is kept unless somebody records."""

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
    """Record the exchanges of the channels that are used within, in the order in which they end."""
    found: list[Exchange] = []
    token = _recorded.set(found)
    try:
        yield found
    finally:
        _recorded.reset(token)


def record(exchange: Exchange) -> None:
    """Record an exchange, if somebody does."""
    found = _recorded.get()
    if found is not None:
        found.append(exchange)


def is_recorded() -> bool:
    """Return whether it is worth making an exchange."""
    return _recorded.get() is not None
