"""`driftline alerts silence`: silences and maintenance windows."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.audited import AuditedChange, audited
from app.commands.options import (
    AsJson,
    Bootstrap,
    CommandError,
    Prefix,
    kafka_settings,
    moment_of,
    print_json,
    print_table,
    user_name,
)

if TYPE_CHECKING:
    from app.settings.settings import Settings
    from topics.events import Action, SilenceEvent

app = typer.Typer()

UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}

OnModel = Annotated[str | None, typer.Option("--model", help="Alerts of this model.")]
OnVersion = Annotated[str | None, typer.Option("--version", help="Of this version.")]
OnRule = Annotated[str | None, typer.Option("--rule", help="Of this rule: data_drift, performance, …")]
OnSubject = Annotated[str | None, typer.Option("--subject", help="About this feature, say.")]
OnLevel = Annotated[str | None, typer.Option("--level", help="Of this level.")]
Matchers = Annotated[list[str] | None, typer.Option("--matcher", "-m", help="label=value, !=, =~, !~; repeatable.")]
For = Annotated[str | None, typer.Option("--for", help="For how long: 30m, 2h, 1d12h.")]
Until = Annotated[str | None, typer.Option("--until", help="Until when: 2026-06-01T12:00:00Z.")]
Starts = Annotated[str | None, typer.Option("--starts", help="From when on. [default: now]")]
Comment = Annotated[str | None, typer.Option("--comment", help="Reason, for whoever reads it later.")]
Author = Annotated[str | None, typer.Option("--author", help="Who. [default: your user name]")]
Weekdays = Annotated[str | None, typer.Option("--weekdays", help="Only on these: mon-fri or sat,sun.")]
From = Annotated[str | None, typer.Option("--from", help="Only from this time of day on: 22:00.")]
To = Annotated[str | None, typer.Option("--to", help="Only until this time of day; the next day's where not later.")]
Zone = Annotated[str, typer.Option("--zone", help="The time zone of those times: Europe/Berlin.")]
Every = Annotated[bool, typer.Option("--all", help="Those that are over too.")]
SilenceId = Annotated[str, typer.Argument(help="Its id, as `driftline alerts silence list` shows it.")]

ADD = """Silence alerts for a while: those that match everything that is said.

\b
Examples:
  driftline alerts silence add --model churn --rule data_drift --for 2h --comment "retraining"
