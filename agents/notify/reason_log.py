"""Why each channel is told, or is not, in the log: once, when it changes."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from app.alerting.notify.decision import Reason

log = logging.getLogger(__name__)

PASSING = frozenset({Reason.WAITING, Reason.UNDER_WAY, Reason.NOTHING_NEW})
"""Reasons that hold most of the time."""


class ReasonLog:
    """The reasons that were logged last, by group and channel."""

    def __init__(self) -> None:
        self._reasons: dict[tuple[str, str], Reason] = {}

    def tell(self, group: str, reasons: Mapping[str, Reason]) -> None:
        """Log those of a group's channels that are others than before."""
        for channel, reason in reasons.items():
            if self._reasons.get((group, channel)) is not reason:
                self._reasons[group, channel] = reason
                level = logging.DEBUG if reason in PASSING else logging.INFO
                log.log(level, "%s, %r: %s", group, channel, reason.value)

    def keep(self, known: set[tuple[str, str]]) -> None:
        """Forget all but these."""
        self._reasons = {key: reason for key, reason in self._reasons.items() if key in known}
