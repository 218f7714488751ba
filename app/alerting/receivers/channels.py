"""Channels from the settings, and one channel for each registered receiver."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from app.alerting.channels.webhook import WebhookChannel
from app.alerting.notify.channel import Channel, Outcome, Permanent
from app.alerting.notify.notification import Notification
from app.alerting.receivers.requests import SECRET
from app.alerting.receivers.table import ReceiversTable
from app.alerting.rendering.labels import Labelling
from app.core.config.routes import RECEIVER_PREFIX as PREFIX
from app.settings.secrets import read_secret
from app.settings.settings import Settings, SettingsError
from topics.events import ReceiverEvent


class UnreadableSecret:
    """Channel of a receiver whose key cannot be read. Nothing is sent to it unsigned."""

    def __init__(self, name: str, reason: str) -> None:
        self._name = name
        self._reason = reason

    @property
    def name(self) -> str:
        """Return the name of the receiver's channel."""
        return self._name

    async def deliver(self, notification: Notification) -> Outcome:
        """Return `Permanent`: nothing is delivered."""
        return Permanent(f"its secret cannot be used: {self._reason}")


class ReceiverChannels(Mapping[str, Channel]):
    """Channels by name. Those of receivers follow the table at once: new ones appear and removed ones disappear.

    A key is read at each look-up: it may change while a worker runs.
    """

    def __init__(self, fixed: Mapping[str, Channel], receivers: ReceiversTable, settings: Settings) -> None:
        self._fixed = fixed
        self._receivers = receivers
        self._settings = settings

    def __getitem__(self, name: str) -> Channel:
        if not name.startswith(PREFIX):
            return self._fixed[name]
        receiver = self._receivers.get(name.removeprefix(PREFIX))
        if receiver is None:
            raise KeyError(name)
        return channel_of(receiver, self._settings)

    def __iter__(self) -> Iterator[str]:
        yield from self._fixed
        yield from (f"{PREFIX}{receiver.name}" for receiver in self._receivers.all())

    def __len__(self) -> int:
        return len(self._fixed) + len(self._receivers.all())


def channel_of(receiver: ReceiverEvent, settings: Settings) -> Channel:
    """Return a receiver's channel, which posts only to public addresses unless the settings allow others."""
    name = f"{PREFIX}{receiver.name}"
    try:
        secret = None if receiver.secret is None else _secret(settings.receiver_secrets_dir, receiver.secret)
    except SettingsError as error:
        return UnreadableSecret(name, str(error))
    return WebhookChannel(
        receiver.url, seconds=settings.delivery_attempt_seconds, secret=secret,
        public=not settings.allow_private_webhooks, name=name,
        advice=f"driftline alerts receivers add {receiver.name} sets it anew",
        labelling=Labelling(settings.webhook_labels or {}, settings.webhook_severities or {}),
    )  # fmt: skip


def _secret(folder: Path | None, name: str) -> str:
    if folder is None:
        raise SettingsError("receiver_secrets_dir: not set")
    if SECRET.fullmatch(name) is None:  # an event written without the API
        raise SettingsError("receiver_secrets_dir: no file has such a name")
    return read_secret("receiver_secrets_dir", folder / name)