"""


@app.command("add", help=ADD)
@app.callback(invoke_without_command=True)
def silence(
    context: typer.Context,
    model: OnModel = None,
    version: OnVersion = None,
    rule: OnRule = None,
    subject: OnSubject = None,
    level: OnLevel = None,
    matcher: Matchers = None,
    for_: For = None,
    until: Until = None,
    starts: Starts = None,
    comment: Comment = None,
    author: Author = None,
    weekdays: Weekdays = None,
    from_: From = None,
    to: To = None,
    zone: Zone = "UTC",
    json_: AsJson = False,
    bootstrap_servers: Bootstrap = None,
    prefix: Prefix = None,
) -> None:
    """Silence the alerts that match all given options, for a limited time. Short for `silence add`.

    \b
    Examples:
      driftline alerts silence --model churn --rule data_drift --for 2h --comment "retraining"
      driftline alerts silence -m 'subject=~age.*' --until 2026-06-01T12:00:00Z --comment "age is being mended"
      driftline alerts silence --weekdays mon-fri --from 22:00 --to 06:00 --zone Europe/Berlin --comment "nightly load"
    """
    if context.invoked_subcommand is not None:
        return
    from app.alerting.silences.requests import SilenceError, SilenceRequest, silence_of
    from topics.events import Hours, utc_now

    labels = {"model": model, "model_version": version, "rule": rule, "subject": subject, "level": level}
    hours = None
    if weekdays or from_ or to:
        hours = Hours(
            weekdays=tuple((weekdays or "mon-sun").split(",")), start=from_ or "00:00", end=to or "24:00", zone=zone
        )
    if for_ is None and until is None and hours is None:
        raise CommandError("for how long? --for 2h, --until 2026-06-01T12:00:00Z, or hours of the week with --weekdays")
    if comment is None:
        raise CommandError('why? --comment "retraining", say, for whoever reads it later')
    asked = SilenceRequest(
        matchers=(*(f'{name}="{value}"' for name, value in labels.items() if value is not None), *(matcher or ())),
        comment=comment,
        created_by=author or user_name(),
        starts_at=moment_of("--starts", starts),
        ends_at=moment_of("--until", until),
        seconds=None if for_ is None else seconds_of(for_),
        hours=hours,
    )
    try:
        made = silence_of(asked, utc_now())
    except SilenceError as error:
        raise CommandError(str(error)) from None
    asyncio.run(_send(kafka_settings(bootstrap_servers, prefix), made, "silence.created"))
    _tell(made, as_json=json_)


@app.command("list")
def list_(
    every: Every = False, json_: AsJson = False, bootstrap_servers: Bootstrap = None, prefix: Prefix = None
) -> None:
    """List the silences that are in force now or later, in the order in which they begin.

    \b
    Examples:
      driftline alerts silence list
      driftline alerts silence list --all --json
    """
    from app.alerting.silences.requests import state_of
    from topics.events import utc_now

    settings = kafka_settings(bootstrap_servers, prefix)
    now = utc_now()
    found = [one for one in asyncio.run(_known(settings)).values() if every or state_of(one, now) != "expired"]
    if json_:
        for one in found:
            _tell(one, as_json=True)
    elif not found:
        print("no silences")
    else:
        header = ("id", "state", "since", "until", "by", "alerts", "comment")
        print_table(header, [_row(one, state_of(one, now)) for one in found])


@app.command("expire")
def expire(
    silence_id: SilenceId, json_: AsJson = False, bootstrap_servers: Bootstrap = None, prefix: Prefix = None
) -> None:
    """End a silence now.

    \b
    Examples:
      driftline alerts silence expire 3f2a9c1b7d4e
    """
    from app.alerting.silences.requests import expired
    from topics.events import utc_now

    settings = kafka_settings(bootstrap_servers, prefix)
    known = asyncio.run(_known(settings))
    found = [one for name, one in known.items() if name.startswith(silence_id)]
    if len(found) != 1:
        trouble = "no silence begins" if not found else f"{len(found)} silences begin"
        raise CommandError(f"{trouble} with {silence_id!r}: driftline alerts silence list --all shows them")
    over = expired(found[0], utc_now())
    if over is not found[0]:
        asyncio.run(_send(settings, over, "silence.ended"))
    _tell(over, as_json=json_)


def seconds_of(text: str) -> float:
    """Return the seconds of a duration such as `2h`, `1d12h` or `90s`. Raises CommandError."""
    parts = re.findall(r"(\d+(?:\.\d+)?)([smhdw])", text)
    if not parts or "".join(number + unit for number, unit in parts) != text.replace(" ", ""):
        raise CommandError(f"--for: {text!r} is no length of time; write it as 30m, 2h or 1d12h")
    return sum(float(number) * UNITS[unit] for number, unit in parts)


async def _known(settings: Settings) -> dict[str, SilenceEvent]:
    from app.alerting.silences.table import SilencesTable
    from app.commands.topic_reader import loaded

    view = await loaded(settings, SilencesTable(settings))
    return {one.silence_id: one for one in view.all()}


async def _send(settings: Settings, silence: SilenceEvent, action: Action) -> None:
    from app.alerting.silences.requests import send_silence
    from topics.registry import SILENCES

    change = AuditedChange(action, silence.silence_id, {"matchers": ", ".join(silence.matchers)})
    async with audited(settings, change, topics=[SILENCES]) as producer:
        await send_silence(producer, silence)


def _tell(silence: SilenceEvent, *, as_json: bool) -> None:
    import msgspec

    from app.alerting.silences.requests import state_of
    from topics.events import utc_now

    state = state_of(silence, utc_now())
    if as_json:
        print_json({**msgspec.structs.asdict(silence), "state": state})
        return
    until = "until it is expired" if silence.ends_at is None else f"until {silence.ends_at:%Y-%m-%d %H:%M:%S} UTC"
    print(f"silence {silence.silence_id} {state}, {until}: {_about(silence)}")


def _about(silence: SilenceEvent) -> str:
    about = " ".join(silence.matchers) or "every alert"
    if silence.hours is None:
        return about
    hours = silence.hours
    return f"{about}, {','.join(hours.weekdays)} {hours.start} to {hours.end} {hours.zone}"


def _row(silence: SilenceEvent, state: str) -> tuple[str, ...]:
    until = "" if silence.ends_at is None else f"{silence.ends_at:%Y-%m-%d %H:%M}"
    since = f"{silence.starts_at:%Y-%m-%d %H:%M}"
    return silence.silence_id, state, since, until, silence.created_by, _about(silence), silence.comment
