"""uvicorn's connection with a limit of time for a request's head; every idle connection takes a file descriptor."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol


class Connection(H11Protocol):
    """Connection that closes where a request's head is not complete within `head_seconds` of its beginning.

    The authentication limits the time of the body. Between two requests uvicorn closes the connection after
    `timeout_keep_alive`.
    """

    def __init__(self, *args: Any, head_seconds: float, **options: Any) -> None:
        super().__init__(*args, **options)
        self._head_seconds = head_seconds
        self._late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Start the timer for the first request."""
        super().connection_made(transport)
        self._look()

    def data_received(self, data: bytes) -> None:
        """Stop the timer where the data begin a request."""
        super().data_received(data)
        self._look()

    def on_response_complete(self) -> None:
        """Start the timer for the next request where some of its bytes have already come."""
        super().on_response_complete()
        if self.conn.trailing_data[0]:
            self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer."""
        super().connection_lost(exc)
        self._cancel()

    def _unsupported_upgrade_warning(self) -> None:
        """Log nothing: the client continues in this protocol, and could fill the log with such requests."""

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
