"""Channel to the worker's log: one line for each transition, wherever the log goes."""

from __future__ import annotations

import logging

from app.alerting.notify.channel import Delivered, Outcome
from app.alerting.notify.notification import Notification, transitions_of
from topics.events import AlertEvent

LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR, "critical": logging.CRITICAL}


class LogChannel:
    """Channel that writes one line for each transition to the logger `driftline.alerts`."""

    name = "log"
    digests = False

    def __init__(self) -> None:
        self._logger = logging.getLogger("driftline.alerts")

    async def deliver(self, notification: Notification) -> Outcome:
        """Log each transition at its alert's level; resolved alerts at INFO."""
        for alert in transitions_of(notification):
            level = LEVELS[alert.level] if alert.status == "firing" else logging.INFO
            words = "; ".join(line.removesuffix(".") for line in alert.message.splitlines())
            about = {"alert_id": alert.alert_id, "notification_id": notification.notification_id, **_model_of(alert)}
            self._logger.log(
                level, "%s: %s. %s [%s]", alert.status, _safe(alert.title), _safe(words), alert.alert_id, extra=about
            )
        return Delivered()


def _model_of(alert: AlertEvent) -> dict[str, str]:
    """Return the model's labels for the extra fields of a structured log line."""
    return {name: alert.labels[name] for name in ("model", "model_version") if name in alert.labels}


def _safe(text: str) -> str:
    """Return the text without line breaks and terminal codes, which names from outside may contain."""
    return "".join(character if character.isprintable() else " " for character in text)
