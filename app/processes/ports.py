"""Listening sockets of the API and of a worker's probes, or one line that explains the failure."""

from __future__ import annotations

import socket
from ipaddress import ip_address

BACKLOG = 2048


class PortTaken(Exception):
    """Nothing can listen on the port. The message names the reason and the remedy."""


def listen(
    host: str, port: int, who: str = "the API", setting: str = "api_port", flag: str = "--port"
) -> socket.socket:
    """Return a listening socket for `who`, whose port is that setting; at `::` for IPv4 too. Raises PortTaken.

    Data written to its connections is sent at once. asyncio sets this only for sockets that it makes itself. Otherwise
    a body waits until the caller has acknowledged the head before it, which takes callers 40 ms.
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
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # connections inherit it
    return listening


def _every_address(host: str) -> bool:
    """Return whether this is the IPv6 address for all; 0.0.0.0 is for IPv4 alone."""
    try:
        return ip_address(host) == ip_address("::")
    except ValueError:
        return False
