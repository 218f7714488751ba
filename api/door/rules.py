"""Which role a request needs, and whether a browser sends it for a page of somebody else's."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

from api.problems import Problem
from app.access import Role, is_loopback

SESSION_COOKIE = "driftline_session"

OPEN = frozenset({"/health", "/ready", "/sign-in", "/sign-out"})
"""No key is asked for."""
PARTS_OF_PAGES = ("/dashboard/", "/sign-in/")
"""Styles and scripts, which say nothing of anybody's models."""
PRODUCED = frozenset({"/predict", "/predictions", "/feedback"})
SAFE = frozenset({"GET", "HEAD"})
SAME_SITE = frozenset({"same-origin", "none"})


def needed(method: str, path: str) -> Role | None:
    """The role for a request; what no line names can be read by `read` and done by `admin`."""
    if path in OPEN or (method in SAFE and path.startswith(PARTS_OF_PAGES)):
        return None
    if method in SAFE:
        return "read"
    return "produce" if method == "POST" and path in PRODUCED else "admin"


def check_host(headers: Mapping[bytes, bytes], known: Collection[str] = ()) -> None:
    """Refuse a host by a name of the internet: a page that makes its own name lead here would be read as ours.

    For an API without keys on this machine. `known`: names of ours, by `public_url`. Raises Problem 403.
    """
    host = headers.get(b"host", b"").decode("latin-1")
    name = urlsplit(f"//{host}").hostname or ""
    if "." in name and name not in known and not is_loopback(name):
        raise Problem(
            403, f"host: without keys the API answers to 127.0.0.1, localhost and public_url's name, not to {name}"
        )


def check_origin(headers: Mapping[bytes, bytes], allowed: Collection[str]) -> None:
    """Refuse what changes something, where a browser sends it for a page of another origin. Raises Problem 403."""
    origin = headers.get(b"origin")
    if origin is None:
        site = headers.get(b"sec-fetch-site")
        if site is not None and site.decode("latin-1") not in SAME_SITE:
            raise Problem(403, "sec-fetch-site: a page of another origin may not do this (cors_origins)")
        return
    named = origin.decode("latin-1")
    if named not in allowed and urlsplit(named).netloc != headers.get(b"host", b"").decode("latin-1"):
        raise Problem(403, f"origin: a page of {named} may not do this (cors_origins names those that may)")


def comes_from_a_page_of_ours(headers: Mapping[bytes, bytes]) -> bool:
    """Whether a browser vouches for it: needed where the session alone says who asks."""
    return b"origin" in headers or headers.get(b"sec-fetch-site") == b"same-origin"
