"""One request, its response, and the pause before the next attempt."""

from __future__ import annotations

import email.utils
import json
import os
import random
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses after which the same request may succeed."""
REFUSED = frozenset({401, 403})
"""Statuses after which the same events may be accepted once a key is created or corrected, at the API or at a proxy."""
LARGEST_ANSWER = 16 << 20
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 30.0


DEFAULT_URL = "http://127.0.0.1:8700"


def api_url() -> str:
    """Return the address of the API: DRIFTLINE_API_URL, else the API on this machine."""
    return os.environ.get("DRIFTLINE_API_URL") or DEFAULT_URL


def authorization(api_key: str | None) -> dict[str, str]:
    """Return the header of a key, else of DRIFTLINE_API_KEY; no header without either."""
    key = os.environ.get("DRIFTLINE_API_KEY") if api_key is None else api_key
    return {"authorization": f"Bearer {key}"} if key else {}


@dataclass(frozen=True, slots=True)
class Answer:
    """Response to a request.

    `status` 0: there was none. `after`: seconds that the API asked the client to wait, if any.
    """

    status: int
    body: dict[str, Any]
    reason: str
    after: float | None = None

    @property
    def sound(self) -> bool:
        """Return whether the request succeeded."""
        return 200 <= self.status < 300

    @property
    def again(self) -> bool:
        """Return whether to try again at once."""
        return self.status == 0 or self.status in AGAIN

    @property
    def kept(self) -> bool:
        """Return whether to keep the events and send them again later."""
        return self.again or self.status in REFUSED


class Http:
    """Connections to an API, made on first use: most forked processes need none."""

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        self.url = url
        self._headers = headers
        self._client: httpx.Client | None = None
        self._lock = threading.Lock()

    def connect(self) -> httpx.Client:
        """Return the HTTP client. Raises httpx's errors for an invalid address or header."""
        with self._lock:
            if self._client is None:
                self._client = httpx.Client(base_url=self.url, headers=self._headers)
            return self._client

    def close(self) -> None:
        """Close the connections, for good."""
        if self._client is not None:
            self._client.close()


def post(http: Http, path: str, document: bytes, seconds: float) -> Answer:
    """Send JSON. A response that is incomplete after `seconds`, too large, or no JSON object, counts as none."""
    until = time.monotonic() + seconds
    try:
        with http.connect().stream("POST", path, content=document, timeout=seconds) as response:
            text = b""
            for part in response.iter_bytes():
                text += part
                if time.monotonic() > until or len(text) > LARGEST_ANSWER:
                    return Answer(0, {}, "the answer does not end")
            return _read(response, text)
    except httpx.TimeoutException:
        return Answer(0, {}, f"no answer within {seconds:.3g} s")
    except Exception as error:  # noqa: BLE001 - whatever ails the connection, there is no answer
        return Answer(0, {}, f"{type(error).__name__}: {error}")


def _read(response: httpx.Response, text: bytes) -> Answer:
    try:
        body = json.loads(text)
    except ValueError:
        body = None
    status = response.status_code
    if not isinstance(body, dict):
        if 200 <= status < 300:
            return Answer(0, {}, f"{status} without a JSON object: is this Driftline?")
        return Answer(status, {}, f"{status} {response.reason_phrase}", _retry_after(response))
    return Answer(status, body, f"{status} {body.get('detail') or response.reason_phrase}", _retry_after(response))


def _retry_after(response: httpx.Response) -> float | None:
    """Return the seconds of Retry-After, from a number or a date; None without one."""
    given = response.headers.get("retry-after", "").strip()
    if given.isdigit():
        return float(given)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(given).timestamp() - time.time())
    except (ValueError, TypeError):
        return None


def pause_before(attempt: int, answer: Answer) -> float:
    """Return the seconds before the next attempt: the API's Retry-After, else twice as long each time; with jitter."""
    doubled = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(attempt, 20))
    if answer.after is None:
        return doubled * random.uniform(0.5, 1.0)
    return answer.after + random.uniform(0.0, FIRST_PAUSE)
