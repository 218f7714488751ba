"""`driftline alerts receivers`: webhooks for alerts, in addition to the webhook of the settings."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.audited import AuditedChange, audited
from app.commands.options import (
    AsJson,
    Bootstrap,
    CommandError,
    Prefix,
    kafka_settings,
    print_json,
    print_table,
    user_name,
)

if TYPE_CHECKING:
    from app.alerting.receivers.table import ReceiversTable
    from app.settings.settings import Settings
    from topics.events import ReceiverEvent

app = typer.Typer(no_args_is_help=True)

ReceiverName = Annotated[str, typer.Argument(help="Its name; routes and models call it webhook:NAME.")]
Url = Annotated[str, typer.Option(help="Where it takes Alertmanager's payload: https://…")]
Secret = Annotated[str | None, typer.Option(help="Name of the key's file in the workers' receiver_secrets_dir.")]
Comment = Annotated[str, typer.Option(help="What it is for.")]
Author = Annotated[str | None, typer.Option(help="Who. [default: your user name]")]


@app.callback()
def group() -> None:
    """Manage webhooks for alerts, in addition to the webhook of the settings. Routes name them webhook:NAME.

    \b
    Examples:
      driftline alerts receivers add on-call --url https://hooks.example.org/driftline --secret on-call
      driftline alerts receivers list
      driftline alerts receivers test on-call
      driftline alerts receivers remove on-call
    """


@app.command("add")
def add(
    name: ReceiverName,
    url: Url,
    secret: Secret = None,
    comment: Comment = "",
    author: Author = None,
    json_: AsJson = False,
    bootstrap_servers: Bootstrap = None,
    prefix: Prefix = None,
) -> None:
    """Create a receiver, or replace the one of the same name. Workers use it within a second.

    The host of the URL must have public addresses only, unless allow_private_webhooks is set.

    \b
    Examples:
      driftline alerts receivers add on-call --url https://hooks.example.org/driftline
      driftline alerts receivers add on-call --url https://hooks.example.org/driftline --secret on-call --json
    """
    from app.alerting.channels.allowed_addresses import url_refusal
    from app.alerting.receivers.requests import ReceiverError, ReceiverRequest, receiver_of
    from topics.events import utc_now

    settings = kafka_settings(bootstrap_servers, prefix)
    asked = ReceiverRequest(name=name, url=url, secret=secret, comment=comment, created_by=author or user_name())
    try:
        made = receiver_of(asked, utc_now())
    except ReceiverError as error:
        raise CommandError(str(error)) from None
    refusal = asyncio.run(url_refusal(url, allow_private=settings.allow_private_webhooks))
    if refusal is not None:
        raise CommandError(f"--url: {refusal}")
    asyncio.run(_set(settings, made))
    _tell(made, as_json=json_)


@app.command("list")
def list_(json_: AsJson = False, bootstrap_servers: Bootstrap = None, prefix: Prefix = None) -> None:
    """List the receivers. Only the origin of each URL is shown, because the rest may be a secret.

    \b
    Examples:
      driftline alerts receivers list
      driftline alerts receivers list --json
    """
    settings = kafka_settings(bootstrap_servers, prefix)
    found = asyncio.run(known_receivers(settings)).all()
    if json_:
        for one in found:
            _tell(one, as_json=True)
    elif not found:
        print("no receivers")
    else:
        print_table(("channel", "url", "secret", "by", "comment"), [_row(one) for one in found])


@app.command("remove")
def remove(
    name: ReceiverName, json_: AsJson = False, bootstrap_servers: Bootstrap = None, prefix: Prefix = None
) -> None:
    """Delete a receiver. Notifications still to be sent to it are given up, and kept for `alerts redeliver`.

    \b
    Examples:
      driftline alerts receivers remove on-call
    """
    settings = kafka_settings(bootstrap_servers, prefix)
    found = _one(settings, name)
    asyncio.run(_remove(settings, name))
    _tell(found, as_json=json_, words="removed ")


@app.command("test")
def try_receiver(
    name: ReceiverName, json_: AsJson = False, bootstrap_servers: Bootstrap = None, prefix: Prefix = None
) -> None:
    """Send a sample to a receiver from this machine, once, and show the response.
    Exit status: 0 delivered; 1 not delivered.

    \b
    Examples:
      driftline alerts receivers test on-call
    """
    from app.alerting.receivers.channels import channel_of
    from app.commands.alerts.try_channel import try_once

    settings = kafka_settings(bootstrap_servers, prefix)
    channel = channel_of(_one(settings, name), settings)
    delivered = try_once(settings, channel, "error", resolved=False, as_json=json_)
    raise typer.Exit(0 if delivered else 1)


async def _set(settings: Settings, receiver: ReceiverEvent) -> None:
    from app.alerting.receivers.requests import origin_of, send_receiver
    from topics.registry import RECEIVERS

    change = AuditedChange("receiver.set", receiver.name, {"url": origin_of(receiver.url)})
    async with audited(settings, change, topics=[RECEIVERS]) as producer:
        await send_receiver(producer, receiver)


async def _remove(settings: Settings, name: str) -> None:
    from app.alerting.receivers.requests import remove_receiver

    async with audited(settings, AuditedChange("receiver.removed", name)) as producer:
        await remove_receiver(producer, name)


def _one(settings: Settings, name: str) -> ReceiverEvent:
    known = asyncio.run(known_receivers(settings))
    found = known.get(name.removeprefix("webhook:"))
    if found is None:
        names = ", ".join(one.name for one in known.all()) or "none"
        raise CommandError(f"there is no receiver {name!r} (there are: {names}): driftline alerts receivers list")
    return found


async def known_receivers(settings: Settings) -> ReceiversTable:
    """Return the table of all receivers that exist now. Raises CommandError, BrokerUnavailable."""
    from app.alerting.receivers.table import ReceiversTable
    from app.commands.topic_reader import loaded

    return await loaded(settings, ReceiversTable(settings))


def _tell(receiver: ReceiverEvent, *, as_json: bool, words: str = "") -> None:
    from app.alerting.receivers.requests import shown

    told = shown(receiver)
    if as_json:
        print_json(told)
        return
    signed = "unsigned" if told.secret is None else f"signed with {told.secret}"
    print(f"{words}{told.channel}: {told.url}, {signed}")


def _row(receiver: ReceiverEvent) -> tuple[str, ...]:
    from app.alerting.receivers.requests import shown

    told = shown(receiver)
    return told.channel, told.url, told.secret or "", told.created_by, told.comment
