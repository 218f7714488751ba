"""`driftline alerts redeliver`: send notifications again whose delivery was given up."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.audited import AuditedChange, audited
from app.commands.options import (
    AsJson,
    Bootstrap,
    CommandError,
    DryRun,
    Prefix,
    kafka_settings,
    print_json,
    print_table,
)

if TYPE_CHECKING:
    from app.alerting.notify.channel import Channel
    from app.alerting.notify.notification import Notification
    from app.kafka.producer import Producer
    from app.settings.settings import Settings
    from topics.events import UndeliveredEvent

OnlyChannel = Annotated[str | None, typer.Option("--channel", help="Only what this channel has not taken.")]
OnlyId = Annotated[str | None, typer.Option("--id", help="Only this notification, by its id or the beginning of it.")]
Everything = Annotated[bool, typer.Option("--all", help="Everything that was given up.")]


def redeliver(
    channel: OnlyChannel = None,
    notification_id: OnlyId = None,
    every: Everything = False,
    dry_run: DryRun = False,
    json_: AsJson = False,
    bootstrap_servers: Bootstrap = None,
    prefix: Prefix = None,
) -> None:
    """Send undelivered notifications again, oldest first. A notification that is delivered now is not listed again.

    They are sent from this machine, with its settings and secrets.
    Exit status 1: a channel did not accept a notification.

    \b
    Examples:
      driftline alerts redeliver --all --dry-run
      driftline alerts redeliver --channel slack
      driftline alerts redeliver --id 5d41402abc4b2a76
    """
    if not (every or channel or notification_id):
        raise CommandError("which? --all, --channel NAME or --id ID; with --dry-run nothing is sent")
    settings = kafka_settings(bootstrap_servers, prefix)
    found = [
        letter
        for letter in asyncio.run(_undelivered(settings))
        if channel in (None, letter.channel) and letter.notification_id.startswith(notification_id or "")
    ]
    if not found and notification_id is not None:
        raise CommandError(f"nothing undelivered begins with {notification_id!r}: see redeliver --all --dry-run")
    results = [] if dry_run else asyncio.run(_send(settings, found))
    _show(found, results, as_json=json_)
    if any(not delivered for delivered, _ in results):
        raise typer.Exit(1)


async def _undelivered(settings: Settings) -> list[UndeliveredEvent]:
    import msgspec

    from app.alerting.notify.notification import Notification
    from app.commands.topic_reader import events, exists
    from topics.events import UndeliveredEvent
    from topics.registry import UNDELIVERED

    def decode(value: bytes) -> UndeliveredEvent:
        letter = msgspec.json.decode(value, type=UndeliveredEvent)
        msgspec.json.decode(letter.notification, type=Notification)  # raises where the notification cannot be sent
        return letter

    found: dict[bytes, UndeliveredEvent] = {}
    if not await exists(settings, UNDELIVERED):
        return []
    async for one in events(settings, UNDELIVERED, decode):
        if one is None:
            continue
        record, letter = one
        found.pop(record.key, None)
        if letter is not None:
            found[record.key] = letter
    return sorted(found.values(), key=lambda letter: letter.since)


async def _send(settings: Settings, letters: list[UndeliveredEvent]) -> list[tuple[bool, str]]:
    """Try to deliver each notification once. Return for each whether it was delivered, and the detail or the reason."""
    from app.alerting.channels import channels_of
    from app.alerting.channels.setup import other_channels
    from app.alerting.receivers.channels import ReceiverChannels
    from app.commands.alerts.receivers import known_receivers

    fixed = channels_of(settings.alerts_dir, other_channels(settings))
    channels = ReceiverChannels(fixed, await known_receivers(settings), settings)
    if not letters:
        return []
    changes = [AuditedChange("alerts.redelivered", one.notification_id, {"channel": one.channel}) for one in letters]
    async with audited(settings, *changes) as producer:
        return [await _again(settings, producer, channels.get(letter.channel), letter) for letter in letters]


async def _again(
    settings: Settings, producer: Producer, channel: Channel | None, letter: UndeliveredEvent
) -> tuple[bool, str]:
    import msgspec

    from app.alerting.notify.channel import Delivered, attempt
    from app.alerting.notify.notification import Notification

    if channel is None:
        return False, f"there is no channel {letter.channel!r}"
    notification = msgspec.json.decode(letter.notification, type=Notification)
    outcome = await attempt(channel, notification, settings.delivery_attempt_seconds)
    if not isinstance(outcome, Delivered):
        return False, outcome.reason
    await _record(producer, letter, notification, outcome.detail)
    return True, outcome.detail


async def _record(producer: Producer, letter: UndeliveredEvent, notification: Notification, detail: str) -> None:
    import msgspec

    from app.alerting.notify.delivery_events import delivery_events, key_of
    from app.alerting.notify.retry_policy import PendingNotification
    from topics.events import utc_now
    from topics.registry import DELIVERIES, UNDELIVERED

    at = utc_now().timestamp()
    done = PendingNotification(
        notification=notification, channel=letter.channel, since=letter.since.timestamp(), next_at=at,
        attempts=letter.attempts + 1, outcome="delivered", detail=detail, settled_at=at,
    )  # fmt: skip
    for event in delivery_events(done):
        await producer.send(DELIVERIES, f"{event.alert_id}/{event.channel}".encode(), msgspec.json.encode(event))
    await producer.send(UNDELIVERED, key_of(done), None)


def _show(letters: list[UndeliveredEvent], results: list[tuple[bool, str]], *, as_json: bool) -> None:
    import msgspec

    from app.alerting.notify.notification import Notification

    told = results or [(False, letter.reason) for letter in letters]
    words = {(True, True): "delivered", (True, False): "failed"}
    rows = []
    for letter, (delivered, detail) in zip(letters, told, strict=True):
        title = msgspec.json.decode(letter.notification, type=Notification).title
        outcome = words.get((bool(results), delivered), "undelivered")
        if as_json:
            print_json({
                "notification_id": letter.notification_id, "channel": letter.channel, "outcome": outcome,
                "detail": detail, "attempts": letter.attempts, "since": letter.since, "title": title,
            })  # fmt: skip
        rows.append((letter.notification_id, letter.channel, f"{letter.since:%Y-%m-%d %H:%M}", outcome, detail, title))
    if as_json:
        return
    if not rows:
        print("nothing undelivered")
        return
    print_table(("id", "channel", "since", "outcome", "detail", "title"), rows)
