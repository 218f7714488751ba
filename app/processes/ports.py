"""The sockets that the API and a worker's probes listen on, or one line that says why not."""

from __future__ import annotations

import socket
from ipaddress import ip_address

BACKLOG = 2048


class PortTaken(Exception):
    """Why nothing can listen there, and what to do about it."""


def listen(
    host: str, port: int, who: str = "the API", setting: str = "api_port", flag: str = "--port"
) -> socket.socket:
    """A listening socket for `who`, whose port is that setting; at `::` for IPv4 too. Raises PortTaken.

    What is written to its connections goes at once. asyncio sees to that only for sockets that it makes itself: else a
    body waits until the caller has acknowledged the head before it, which takes callers 40 ms.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    both = _every_address(host) and socket.has_dualstack_ipv6()
    try:
        listening = socket.create_server((host, port), family=family, backlog=BACKLOG, dualstack_ipv6=both)
    except OSError as error:
        why = str(error.strerror).partition(" (while")[0]
        raise PortTaken(
            f"{who} cannot listen on {host}:{port} ({why}): choose another port "
            f"({flag} or DRIFTLINE_{setting.upper()}), or stop what listens there"
        ) from None
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # connections have it from here
    return listening


def _every_address(host: str) -> bool:
    """Whether this is IPv6's address for all; 0.0.0.0 is that of IPv4 alone."""
    try:
        return ip_address(host) == ip_address("::")
    except ValueError:
        return False
