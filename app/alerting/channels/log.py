"""Alerts as log lines: what happens anyway, wherever the worker's log goes."""

from __future__ import annotations

import logging

from app.alerting.notify.channel import Delivered, Outcome
from app.alerting.notify.notification import Notification, transitions_of
from topics.events import AlertEvent

LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR, "critical": logging.CRITICAL}


class LogChannel:
    """Writes one line a transition to the logger `driftline.alerts`."""

    name = "log"
    digests = False

    def __init__(self) -> None:
        self._logger = logging.getLogger("driftline.alerts")

    async def deliver(self, notification: Notification) -> Outcome:
        """Log each at its level; resolved ones at INFO."""
        for alert in transitions_of(notification):
            level = LEVELS[alert.level] if alert.status == "firing" else logging.INFO
            words = "; ".join(line.removesuffix(".") for line in alert.message.splitlines())
            about = {"alert_id": alert.alert_id, "notification_id": notification.notification_id, **_model_of(alert)}
            self._logger.log(
                level, "%s: %s. %s [%s]", alert.status, _safe(alert.title), _safe(words), alert.alert_id, extra=about
            )
        return Delivered()


def _model_of(alert: AlertEvent) -> dict[str, str]:
    """What a structured line says beside its words."""
    return {name: alert.labels[name] for name in ("model", "model_version") if name in alert.labels}


def _safe(text: str) -> str:
    """Without line breaks and terminal codes, which names from outside may hold."""
    return "".join(character if character.isprintable() else " " for character in text)
