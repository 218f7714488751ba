"""The socket that the API listens on, or one line that says why not."""

from __future__ import annotations

import socket

BACKLOG = 2048


class PortTaken(Exception):
    """Why the API cannot listen, and what to do about it."""


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises PortTaken."""
    try:
        return socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=BACKLOG
        )
    except OSError as error:
        why = str(error.strerror).partition(" (while")[0]
        raise PortTaken(
            f"the API cannot listen on {host}:{port} ({why}): choose another port "
            f"(--port or DRIFTLINE_API_PORT), or stop what listens there"
        ) from None
