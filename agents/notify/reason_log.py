"""Log of why each channel is notified or not, with one line when the reason changes."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from app.alerting.notify.decision import Reason

log = logging.getLogger(__name__)

PASSING = frozenset({Reason.WAITING, Reason.UNDER_WAY, Reason.NOTHING_NEW})
"""Reasons that apply most of the time."""


class ReasonLog:
    """Reasons that were logged last, by group and channel."""

    def __init__(self) -> None:
        self._reasons: dict[tuple[str, str], Reason] = {}

    def tell(self, group: str, reasons: Mapping[str, Reason]) -> None:
        """Log the reasons of a group's channels that have changed."""
        for channel, reason in reasons.items():
            if self._reasons.get((group, channel)) is not reason:
                self._reasons[group, channel] = reason
                level = logging.DEBUG if reason in PASSING else logging.INFO
                log.log(level, "%s, %r: %s", group, channel, reason.value)

    def keep(self, known: set[tuple[str, str]]) -> None:
        """Forget all groups and channels except `known`."""
        self._reasons = {key: reason for key, reason in self._reasons.items() if key in known}
