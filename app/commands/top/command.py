"""`driftline top`: the state of every model version, live, in a terminal."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.options import ApiKey, ApiKeyFile, ApiUrl, AsJson, Bootstrap, Prefix, is_terminal, print_json, reached
from app.commands.top.choice import Choice, Condition
from topics.levels import rank

if TYPE_CHECKING:
    from app.commands.api_client import ApiClient
    from app.read_model.changes import Changes
    from app.read_model.registrations import RegistrationsTable
    from app.read_model.reports_table import ReportsTable
    from app.read_model.summary import ModelSummary
    from app.read_model.workers import Monitored
    from app.registration.versions_table import VersionsTable
    from app.settings.settings import Settings
    from topics.events import AlertEvent

Once = Annotated[bool, typer.Option("--once", help="Print it once and end, as where nobody watches.")]
OnlyModels = Annotated[
    list[str] | None, typer.Option("--model", help="Only this model; * stands for anything. May be given twice.")
]
OnlyStates = Annotated[
    list[Condition] | None, typer.Option("--state", help="Only model versions in this state. May be given twice.")
]
Limit = Annotated[
    int | None,
    typer.Option(min=1, help="The worst so many. [default: what fits the terminal; all where nobody watches]"),
]

REFRESH_SECONDS = 0.5
CHECK_SECONDS = 5.0
PIPED_WIDTH = 180
"""Width in columns where standard output is not a terminal."""


def top(
    model: OnlyModels = None,
    state: OnlyStates = None,
    limit: Limit = None,
    once: Once = False,
    json_: AsJson = False,
    api: ApiUrl = None,
    api_key: ApiKey = None,
    api_key_file: ApiKeyFile = None,
    bootstrap_servers: Bootstrap = None,
    prefix: Prefix = None,
) -> None:
    """Watch firing alerts, all model versions and the workers, as on the dashboard.

    Alerts are at the top. Then come the model versions, the worst first: alerting, degraded, drifting, insufficient,
    learning, waiting, healthy. A line says how many are shown: "20 of 200 shown". Times are in this machine's zone.
    Ctrl-C ends.

    \b
    Examples:
      driftline top
      driftline top --state alerting --state degraded
      driftline top --model 'churn-*' --limit 20
      driftline top --once
      driftline top --api https://driftline.example.org
      driftline top --json | jq '.models[] | select(.state != "healthy") | .model'
    """
    settings, client = reached(api, api_key, api_key_file, bootstrap_servers, prefix)
    choice = Choice(tuple(model or ()), tuple(one.value for one in state or ()), limit)
    live = is_terminal() and not once and not json_
    if client is None:
        asyncio.run(_run(settings, choice, live=live, as_json=json_))
        return
    with client:
        _run_over_http(client, choice, live=live, as_json=json_)


def _run_over_http(client: ApiClient, choice: Choice, *, live: bool, as_json: bool) -> None:
    from rich.console import Console
    from rich.live import Live

    from app.commands.top.over_http import state_over_http, states_over_http
    from app.commands.top.screen import screen

    shown = state_over_http(client)
    choice.check(shown[0])
    if as_json:
        print_json(_as_json(choice, *shown))
        return
    console = Console(width=None if is_terminal() else PIPED_WIDTH)
    if not live:
        console.print(screen(*shown, size=(console.width, None), choice=choice))
        return
    with Live(screen(*shown, size=console.size, choice=choice), console=console, screen=True) as display:
        for found in states_over_http(client):
            stale = ""
            if isinstance(found, str):
                stale = f"{found}; what you see is from {shown[3].astimezone():%H:%M:%S}"
            else:
                shown = found
            display.update(screen(*shown, size=console.size, trouble=stale, choice=choice))


async def _run(settings: Settings, choice: Choice, *, live: bool, as_json: bool) -> None:
    from rich.console import Console
    from rich.live import Live

    from app.commands.top.screen import screen

    async with _views(settings) as (models, reports, changes):
        choice.check(_state(models, reports)[0])
        if as_json:
            print_json(_as_json(choice, *_state(models, reports)))
            return
        console = Console(width=None if is_terminal() else PIPED_WIDTH)
        if not live:
            console.print(screen(*_state(models, reports), size=(console.width, None), choice=choice))
            return
        logging.getLogger().addHandler(logging.NullHandler())  # a Kafka client's log lines would disturb the screen
        with Live(
            screen(*_state(models, reports), size=console.size, choice=choice), console=console, screen=True
        ) as shown:
            trouble, fresh = "", datetime.now(UTC)
            while True:
                try:
                    await asyncio.wait_for(changes.after(changes.number), CHECK_SECONDS)
                    trouble = ""
                except TimeoutError:
                    trouble = await _trouble(models, reports)
                fresh = fresh if trouble else datetime.now(UTC)
                stale = trouble and f"{trouble}; what you see is from {fresh.astimezone():%H:%M:%S}"
                shown.update(screen(*_state(models, reports), size=console.size, trouble=stale, choice=choice))
                await asyncio.sleep(REFRESH_SECONDS)


async def _trouble(models: KnownVersions, reports: ReportsTable) -> str:
    """Return why the shown data may be old; empty where it is current.

    Raises BrokerUnavailable where it cannot recover.
    """
    from app.kafka.errors import BrokerUnavailable

    await reports.check()
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await models.registered.catch_up()
    except (TimeoutError, BrokerUnavailable):
        return "Kafka does not answer"
    return ""


@contextlib.asynccontextmanager
async def _views(settings: Settings) -> AsyncIterator[tuple[KnownVersions, ReportsTable, Changes]]:
    from app.commands.options import CommandError
    from app.commands.topic_reader import exists
    from app.read_model.changes import Changes
    from app.read_model.registrations import RegistrationsTable
    from app.read_model.reports_table import ReportsTable
    from app.registration.versions_table import VersionsTable
    from topics.registry import MODELS, VERSIONS

    if not await exists(settings, MODELS):
        raise CommandError(f"nothing runs on {settings.bootstrap_servers} yet: start a worker first (driftline up)")
    changes = Changes()
    reports = ReportsTable(settings, changes)
    versions = VersionsTable(settings)
    versions.changed = lambda model, version: changes.note(("model", model, version))
    async with contextlib.AsyncExitStack() as stack:
        models = await stack.enter_async_context(RegistrationsTable(settings, changes))
        if await exists(settings, VERSIONS):  # workers of an earlier release do not create the topic
            await stack.enter_async_context(versions)
        await reports.start()
        try:
            yield KnownVersions(models, versions), reports, changes
        finally:
            await reports.stop()


@dataclass(frozen=True)
class KnownVersions:
    """Registered model versions, and their lifecycle records (retired or served)."""

    registered: RegistrationsTable
    versions: VersionsTable


def _state(
    models: KnownVersions, reports: ReportsTable
) -> tuple[list[ModelSummary], list[AlertEvent], Monitored, datetime]:
    from app.read_model.summary import summaries_of

    now = datetime.now(UTC)
    firing = [alert for found in reports.findings.values() for alert in found.firing]
    firing.sort(key=lambda alert: (-rank(alert.level), -alert.started_at.timestamp()))
    return summaries_of(models.registered, reports, models.versions), firing, reports.workers.now(now), now


def _as_json(
    choice: Choice, summaries: list[ModelSummary], firing: list[AlertEvent], monitored: Monitored, now: datetime
) -> dict[str, object]:
    """Return the selected state as JSON. `shown` of the `matching` model versions, of `total`."""
    matching = choice.of(summaries)
    shown = matching[: choice.limit]
    return {
        "at": now, "models": shown, "firing": choice.alerts(firing), "monitor": monitored,
        "shown": len(shown), "matching": len(matching), "total": len(summaries),
    }  # fmt: skip
