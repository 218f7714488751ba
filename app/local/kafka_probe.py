"""Probes for a Kafka at an address and for free ports."""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Iterable

PROBE_SECONDS = 3.0
API_VERSIONS = struct.pack(">ihhih", 10, 18, 0, 1, -1)
"""First request of a Kafka client: ApiVersions (key 18, version 0, correlation 1, no client id), with its size."""


def speaks_kafka(server: str, seconds: float = PROBE_SECONDS, tls: ssl.SSLContext | None = None) -> bool:
    """Return whether the broker at `host:port` responds to an ApiVersions request within `seconds`."""
    host, _, port = server.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), seconds) as plain:
            plain.settimeout(seconds)
            with plain if tls is None else tls.wrap_socket(plain, server_hostname=host.strip("[]")) as connection:
                connection.sendall(API_VERSIONS)
                answer = b""
                while len(answer) < 8 and (more := connection.recv(8 - len(answer))):
                    answer += more
    except OSError:
        return False
    return len(answer) == 8 and struct.unpack(">ii", answer)[1] == 1


def first_that_answers(servers: str, tls: ssl.SSLContext | None = None) -> str | None:
    """Return the first of `host:port,host:port` that responds as Kafka; None where none does."""
    return next((server for server in servers.split(",") if speaks_kafka(server, tls=tls)), None)


def is_free(port: int) -> bool:
    """Return whether nothing listens on the port of the loopback address."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_ports(count: int, *, but: Iterable[int] = ()) -> list[int]:
    """Return `count` different ports that are free now, none of them in `but`."""
    taken = set(but)
    probes: list[socket.socket] = []
    ports: list[int] = []
    try:
        while len(ports) < count:
            probe = socket.socket()
            probes.append(probe)
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
            if port not in taken:
                ports.append(port)
    finally:
        for probe in probes:
            probe.close()
    return ports
