"""Permissions: the role that a request needs, and checks of Host, Origin and forwarding headers."""

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
"""Paths that need no key."""
PARTS_OF_PAGES = ("/dashboard/", "/sign-in/")
"""Path prefixes of styles and scripts, which contain nothing about models."""
PRODUCED = frozenset(
    {"/predict", "/predictions", "/feedback", "/heartbeats", "/alerts", "/training-runs", "/deployments"}
)
PREDICT_OF = re.compile(r"/predict/[^/]+")
READ_WITH: Mapping[str, Role] = {kind.path: kind.role for kind in HISTORY_KINDS} | {"/metrics": "metrics"}
"""Paths that need another role than `read`: rows of features, the audit, and the metrics for Prometheus."""
OF_A_MODEL = re.compile(r"/(?:models/(?P<model>[^/]+)/|predict/(?P<predicted>[^/]+)$)")
FOR_SOME = PRODUCED | OPEN | {
    "/", "/alerts", "/dashboard", "/events", "/models", "/monitor", "/openapi.json", "/silences",
    *(kind.path for kind in HISTORY_KINDS if kind.of_models),
}  # fmt: skip
"""Paths that a key for some models may use: their routes leave out the other models."""
FORWARDED = (
    b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"x-real-ip", b"x-forwarded-server",
    b"x-forwarded-port", b"via",
)  # fmt: skip
"""Headers that proxies add."""
SAFE = frozenset({"GET", "HEAD"})
SAME_SITE = frozenset({"same-origin", "none"})


def needed(method: str, path: str) -> Role | None:
    """Return the role that a request needs; None where no key is needed.

    A path that is not listed is read with `read` and changed with `admin`.
    """
    if path in OPEN or (method in SAFE and path.startswith(PARTS_OF_PAGES)):
        return None
    if method in SAFE:
        return READ_WITH.get(path, "read")
    produced = path in PRODUCED or PREDICT_OF.fullmatch(path) is not None
    return "produce" if method == "POST" and produced else "admin"


def is_of_one_model(path: str) -> str | None:
    """Return the model that a path is about; None for a path about no model or about several."""
    found = OF_A_MODEL.match(path)
    return None if found is None else found["model"] or found["predicted"]


def is_about_all(path: str) -> bool:
    """Return whether a path is for keys for all models only.

    Every other path is about one model, or its route leaves out other models.
    """
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
    """Refuse a host name that is not known: a page of another site could otherwise be read as one of this API.

    Used for an API without keys, wherever it listens. IP addresses pass, since no other site can claim one. `known` has
    the names of `public_url` and `api_hosts`. Raises Problem 403.
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
    """Refuse a request that a proxy forwards: a proxy would open an API without keys to others. Raises Problem 403."""
    given = next((name for name in FORWARDED if name in headers), None)
    if given is not None:
        raise Problem(
            403, f"{given.decode()}: without keys the API is for this machine alone, and not for whom a proxy lets in; "
            "make a key (`driftline keys create`), or set allow_unauthenticated_api where the proxy asks who it is",
        )  # fmt: skip


def check_origin(headers: Mapping[bytes, bytes], allowed: Collection[str]) -> None:
    """Refuse a change that a browser sends for a page of another origin. Raises Problem 403."""
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
    """Return whether the browser states that this API's own page sends the request.

    The check is needed where only a session identifies the caller.
    """
    return b"origin" in headers or headers.get(b"sec-fetch-site") == b"same-origin"
