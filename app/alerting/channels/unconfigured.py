"""A channel that a model asks for, and that nobody has set up."""

from __future__ import annotations

from app.alerting.notify.channel import Outcome, Permanent
from app.alerting.notify.notification import Notification


class UnconfiguredChannel:
    """Says what to set, whatever it is asked to tell."""

    def __init__(self, name: str, setting: str) -> None:
        self._name = name
        self._setting = setting

    @property
    def name(self) -> str:
        """The name of what is missing."""
        return self._name

    async def deliver(self, notification: Notification) -> Outcome:
        """Never delivered."""
        return Permanent(f"{self._name} is not set up: set {self._setting} and start the worker again")
