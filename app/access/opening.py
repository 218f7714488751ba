"""Check whether the API may be served without keys: on this machine only, unless a setting allows it."""

from __future__ import annotations

from ipaddress import ip_address

from app.access.key_file import KeyFile, keys_path
from app.settings.settings import Settings


class OpenApi(Exception):
    """Error of an API that may not be served without keys, with advice."""


def is_loopback(host: str) -> bool:
    """Return whether an address can be reached from this machine only."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def check_open(settings: Settings) -> str | None:
    """Return the warning for an API without keys; None where keys are required.

    Raises OpenApi where other machines could reach the API without keys, and KeyFileError.
    """
    keys = KeyFile(keys_path(settings))
    if keys.exists:
        keys.all()  # an unreadable file is reported at the start
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
