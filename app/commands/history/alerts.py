"""`driftline history alerts` and `deliveries`: which alerts there were, and who was told."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from app.commands.history import rows
from app.commands.history.options import (
    Limit,
    OnlyModel,
    OnlyVersion,
    Since,
    Until,
    asked,
    print_found,
    wanted_of,
)
from app.commands.options import AsJson, HistoryUrl, StateDir


class Status(StrEnum):
    """What an alert does."""

    firing = "firing"
    resolved = "resolved"


class OfLevel(StrEnum):
    """How bad it is."""

    info = "info"
    warning = "warning"
    error = "error"
    critical = "critical"


class DeliveryOutcome(StrEnum):
    """What came of telling."""

    delivered = "delivered"
    failed = "failed"


def alerts(
    model: OnlyModel = None,
    version: OnlyVersion = None,
    since: Since = None,
    until: Until = None,
    alert_id: Annotated[str | None, typer.Option("--id", help="Only this transition.")] = None,
    status: Annotated[Status | None, typer.Option(help="That fire, or are resolved.")] = None,
    level: Annotated[OfLevel | None, typer.Option(help="Only those of this level.")] = None,
    rule: Annotated[str | None, typer.Option(help="Only those of this rule, data_drift say.")] = None,
    limit: Limit = 50,
    json_: AsJson = False,
    state_dir: StateDir = None,
    history_url: HistoryUrl = None,
) -> None:
    """Show when alerts fired and were resolved, the newest first.

    With --json: their labels and evidence too. What fires now, `driftline alerts list` says.

    \b
    Examples:
      driftline history alerts --model churn --since 2026-06-01T00:00:00Z
      driftline history alerts --status firing --level critical --json
    """
    from app.history import queries
    from app.history.wanted import AlertsFilter

    wanted = wanted_of(model, version, since, until, limit, AlertsFilter, alert_id=alert_id,
                       status=status and status.value, level=level and level.value, rule=rule)  # fmt: skip
    found = asked(state_dir, history_url, lambda connection: queries.alerts(connection, wanted))
    print_found(found, json_, "no alerts", ("time", "status", "level", "rule", "alert", "id"), rows.alert)


def deliveries(
    model: OnlyModel = None,
    version: OnlyVersion = None,
    since: Since = None,
    until: Until = None,
    alert_id: Annotated[str | None, typer.Option("--alert", help="Only of this transition, by its id.")] = None,
    channel: Annotated[str | None, typer.Option(help="Only through this channel.")] = None,
    outcome: Annotated[DeliveryOutcome | None, typer.Option(help="Told, or given up.")] = None,
    limit: Limit = 50,
    json_: AsJson = False,
    state_dir: StateDir = None,
    history_url: HistoryUrl = None,
) -> None:
    """Show which alerts were told through which channel, or given up, the newest first.

    \b
    Examples:
      driftline history deliveries --model churn --channel slack
      driftline history deliveries --outcome failed --json
    """
    from app.history import queries
    from app.history.wanted import DeliveriesFilter

    wanted = wanted_of(model, version, since, until, limit, DeliveriesFilter, alert_id=alert_id, channel=channel,
                       outcome=outcome and outcome.value)  # fmt: skip
    found = asked(state_dir, history_url, lambda connection: queries.deliveries(connection, wanted))
    header = ("time", "channel", "outcome", "attempts", "alert", "why", "detail")
    print_found(found, json_, "no deliveries", header, rows.delivery)
