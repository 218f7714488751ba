"""What the other side answers, as an outcome: for every channel that speaks HTTP."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from app.alerting.notify.channel import Delivered, Outcome, Permanent, Retryable
from app.alerting.rendering.sanitize import clean

TRY_AGAIN = frozenset({408, 425, 429})
"""Client errors that pass (RFC 9110, RFC 8470, RFC 6585); so does every 5xx."""
LONGEST_WAIT = 86_400.0
QUOTED = 160
"""Characters of an answer that a reason quotes."""
SHORTEST_SECRET = 4
"""What is shorter than that is in every text, and hiding it would say what it is."""


def http_outcome(
    status: int, retry_after: str | None, body: str, *, advice: str, secrets: Iterable[str], now: datetime
) -> Outcome:
    """The outcome of an HTTP answer. `advice` says what to change where trying again does not help."""
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
    """The wait that `Retry-After` asks for, in either form (RFC 9110, 10.2.3): 0 s to a day; None where unreadable."""
    text = (retry_after or "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d{1,6})?", text, re.ASCII):
        return min(float(text), LONGEST_WAIT)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, IndexError, OverflowError):
        return None
    if moment.tzinfo is None:  # "-0000": UTC, of a clock that knows no zone
        moment = moment.replace(tzinfo=UTC)
    return min(max((moment - now).total_seconds(), 0.0), LONGEST_WAIT)


def quote(text: str, secrets: Iterable[str]) -> str:
    """The beginning of somebody else's words on one line, without our secrets, should they repeat them."""
    return clean(hide(text, secrets), QUOTED)


def hide(text: str, secrets: Iterable[str]) -> str:
    """Return the text without the secrets in it."""
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= SHORTEST_SECRET:
            text = text.replace(secret, "…")
    return text


def shown(url: str) -> str:
    """Return what of a URL may be shown: its scheme, host and port."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/…"


def secrets_in(headers: Mapping[str, str]) -> list[str]:
    """Return the values of headers, each whole and in its words: `Bearer key` is as secret as `key`."""
    return [part for value in headers.values() for part in (value, *value.split())]


def secrets_of(url: str) -> list[str]:
    """What of a URL must not be repeated: all of it, what follows the host, and each longer part of that."""
    _, _, rest = url.partition("://")
    login, at, _ = rest.partition("/")[0].rpartition("@")
    path = rest.partition("/")[2]
    parts = re.split(r"[/?&=;,:]", path) + (re.split(r":", login) if at else [])
    return [url, path, login, *(part for part in parts if len(part) >= 8)]
