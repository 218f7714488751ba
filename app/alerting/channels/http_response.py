"""Conversion of HTTP responses into outcomes, for every channel that uses HTTP."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from app.alerting.notify.channel import Delivered, Outcome, Permanent, Retryable
from app.alerting.rendering.sanitize import clean

TRY_AGAIN = frozenset({408, 425, 429})
"""Client errors that are temporary (RFC 9110, RFC 8470, RFC 6585), as is every 5xx."""
LONGEST_WAIT = 86_400.0
QUOTED = 160
"""Number of characters of a response that a reason quotes."""
SHORTEST_SECRET = 4
"""Length below which a secret is not hidden. So short a text occurs everywhere, and hiding it would reveal it."""


def http_outcome(
    status: int, retry_after: str | None, body: str, *, advice: str, secrets: Iterable[str], now: datetime
) -> Outcome:
    """Return the outcome of an HTTP response. `advice` says what to change where a retry does not help."""
    quoted = quote(body, secrets)
    said = f"HTTP {status}" + (f" ({quoted})" if quoted else "")
    if 200 <= status < 300:
        return Delivered(f"HTTP {status}")
    if status in TRY_AGAIN or status >= 500:
        return Retryable(said, seconds_of(retry_after, now))
    if 300 <= status < 400:
        return Permanent(f"HTTP {status}, a redirect, which is not followed; {advice}")
    return Permanent(f"{said}; {advice}")


def seconds_of(retry_after: str | None, now: datetime) -> float | None:
    """Return the wait that `Retry-After` asks for, in either form (RFC 9110, 10.2.3).

    Returns 0 s to a day; None where the header is unreadable.
    """
    text = (retry_after or "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d{1,6})?", text, re.ASCII):
        return min(float(text), LONGEST_WAIT)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, IndexError, OverflowError):
        return None
    if moment.tzinfo is None:  # "-0000": UTC, from a clock without a zone
        moment = moment.replace(tzinfo=UTC)
    return min(max((moment - now).total_seconds(), 0.0), LONGEST_WAIT)


def quote(text: str, secrets: Iterable[str]) -> str:
    """Return the beginning of a foreign text on one line, with our secrets hidden where the text repeats them."""
    return clean(hide(text, secrets), QUOTED)


def hide(text: str, secrets: Iterable[str]) -> str:
    """Return the text with the secrets in it hidden."""
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= SHORTEST_SECRET:
            text = text.replace(secret, "…")
    return text


def shown(url: str) -> str:
    """Return the public part of a URL: its scheme, host and port."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/…"


def secrets_in(headers: Mapping[str, str]) -> list[str]:
    """Return the values of headers, whole and word by word: `Bearer key` is as secret as `key`."""
    return [part for value in headers.values() for part in (value, *value.split())]


def secrets_of(url: str) -> list[str]:
    """Return the secret parts of a URL: all of it, the part after the host, and each longer part of that."""
    _, _, rest = url.partition("://")
    login, at, _ = rest.partition("/")[0].rpartition("@")
    path = rest.partition("/")[2]
    parts = re.split(r"[/?&=;,:]", path) + (re.split(r":", login) if at else [])
    return [url, path, login, *(part for part in parts if len(part) >= 8)]
