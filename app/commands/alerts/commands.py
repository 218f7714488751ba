"""`driftline alerts`: list alerts, rules, silences and undelivered notifications; test channels."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from app.commands.alerts import receivers, silence
from app.commands.alerts.redeliver import redeliver
from app.commands.alerts.rules import rules
from app.commands.alerts.send import send
from app.commands.options import (
    ApiKey,
    ApiKeyFile,
    ApiUrl,
    AsJson,
    Bootstrap,
    CommandError,
    OnlyModel,
    Prefix,
    print_json,
    print_table,
    reached,
    settings_of,
)
from topics.levels import Level

if TYPE_CHECKING:
    from app.settings.settings import Settings
    from topics.events import AlertEvent

app = typer.Typer(no_args_is_help=True)
app.add_typer(silence.app, name="silence")
app.add_typer(receivers.app, name="receivers")
app.command()(redeliver)
app.command()(send)
app.command()(rules)

Firing = Annotated[bool, typer.Option("--firing", help="Only what is firing now.")]
Brewing = Annotated[bool, typer.Option("--pending", help="Only what is breached, and not yet for long enough to fire.")]
OnlyLevel = Annotated[Level | None, typer.Option("--level", help="Only alerts of this level.")]
Every = Annotated[bool, typer.Option("--all", help="Every transition, not only each alert's newest.")]


@app.callback()
def group() -> None:
    """List alerts and rules, silence alerts, send alerts, redeliver notifications, and test channels.

    \b
    Examples:
      driftline alerts list
      driftline alerts silence --model churn --for 2h --comment "retraining"
      driftline alerts rules --model churn
      driftline alerts send --title "nightly load failed" --level error --dedupe-key load
      driftline alerts receivers list
      driftline alerts redeliver --all --dry-run
      driftline alerts test --channel email
    """


@app.command("list")
def list_(
    model: OnlyModel = None,
    level: OnlyLevel = None,
    firing: Firing = False,
    pending: Brewing = False,
    every: Every = False,
    json_: AsJson = False,
    api: ApiUrl = None,
    api_key: ApiKey = None,
    api_key_file: ApiKeyFile = None,
    bootstrap_servers: Bootstrap = None,
    prefix: Prefix = None,
) -> None:
    """List the alerts, oldest first.

    \b
    Examples:
      driftline alerts list --firing --level critical
      driftline alerts list --pending
      driftline alerts list --model churn --all --json
      driftline alerts list --firing --api https://driftline.example.org
    """
    if pending and (firing or every):
        raise CommandError("--pending: what is pending has not fired; leave out --firing and --all")
    settings, client = reached(api, api_key, api_key_file, bootstrap_servers, prefix)
    if client is not None:
        from app.commands.alerts.over_http import alerts_over_http

        if pending:
            raise CommandError("--pending: is found in the reports in Kafka; leave out --api")
        with client:
            found = alerts_over_http(client, model, every=every)
    elif pending:
        _show_pending(settings, model, level, as_json=json_)
        return
    else:
        found = asyncio.run(_alerts(settings, model, every=every))
    if firing:
        found = [alert for alert in found if alert.status == "firing"]
    if level is not None:
        found = [alert for alert in found if alert.level == level]
    if json_:
        for alert in found:
            print_json(alert)
        return
    if not found:
        print("no alerts")
        return
    print_table(("status", "level", "since", "until", "alert"), map(_row, found))


def _show_pending(settings: Settings, model: str | None, level: Level | None, *, as_json: bool) -> None:
    from app.commands.alerts.pending import pending

    found = [one for one in asyncio.run(pending(settings, model)) if level in (None, one.level)]
    if as_json:
        for one in found:
            print_json(one)
        return
    if not found:
        print("nothing is pending")
        return
    heads = ("level", "since", "windows", "alert")
    rows = [
        (one.level, f"{one.since:%Y-%m-%d %H:%M}", f"{one.windows} of {one.for_windows}",
         f"{one.model} {one.model_version}: {one.rule}, {one.subject}")
        for one in found
    ]  # fmt: skip
    print_table(heads, rows)


@app.command("test")
def try_channel(
    channel: Annotated[
        Literal["alertmanager", "apprise", "email", "file", "log", "slack", "webhook"],
        typer.Option(help="The channel to try."),
    ],
    level: Annotated[Level, typer.Option(help="The level of the sample.")] = "error",
    resolved: Annotated[bool, typer.Option("--resolved", help="Send the end of the sample alert.")] = False,
    json_: AsJson = False,
) -> None:
    """Send a sample through a channel once. Show the request, without secrets, and the response.

    Needs no Kafka. The outcome is on standard output, the rest on standard error.
    Exit status: 0 delivered; 1 not delivered; 2 the channel's settings are incomplete.

    \b
    Examples:
      driftline alerts test --channel slack
      driftline alerts test --channel email --level critical --resolved --json
    """
    import logging

    from app.alerting.channels import channels_of
    from app.alerting.channels.setup import other_channels
    from app.commands.alerts.try_channel import try_once

    settings = settings_of()
    logging.basicConfig(level=settings.log_level, format="%(levelname)s %(name)s: %(message)s")
    channels = channels_of(settings.alerts_dir, other_channels(settings))
    delivered = try_once(settings, channels[channel], level, resolved=resolved, as_json=json_)
    raise typer.Exit(0 if delivered else 1)


async def _alerts(settings: Settings, model: str | None, *, every: bool) -> list[AlertEvent]:
    import msgspec

    from app.commands.topic_reader import check_registered, events
    from topics.events import AlertEvent
    from topics.registry import ALERTS

    decoder = msgspec.json.Decoder(AlertEvent)
    known: dict[str, AlertEvent] = {}
    async for found in events(settings, ALERTS, decoder.decode):
        alert = None if found is None else found[1]
        if alert is not None and model in (None, alert.labels.get("model")):
            known[alert.alert_id if every else alert.fingerprint] = alert
    if not known and model is not None:
        await check_registered(settings, model)
    return sorted(known.values(), key=lambda a: (a.started_at, a.emitted_at))


def _row(alert: AlertEvent) -> tuple[str, ...]:
    until = "" if alert.ended_at is None else f"{alert.ended_at:%Y-%m-%d %H:%M}"
    return alert.status, alert.level, f"{alert.started_at:%Y-%m-%d %H:%M}", until, alert.title
