"""An API's outage: logged once, and once more when the API is available again."""

from __future__ import annotations

import time

from driftline.warning import warn

PASSING_SECONDS = 1.0
"""Seconds. A single failed request that is tried again sooner than this is no outage."""


class Outage:
    """State of an API, from the results of requests: whether it accepts events. Used by one thread."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._since: float | None = None
        self._logged = False
        self.reason = ""

    def failed(self, reason: str, attempt: int, pause: float, waiting: int) -> None:
        """Note a request that failed for the `attempt`-th time; the next attempt is after `pause` seconds."""
        if self._since is None:
            self._since = time.monotonic()
        self.reason = reason
        if self._logged or (attempt < 2 and pause < PASSING_SECONDS):
            return
        self._logged = True
        warn("%s takes no events: %s. They are kept (%d now) and sent again until it does", self._url, reason, waiting)

    def over(self, waiting: int) -> None:
        """Note a request that the API has answered."""
        if self._logged and self._since is not None:
            seconds = time.monotonic() - self._since
            warn("%s takes events again, after %.0f s; %d are to be sent", self._url, seconds, waiting)
        self._since, self._logged, self.reason = None, False, ""
