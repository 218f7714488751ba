"""Alerts as log lines: what happens anyway, wherever the worker's log goes."""

from __future__ import annotations

import logging

from app.alerting.delivery import Delivered, Outcome
from app.alerting.notification import Notification, transitions_of

LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR, "critical": logging.CRITICAL}


class LogChannel:
    """Writes one line a transition to the logger `driftline.alerts`."""

    name = "log"

    def __init__(self) -> None:
        self._logger = logging.getLogger("driftline.alerts")

    async def deliver(self, notification: Notification) -> Outcome:
        """Log each at its level; resolved ones at INFO."""
        for alert in transitions_of(notification):
            level = LEVELS[alert.level] if alert.status == "firing" else logging.INFO
            words = "; ".join(alert.message.splitlines())
            self._logger.log(level, "%s: %s. %s [%s]", alert.status, _safe(alert.title), _safe(words), alert.alert_id)
        return Delivered()


def _safe(text: str) -> str:
    """Without line breaks and terminal codes, which names from outside may hold."""
    return "".join(character if character.isprintable() else " " for character in text)
