"""The sockets that the API and a worker's probes listen on, or one line that says why not."""

from __future__ import annotations

import socket

BACKLOG = 2048


class PortTaken(Exception):
    """Why nothing can listen there, and what to do about it."""


def listen(
    host: str, port: int, who: str = "the API", setting: str = "api_port", flag: str = "--port"
) -> socket.socket:
    """A listening socket for `who`, whose port is that setting. Raises PortTaken."""
    try:
        return socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=BACKLOG
        )
    except OSError as error:
        why = str(error.strerror).partition(" (while")[0]
        raise PortTaken(
            f"{who} cannot listen on {host}:{port} ({why}): choose another port "
            f"({flag} or DRIFTLINE_{setting.upper()}), or stop what listens there"
        ) from None
