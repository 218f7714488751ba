"""`driftline report`: one window as an HTML page, to attach to a ticket."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.options import AsJson, Bootstrap, CommandError, Model, Prefix, Version, kafka_settings, print_json

if TYPE_CHECKING:
    from app.read_model.reports_table import ModelReports
    from app.reporting.page import Page
    from app.settings.settings import Settings

WindowEnd = Annotated[str | None, typer.Option("--window", help="End of the window, as 2026-06-01T12:00Z. [newest]")]
Html = Annotated[Path, typer.Option("--html", help="File to write.")]
LISTED = 5


def report(
    model: Model,
    version: Version,
    html: Html,
    window: WindowEnd = None,
    json_: AsJson = False,
    bootstrap_servers: Bootstrap = None,
    prefix: Prefix = None,
) -> None:
    """Write one window as a self-contained HTML page.

    The page has drift with every distribution, performance, and the alerts at that time. It has no scripts and loads
    nothing from other hosts.

    \b
    Examples:
      driftline report --model churn --version 3 --html churn.html
      driftline report --model churn --version 3 --window 2026-06-01T12:00Z --html churn.html
    """
    from app.reporting.page import html_of, verdict_of

    end = None if window is None else _moment(window)
    settings = kafka_settings(bootstrap_servers, prefix)
    page = asyncio.run(_page(settings, model, version, end))
    text = html_of(page)
    try:
        html.write_text(text, "utf-8")
    except OSError as error:
        raise CommandError(f"--html: {html} cannot be written: {error.strerror}") from None
    told = {"file": str(html), "window_end": page.window.window_end, "verdict": verdict_of(page)}
    if json_:
        print_json(told)
    else:
        print(f"{html}: {model} {version}, window until {page.window.window_end:%Y-%m-%d %H:%M:%S} UTC")
        print("\n".join(verdict_of(page)))


async def _page(settings: Settings, model: str, version: str, end: datetime | None) -> Page:
    from app.commands.topic_reader import check_registered, exists
    from app.read_model.changes import Changes
    from app.read_model.reports_table import ReportsTable
    from topics.registry import REPORTS

    if not await exists(settings, REPORTS):
        raise CommandError(f"nothing runs on {settings.bootstrap_servers} yet: start a worker first (driftline up)")
    reports = ReportsTable(settings, Changes())
    await reports.start()
    await reports.stop()
    found = reports.of(model, version)
    if not found.drift and not found.performance:
        await check_registered(settings, model, version)
        raise CommandError(
            f"{model} {version} has no window yet: driftline replay, or send predictions, and come again"
        )
    return _found(found, model, version, end)


def _found(found: ModelReports, model: str, version: str, end: datetime | None) -> Page:
    from app.core.evaluation.accounting import accounting_of
    from app.read_model.timeline import timeline_of
    from app.reporting.page import Page
    from topics.events import AlertEvent

    timeline = timeline_of(found, len(found.drift.last()) or 1)
    wanted = end or max(r.window_end for r in (found.drift.latest, found.performance.latest) if r is not None)
    drift, performance = found.drift.at(wanted), found.performance.at(wanted)
    if drift is None and performance is None:
        ends = sorted(timeline.ends, key=lambda known: abs(known - wanted))[:LISTED]
        near = ", ".join(f"{known:%Y-%m-%dT%H:%M:%SZ}" for known in sorted(ends))
        raise CommandError(
            f"--window: no window of {model} {version} ends then, or it is not kept whole; near it: {near}"
        )
    shares = list(zip(timeline.ends, timeline.drift_share, strict=True))

    def then(alert: AlertEvent) -> bool:
        return alert.started_at <= wanted and (alert.ended_at is None or alert.ended_at >= wanted)

    alerts = sorted(filter(then, found.alerts.values()), key=lambda alert: alert.started_at)
    accounting = () if performance is None else tuple(accounting_of(performance))
    return Page(model, version, drift, performance, shares, alerts, datetime.now(UTC), accounting)


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise CommandError(f"--window: {text!r} is no time; write it as 2026-06-01T12:00Z") from None
    if moment.tzinfo is None:
        raise CommandError(f"--window: {text!r} has no time zone; write it as {text}Z, or with another offset")
    return moment
