"""Which role a request needs, and whether a browser sends it for a page of somebody else's."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from ipaddress import ip_address

from api.http.problems import Problem
from app.access import Role, is_loopback
from app.history.kinds import HISTORY_KINDS

SESSION_COOKIE = "driftline_session"

HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(:[0-9]{1,5})?")
ORIGIN = re.compile(rf"https?://(?P<host>{HOST.pattern})")

OPEN = frozenset({"/health", "/ready", "/sign-in", "/sign-out"})
"""No key is asked for."""
PARTS_OF_PAGES = ("/dashboard/", "/sign-in/")
"""Styles and scripts, which say nothing of anybody's models."""
PRODUCED = frozenset({"/predict", "/predictions", "/feedback", "/alerts", "/training-runs", "/deployments"})
PREDICT_OF = re.compile(r"/predict/[^/]+")
READ_WITH: Mapping[str, Role] = {kind.path: kind.role for kind in HISTORY_KINDS} | {"/metrics": "metrics"}
"""What `read` alone does not read: rows of features, who has changed what, and what is for Prometheus."""
OF_A_MODEL = re.compile(r"/(?:models/(?P<model>[^/]+)/|predict/(?P<predicted>[^/]+)$)")
FOR_SOME = PRODUCED | OPEN | {
    "/", "/alerts", "/dashboard", "/events", "/models", "/monitor", "/openapi.json", "/silences",
    *(kind.path for kind in HISTORY_KINDS if kind.of_models),
}  # fmt: skip
"""What leaves out the other models where a key is for some."""
FORWARDED = (
    b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"x-real-ip", b"x-forwarded-server",
    b"x-forwarded-port", b"via",
)  # fmt: skip
"""What proxies add."""
SAFE = frozenset({"GET", "HEAD"})
SAME_SITE = frozenset({"same-origin", "none"})


def needed(method: str, path: str) -> Role | None:
    """The role for a request; what no line names can be read by `read` and done by `admin`."""
    if path in OPEN or (method in SAFE and path.startswith(PARTS_OF_PAGES)):
        return None
    if method in SAFE:
        return READ_WITH.get(path, "read")
    produced = path in PRODUCED or PREDICT_OF.fullmatch(path) is not None
    return "produce" if method == "POST" and produced else "admin"


def is_of_one_model(path: str) -> str | None:
    """Return the model that a path is about; None where it is about none, or about several."""
    found = OF_A_MODEL.match(path)
    return None if found is None else found["model"] or found["predicted"]


def is_about_all(path: str) -> bool:
    """Whether a path may be asked for with keys for all models alone: the rest is of a model, or leaves others out."""
    return is_of_one_model(path) is None and path not in FOR_SOME and not path.startswith(PARTS_OF_PAGES)


def name_in(headers: Mapping[bytes, bytes]) -> str:
    """Return the name or address in Host, in lower case and without its port; empty without one.

    Raises Problem 400 for what is neither.
    """
    host = headers.get(b"host", b"").decode("latin-1")
    found = HOST.fullmatch(host)
    if host and found is None:
        raise Problem(400, "host: must be a name or an address, and a port")
    return "" if found is None else found["name"].lower().removesuffix(".")


def check_host(name: str, known: Collection[str]) -> None:
    """Refuse a name that is not ours: a page that makes its own name lead here would be read as ours.

    For an API without keys, wherever it listens. Addresses are ours, since nobody makes one lead here. `known`: the
    names of `public_url` and `api_hosts`. Raises Problem 403.
    """
    if name and name not in known and not is_loopback(name) and not _is_address(name):
        raise Problem(
            403, "host: without keys the API is for localhost, addresses, and the names in public_url and api_hosts; "
            f"{name} is none of them",
        )  # fmt: skip


def _is_address(name: str) -> bool:
    try:
        ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def check_forwarded(headers: Mapping[bytes, bytes]) -> None:
    """Refuse what a proxy passes on: it would open an API without keys to others. Raises Problem 403."""
    given = next((name for name in FORWARDED if name in headers), None)
    if given is not None:
        raise Problem(
            403, f"{given.decode()}: without keys the API is for this machine alone, and not for whom a proxy lets in; "
            "make a key (`driftline keys create`), or set allow_unauthenticated_api where the proxy asks who it is",
        )  # fmt: skip


def check_origin(headers: Mapping[bytes, bytes], allowed: Collection[str]) -> None:
    """Refuse what changes something, where a browser sends it for a page of another origin. Raises Problem 403."""
    origin = headers.get(b"origin")
    if origin is None:
        site = headers.get(b"sec-fetch-site")
        if site is not None and site.decode("latin-1") not in SAME_SITE:
            raise Problem(403, "sec-fetch-site: a page of another origin may not do this (cors_origins)")
        return
    named = origin.decode("latin-1")
    found = ORIGIN.fullmatch(named)
    if named not in allowed and (found is None or found["host"] != headers.get(b"host", b"").decode("latin-1")):
        other = "another origin" if found is None else named
        raise Problem(403, f"origin: a page of {other} may not do this (cors_origins names those that may)")


def comes_from_a_page_of_ours(headers: Mapping[bytes, bytes]) -> bool:
    """Whether a browser vouches for it: needed where the session alone says who asks."""
    return b"origin" in headers or headers.get(b"sec-fetch-site") == b"same-origin"
