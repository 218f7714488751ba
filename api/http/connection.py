"""A connection of uvicorn's that does not wait for ever: each one that says nothing takes a file descriptor."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol


class Connection(H11Protocol):
    """Closed where no whole head of a request comes within `head_seconds` of its beginning; the rest is the door's.

    Between two requests it is uvicorn's, which closes it after `timeout_keep_alive`.
    """

    def __init__(self, *args: Any, head_seconds: float, **options: Any) -> None:
        super().__init__(*args, **options)
        self._head_seconds = head_seconds
        self._late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Wait for the first request."""
        super().connection_made(transport)
        self._look()

    def data_received(self, data: bytes) -> None:
        """Wait no longer if a request has begun with it."""
        super().data_received(data)
        self._look()

    def on_response_complete(self) -> None:
        """Wait for the rest of the next request where some of it is there."""
        super().on_response_complete()
        if self.conn.trailing_data[0]:
            self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing."""
        super().connection_lost(exc)
        self._cancel()

    def _unsupported_upgrade_warning(self) -> None:
        """Say nothing: whoever asks for another protocol goes on in this one, and may ask as often as they like."""

    def _look(self) -> None:
        begun: Any = self.cycle  # None before the first request
        if begun is not None and not begun.response_complete:
            self._cancel()
        elif self._late is None:
            self._late = self.loop.call_later(self._head_seconds, self.transport.close)

    def _cancel(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None
