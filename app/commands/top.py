"""`driftline top`: the state of every model version, live, in a terminal."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.common import AsJson, Bootstrap, Prefix, connected, is_terminal, print_json, settings_of

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from api.changes import Changes
    from api.glance import ModelSummary
    from api.registrations import RegistrationsView
    from api.views import ReportsView
    from api.workers import Monitored
    from app.runtime.settings import Settings
    from topics.events import AlertEvent

Once = Annotated[bool, typer.Option("--once", help="Print it once and end, as where nobody watches.")]

REFRESH_SECONDS = 0.5
MOST_ALERTS = 8
FRAME = 14
"""Lines of a screen that are not rows of models."""
ORDER = ("alerting", "degraded", "drifting", "insufficient", "waiting", "healthy")
STYLES = {
    "alerting": "bold red", "degraded": "red", "drifting": "yellow", "healthy": "green", "critical": "bold red",
    "error": "red", "warning": "yellow",
}  # fmt: skip
BAR = 10
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

    async with _views(settings) as (models, reports, changes):
        if as_json:
            print_json(_told(models, reports))
            return
        console = Console(width=None if is_terminal() else PIPED_WIDTH)
        if not live:
            console.print(screen(*_state(models, reports), rows=None))
            return
        with Live(screen(*_state(models, reports), rows=console.height - FRAME), console=console, screen=True) as shown:
            while True:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(changes.after(changes.number), 5)
                await reports.check()
                shown.update(screen(*_state(models, reports), rows=console.height - FRAME))
                await asyncio.sleep(REFRESH_SECONDS)


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


def screen(
    summaries: list[ModelSummary], firing: list[AlertEvent], monitored: Monitored, now: datetime, rows: int | None
) -> RenderableType:
    """All of it, with at most so many rows of models (None: all)."""
    from rich.console import Group
    from rich.text import Text

    most = len(summaries) if rows is None else max(3, rows - min(len(firing), MOST_ALERTS))
    bad = sum(one.state in ORDER[:3] for one in summaries)
    head = Text(f"driftline  {now.astimezone():%H:%M:%S}  ", style="bold")
    if summaries:
        head.append(f"{bad} of {len(summaries)} model versions need attention" if bad else "no model needs attention")
    else:
        head.append("no model is registered: driftline register --model M --version V --reference FILE")
    parts: list[RenderableType] = [head, Text(_workers(monitored), style="dim"), Text()]
    if summaries:
        parts.append(_table(summaries[:most]))
    if len(summaries) > most:
        parts.append(Text(f"and {len(summaries) - most} more, none of them worse", style="dim"))
    parts += [Text(), Text(f"{len(firing)} firing" if firing else "no alert is firing", style="bold")]
    for alert in firing[:MOST_ALERTS]:
        line = Text(f"{alert.level:<9}", style=STYLES.get(alert.level, ""))
        parts.append(line.append(f"{alert.started_at.astimezone():%Y-%m-%d %H:%M}  {alert.title}", style="default"))
    return Group(*parts)


def _workers(monitored: Monitored) -> str:
    there = [worker for worker in monitored.workers if not worker.silent]
    dead = sum(letters.count for letters in monitored.dead_letters)
    waiting = sum(monitored.lag.values())
    silent = len(monitored.workers) - len(there)
    return (
        f"{len(there)} worker{'' if len(there) == 1 else 's'} at work{f', {silent} silent' if silent else ''}, "
        f"{waiting:,} records waiting, behind by {monitored.behind_seconds:.0f} s, {dead:,} dead letters"
    )


def _table(summaries: list[ModelSummary]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, expand=False)
    for name, where in (
        ("state", "left"), ("model", "left"), ("version", "left"), ("drifted", "left"), ("features", "left"),
        ("metric", "right"), ("reference", "right"), ("estimated", "right"), ("rows", "right"), ("truth", "right"),
        ("last window", "left"),
    ):  # fmt: skip
        table.add_column(name, justify="right" if where == "right" else "left", no_wrap=name != "features")
    for one in summaries:
        table.add_row(
            Text(one.state, style=STYLES.get(one.state, "dim")), Text(one.model), Text(one.model_version), _share(one),
            Text(_drifted(one)), _measured(one), _number(one.baseline), _number(one.estimated),
            "" if one.n is None else f"{one.n:,}", "" if one.coverage is None else f"{one.coverage:.0%}",
            "" if one.window_end is None else f"{one.window_end.astimezone():%Y-%m-%d %H:%M}",
        )  # fmt: skip
    return table


def _share(one: ModelSummary) -> str:
    if one.drift_share is None:
        return ""
    if not one.sufficient:
        return "too few"
    return f"{'█' * round(one.drift_share * BAR):<{BAR}} {one.drift_share:>4.0%}"


def _drifted(one: ModelSummary) -> str:
    more = one.drifted_count - len(one.drifted[:3])
    return ", ".join(one.drifted[:3]) + (f" and {more} more" if more > 0 else "")


def _measured(one: ModelSummary) -> str:
    return "" if one.value is None else f"{one.metric} {one.value:.3f}{' ↓' if one.degraded else ''}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
