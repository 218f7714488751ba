"""Channel that a model names but nobody has set up."""

from __future__ import annotations

from app.alerting.notify.channel import Outcome, Permanent
from app.alerting.notify.notification import Notification


class UnconfiguredChannel:
    """Channel that delivers nothing and reports the setting that is missing."""

    def __init__(self, name: str, setting: str) -> None:
        self._name = name
        self._setting = setting

    @property
    def name(self) -> str:
        """Return the name of the missing channel."""
        return self._name

    async def deliver(self, notification: Notification) -> Outcome:
        """Return `Permanent`: nothing is delivered."""
        return Permanent(f"{self._name} is not set up: set {self._setting} and start the worker again")
