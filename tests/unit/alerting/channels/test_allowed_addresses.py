"""Where a webhook URL that somebody else has set may lead."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.alerting.channels.allowed_addresses import PublicResolver, Refused, public_addresses, refusal_of, url_refusal

# By hand from IANA's special-purpose registries (RFC 6890 and its successors), not from Python's tables.
CLOSED_4 = [
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.2.0/24",
    "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
]  # fmt: skip
CLOSED_6 = ["::/128", "::1/128", "64:ff9b:1::/48", "100::/64", "2001:db8::/32", "fc00::/7", "fe80::/10", "ff00::/8"]

closed_4 = st.sampled_from(CLOSED_4).flatmap(lambda network: st.ip_addresses(network=network))
closed_6 = st.sampled_from(CLOSED_6).flatmap(lambda network: st.ip_addresses(network=network))
NETWORKS = [ip_network(network) for network in [*CLOSED_4, "192.0.0.0/24", "192.88.99.0/24"]]
open_4 = st.ip_addresses(v=4).filter(lambda address: not any(address in network for network in NETWORKS))


@given(st.one_of(closed_4, closed_6))
def test_special_addresses_are_refused(address: IPv4Address | IPv6Address) -> None:
    assert refusal_of(str(address)) is not None


@given(closed_4)
def test_special_addresses_inside_of_ipv6_are_refused(address: IPv4Address) -> None:
    number = int(address)
    for inside in (
        IPv6Address((0xFFFF << 32) | number),  # mapped
        IPv6Address((0x0064_FF9B << 96) | number),  # NAT64
        IPv6Address((0x2002 << 112) | (number << 80)),  # 6to4
        IPv6Address((0x2001_0000 << 96) | (number ^ 0xFFFF_FFFF)),  # Teredo, the client's
        IPv6Address(number),  # compatible
    ):
        assert refusal_of(str(inside)) is not None, inside


@given(open_4)
def test_public_addresses_are_not(address: IPv4Address) -> None:
    assert refusal_of(str(address)) is None
    assert refusal_of(f"64:ff9b::{address}") is None


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("169.254.169.254", "it is link-local"),
        ("127.0.0.1", "it is loopback"),
        ("fe80::1%eth0", "it is link-local"),
        ("fec0::1", "it is private"),
        ("100.100.100.200", "it is not public"),
        ("localhost", "it is no address"),
        ("127.1", "it is no address"),
        ("", "it is no address"),
    ],
)
def test_the_reason_is_named(address: str, words: str) -> None:
    assert refusal_of(address) == words


def resolving(*addresses: str) -> object:
    async def lookup(host: str, port: int) -> Sequence[str]:
        return addresses

    return lookup


async def test_one_private_address_among_public_ones_is_enough() -> None:
    lookup = resolving("93.184.215.14", "10.0.0.5")
    with pytest.raises(Refused, match=r"hooks\.example leads to 10\.0\.0\.5: it is private"):
        await public_addresses("hooks.example", 443, lookup=lookup)  # type: ignore[arg-type]
    with pytest.raises(OSError, match="no address"):
        await public_addresses("hooks.example", 443, lookup=resolving())  # type: ignore[arg-type]


async def test_the_resolver_hands_on_what_it_has_checked() -> None:
    found = await PublicResolver(resolving("93.184.215.14", "2606:4700::1")).resolve("hooks.example", 443)  # type: ignore[arg-type]
    assert [(result["host"], result["port"], result["hostname"]) for result in found] == [
        ("93.184.215.14", 443, "hooks.example"),
        ("2606:4700::1", 443, "hooks.example"),
    ]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://hooks.example/x", None),
        ("http://hooks.example:8080/x?y=z", None),
        ("ftp://hooks.example/x", "http"),
        ("//hooks.example/x", "http"),
        ("https:///x", "host"),
        ("https://hooks.example:99999/", "no URL"),
        ("https://[::1/", "no URL"),
        ("https://hooks.example/a b", "white space"),
        ("https://hooks.example/\r\nX: y", "white space"),
        ("https://hooks.example/" + "x" * 2000, "more than"),
        ("file:///etc/passwd", "http"),
    ],
)
async def test_a_url_is_looked_at_first(url: str, words: str | None) -> None:
    found = await url_refusal(url, lookup=resolving("93.184.215.14"))  # type: ignore[arg-type]
    assert found is None if words is None else words in str(found)


async def test_private_hosts_are_refused_unless_they_are_allowed() -> None:
    lookup = resolving("192.168.1.7")
    refused = await url_refusal("https://user:pw@nas.home/secret", lookup=lookup)  # type: ignore[arg-type]
    assert refused == "nas.home leads to 192.168.1.7: it is private; set allow_private_webhooks to allow it"
    assert await url_refusal("https://nas.home/secret", allow_private=True, lookup=lookup) is None  # type: ignore[arg-type]
    assert await url_refusal("gopher://nas.home/", allow_private=True) is not None


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1/", "http://localhost:9092/", "http://[::1]/", "http://2130706433/", "http://0x7f.1/"]
)
async def test_this_machine_is_found_behind_each_of_its_names(url: str) -> None:
    found = await url_refusal(url)
    assert found is not None
    assert "leads to" in found or "cannot be resolved" in found


async def test_a_name_that_nobody_has_is_said() -> None:
    async def lookup(host: str, port: int) -> Sequence[str]:
        raise OSError("no such name")

    assert await url_refusal("https://nowhere.invalid/", lookup=lookup) == "nowhere.invalid cannot be resolved"


@pytest.mark.parametrize("address", ["192.88.99.1", "192.0.0.9", "3fff::1"])
def test_networks_that_python_takes_for_public_are_refused(address: str) -> None:
    assert refusal_of(address) == "it is not public"


@pytest.mark.parametrize(
    "url", ["http://\u2460\u2461\u2466.0.0.1/x", "http://a\u3002example/x", "http://a.example\\@b.example/x"]
)
async def test_a_host_is_what_it_is_to_the_library_that_connects(url: str) -> None:
    asked: list[str] = []

    async def lookup(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1" if host == "127.0.0.1" else "93.184.216.34"]

    refusal = await url_refusal(url, lookup=lookup)
    if asked == ["127.0.0.1"] or not asked:
        assert refusal is not None
    else:
        assert asked == ["a.example"]
