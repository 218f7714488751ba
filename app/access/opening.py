"""Whether the API may be served without keys: on this machine only, unless a setting says otherwise."""

from __future__ import annotations

from ipaddress import ip_address

from app.access.key_file import KeyFile, keys_path
from app.settings.settings import Settings


class OpenApi(Exception):
    """Why the API is not served without keys, and what to do."""


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine only."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def check_open(settings: Settings) -> str | None:
    """What is to be said where the API is open to whoever reaches it; None where keys are asked for.

    Raises OpenApi where others than this machine would reach it, KeyFileError.
    """
    keys = KeyFile(keys_path(settings))
    if keys.exists:
        keys.all()  # what cannot be read is told at the start
        return None
    make = "`driftline keys create --name NAME --role admin` makes the first key, and from then on keys are asked for"
    if is_loopback(settings.api_host):
        return f"the API is OPEN: whoever is on this machine may read and write; {make}"
    if settings.allow_unauthenticated_api:
        return f"the API is OPEN to the network at {settings.api_host} (allow_unauthenticated_api): {make}"
    raise OpenApi(
        f"api_host: {settings.api_host} can be reached by others, and there is no key in {keys.path}: {make}. "
        "Or listen on 127.0.0.1, or set DRIFTLINE_ALLOW_UNAUTHENTICATED_API=true where something else guards the door"
    )
