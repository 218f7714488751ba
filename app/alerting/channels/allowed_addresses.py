"""Addresses that a URL from outside may lead to: only public ones, and only those that were checked.

For webhook URLs that come in by the API or in a model's configuration. Whoever sets them can make this process send
requests. So they must not reach what only this process can reach: itself, its network, a cloud's metadata service.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

Lookup = Callable[[str, int], Awaitable[Sequence[str]]]

NAT64 = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))
"""Networks whose addresses carry an IPv4 address in the last four bytes (RFC 6052, RFC 8215)."""
NOT_PUBLIC = (IPv4Network("192.88.99.0/24"), IPv4Network("192.0.0.0/24"), IPv6Network("3fff::/20"))
"""Networks that Python's registry of this release calls global, although they contain no public servers.

Relays of 6to4 (RFC 7526), protocol assignments (RFC 6890), documentation (RFC 9637).
"""
COMPATIBLE = IPv6Network("::/96")
"""Deprecated network whose addresses carry an IPv4 address in the last four bytes (RFC 4291)."""
LONGEST_URL = 2000


class Refused(OSError):
    """Error for an address that may not be connected to. The message contains no path."""


def refusal_of(address: str) -> str | None:
    """Return why an address may not be connected to; None where it may. `address`: an IPv4 or IPv6 address as text."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return "it is no address"
    inside = _inside(found)
    for inner in inside if found in NAT64[0] else [found, *inside]:
        reason = _reason(inner)
        if reason is not None:
            return reason
    return None


def _reason(address: IPv4Address | IPv6Address) -> str | None:
    kinds = {
        "unspecified": address.is_unspecified,
        "loopback": address.is_loopback,
        "link-local": address.is_link_local,
        "multicast": address.is_multicast,
        "private": address.is_private or (isinstance(address, IPv6Address) and address.is_site_local),
        "reserved": address.is_reserved,
    }
    for kind, holds in kinds.items():
        if holds:
            return f"it is {kind}"
    special = any(address in network for network in NOT_PUBLIC if network.version == address.version)
    return None if address.is_global and not special else "it is not public"


def _inside(address: IPv4Address | IPv6Address) -> list[IPv4Address]:
    """Return the IPv4 addresses that an IPv6 address carries: mapped, compatible, 6to4, Teredo, NAT64."""
    if isinstance(address, IPv4Address):
        return []
    carried = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in COMPATIBLE or any(address in network for network in NAT64):
        carried.append(IPv4Address(int(address) & 0xFFFF_FFFF))
    return [inner for inner in carried if inner is not None]


async def look_up(host: str, port: int) -> Sequence[str]:
    """Return the addresses of a host, as the system resolves it. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[4][0]) for address in found))


async def public_addresses(host: str, port: int, *, lookup: Lookup = look_up) -> Sequence[str]:
    """Return the addresses of a host, all of which are public.

    Raises Refused where any of them may not be connected to, OSError where there is none.
    """
    addresses = await lookup(host, port)
    if not addresses:
        raise OSError("the host has no address")
    for address in addresses:
        reason = refusal_of(address)
        if reason is not None:
            raise Refused(f"{host} leads to {address}: {reason}")
    return addresses


async def url_refusal(url: str, *, allow_private: bool = False, lookup: Lookup = look_up) -> str | None:
    """Return why a webhook URL is not accepted, in words for the person who sent it; None where it is accepted.

    For the time when a URL is set. The host may resolve to another address later. So a sender also uses
    `PublicResolver` (`session(public=True)` in `app/alerting/channels/http_post.py`).
    """
    wrong = _malformed(url)
    if wrong is not None or allow_private:
        return wrong
    parts = URL(url)  # the parser by which aiohttp connects: parsers differ about odd hosts
    host = parts.raw_host or ""
    try:
        await public_addresses(host, parts.port or 80, lookup=lookup)
    except Refused as refused:
        return f"{refused}; set allow_private_webhooks to allow it"
    except (OSError, UnicodeError):
        return f"{host} cannot be resolved"
    return None


def _malformed(url: str) -> str | None:
    if len(url) > LONGEST_URL or any(character.isspace() or not character.isprintable() for character in url):
        return f"it has white space or control characters, or more than {LONGEST_URL} characters"
    try:
        parts = URL(url)
        host = parts.raw_host
    except ValueError:
        return "it is no URL"
    return None if host and parts.scheme in ("http", "https") else "it must be http://… or https://… with a host"


class PublicResolver(AbstractResolver):
    """Resolver for aiohttp that returns only public addresses, to which aiohttp then connects.

    aiohttp uses no resolver for a host that is an address already: `http_post.post` checks such a host first.
    """

    def __init__(self, lookup: Lookup = look_up) -> None:
        self._lookup = lookup

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the checked addresses. Raises Refused, OSError."""
        return [
            ResolveResult(
                hostname=host, host=address, port=port, proto=0, flags=socket.AI_NUMERICHOST,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
            )
            for address in await public_addresses(host, port, lookup=self._lookup)
        ]  # fmt: skip

    async def close(self) -> None:
        """Do nothing: the resolver has no resources."""
