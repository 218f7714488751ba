"""`driftline top`: the state of every model version, live, in a terminal."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.common import AsJson, Bootstrap, Prefix, connected, is_terminal, print_json, settings_of

if TYPE_CHECKING:
    from api.changes import Changes
    from api.glance import ModelSummary
    from api.registrations import RegistrationsView
    from api.views import ReportsView
    from api.workers import Monitored
    from app.runtime.settings import Settings
    from topics.events import AlertEvent

Once = Annotated[bool, typer.Option("--once", help="Print it once and end, as where nobody watches.")]

REFRESH_SECONDS = 0.5
CHECK_SECONDS = 5.0
PIPED_WIDTH = 180
"""Where no terminal says how wide it is."""


def top(
    once: Once = False,
    json_: AsJson = False,
    bootstrap_servers: Bootstrap = None,
    prefix: Prefix = None,
) -> None:
    """Watch all model versions, what fires and the workers, as the dashboard has them.

    The worst first. Times are those of this machine's zone. Ctrl-C ends it.

    \b
    Examples:
      driftline top
      driftline top --once
      driftline top --json | jq '.models[] | select(.state != "healthy") | .model'
    """
    settings = connected(settings_of(bootstrap_servers=bootstrap_servers, prefix=prefix))
    asyncio.run(_run(settings, live=is_terminal() and not once and not json_, as_json=json_))


async def _run(settings: Settings, *, live: bool, as_json: bool) -> None:
    from rich.console import Console
    from rich.live import Live

    from app.commands.top_screen import screen

    async with _views(settings) as (models, reports, changes):
        if as_json:
            print_json(_told(models, reports))
            return
        console = Console(width=None if is_terminal() else PIPED_WIDTH)
        if not live:
            console.print(screen(*_state(models, reports), size=(console.width, None)))
            return
        logging.getLogger().addHandler(logging.NullHandler())  # a client's words would fall into the picture
        with Live(screen(*_state(models, reports), size=console.size), console=console, screen=True) as shown:
            trouble, fresh = "", datetime.now(UTC)
            while True:
                try:
                    await asyncio.wait_for(changes.after(changes.number), CHECK_SECONDS)
                    trouble = ""
                except TimeoutError:
                    trouble = await _trouble(models, reports)
                fresh = fresh if trouble else datetime.now(UTC)
                stale = trouble and f"{trouble}; what you see is from {fresh.astimezone():%H:%M:%S}"
                shown.update(screen(*_state(models, reports), size=console.size, trouble=stale))
                await asyncio.sleep(REFRESH_SECONDS)


async def _trouble(models: RegistrationsView, reports: ReportsView) -> str:
    """Why what is shown may be old; nothing where it is not. Raises BrokerUnavailable where it will stay so."""
    from app.runtime.errors import BrokerUnavailable

    await reports.check()
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await models.catch_up()
    except (TimeoutError, BrokerUnavailable):
        return "Kafka does not answer"
    return ""


@contextlib.asynccontextmanager
async def _views(settings: Settings) -> AsyncIterator[tuple[RegistrationsView, ReportsView, Changes]]:
    from api.changes import Changes
    from api.registrations import RegistrationsView
    from api.views import ReportsView
    from app.commands.common import Trouble
    from app.commands.reading import exists
    from topics.registry import MODELS

    if not await exists(settings, MODELS):
        raise Trouble(f"nothing runs on {settings.bootstrap_servers} yet: start a worker first (driftline up)")
    changes = Changes()
    reports = ReportsView(settings, changes)
    async with RegistrationsView(settings, changes) as models:
        await reports.start()
        try:
            yield models, reports, changes
        finally:
            await reports.stop()


def _state(
    models: RegistrationsView, reports: ReportsView
) -> tuple[list[ModelSummary], list[AlertEvent], Monitored, datetime]:
    from api.glance import LEVELS, summaries_of
    from app.commands.top_screen import ORDER

    now = datetime.now(UTC)
    summaries = sorted(
        summaries_of(models, reports),
        key=lambda one: (ORDER.index(one.state), -one.firing, one.model, one.model_version),
    )
    firing = [alert for found in reports.findings.values() for alert in found.firing]
    firing.sort(key=lambda alert: (-LEVELS.index(alert.level), -alert.started_at.timestamp()))
    return summaries, firing, reports.workers.now(now), now


def _told(models: RegistrationsView, reports: ReportsView) -> dict[str, object]:
    summaries, firing, monitored, now = _state(models, reports)
    return {"at": now, "models": summaries, "firing": firing, "monitor": monitored}
