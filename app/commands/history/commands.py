"""`driftline history`: what was trained, deployed, predicted, found and told, from the history's database."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from app.commands.history import rows
from app.commands.history.alerts import alerts, deliveries
from app.commands.history.audit import audit
from app.commands.history.export import export
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

app = typer.Typer(no_args_is_help=True)
app.command()(alerts)
app.command()(deliveries)
app.command()(audit)
app.command()(export)


OfStatus = Annotated[str | None, typer.Option("--status", help="Only those of this status.")]
Environment = Annotated[str | None, typer.Option("--environment", help="Only in this environment.")]


class CheckKind(StrEnum):
    """The kinds of check."""

    drift = "drift"
    performance = "performance"


@app.callback()
def group() -> None:
    """What was trained, deployed, predicted, found and told, as `driftline recorder` has written it.

    \b
    Examples:
      driftline history predictions --model churn --version 3 --limit 10
      driftline history performance
      driftline history drift --model churn --detected
      driftline history alerts --model churn --level critical
    """


@app.command()
def training(
    model: OnlyModel = None,
    version: OnlyVersion = None,
    since: Since = None,
    until: Until = None,
    status: OfStatus = None,
    environment: Environment = None,
    retraining: Annotated[
        bool | None, typer.Option("--retraining/--first", help="Of a model that was there before, or not.")
    ] = None,
    limit: Limit = 50,
    json_: AsJson = False,
    state_dir: StateDir = None,
    history_url: HistoryUrl = None,
) -> None:
    """Show how models were trained, the newest first.

    \b
    Examples:
      driftline history training --model churn
      driftline history training --limit 1 --json
    """
    from app.history import queries
    from app.history.wanted import TrainingFilter

    wanted = wanted_of(
        model, version, since, until, limit, TrainingFilter, status=status, environment=environment,
        is_retraining=retraining,
    )  # fmt: skip
    found = asked(state_dir, history_url, lambda connection: queries.training_runs(connection, wanted))
    header = ("finished", "model", "version", "type", "status", "environment", "retraining", "rows", "metrics")
    print_found(found, json_, "no trainings", header, rows.training)


@app.command()
def deployments(
    model: OnlyModel = None,
    version: OnlyVersion = None,
    since: Since = None,
    until: Until = None,
    status: OfStatus = None,
    environment: Environment = None,
    limit: Limit = 50,
    json_: AsJson = False,
    state_dir: StateDir = None,
    history_url: HistoryUrl = None,
) -> None:
    """Show which versions went into service, the newest first.

    \b
    Examples:
      driftline history deployments --model churn
      driftline history deployments --environment production --status active
    """
    from app.history import queries
    from app.history.wanted import DeploymentsFilter

    wanted = wanted_of(
        model, version, since, until, limit, DeploymentsFilter, status=status, environment=environment
    )  # fmt: skip
    found = asked(state_dir, history_url, lambda connection: queries.deployments(connection, wanted))
    header = ("deployed", "model", "version", "by", "type", "environment", "status")
    print_found(found, json_, "no deployments", header, rows.deployment)


@app.command()
def predictions(
    model: OnlyModel = None,
    version: OnlyVersion = None,
    since: Since = None,
    until: Until = None,
    prediction_id: Annotated[str | None, typer.Option("--id", help="Only this one.")] = None,
    label: Annotated[str | None, typer.Option("--prediction", help="Only those of this label.")] = None,
    feedback: Annotated[bool | None, typer.Option("--feedback/--no-feedback", help="With truth, or without.")] = None,
    wrong: Annotated[bool | None, typer.Option("--wrong/--right", help="Whose label is not the truth, or is.")] = None,
    limit: Limit = 100,
    json_: AsJson = False,
    state_dir: StateDir = None,
    history_url: HistoryUrl = None,
) -> None:
    """Show predictions with their truth, the newest first.

    \b
    Examples:
      driftline history predictions --model churn --version 3 --wrong --limit 20
      driftline history predictions --id order-1 --json
    """
    from app.history import queries
    from app.history.wanted import PredictionsFilter

    wanted = wanted_of(model, version, since, until, limit, PredictionsFilter, prediction_id=prediction_id,
                       prediction=label, feedback=feedback, wrong=wrong)  # fmt: skip
    found = asked(state_dir, history_url, lambda connection: queries.predictions(connection, wanted))
    header = ("time", "model", "version", "id", "prediction", "probability", "truth")
    print_found(found, json_, "no predictions", header, rows.prediction)


@app.command()
def performance(
    model: OnlyModel = None,
    version: OnlyVersion = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 50,
    json_: AsJson = False,
    state_dir: StateDir = None,
    history_url: HistoryUrl = None,
) -> None:
    """Show what the predictions of each model version came to.

    Average error: the absolute difference of numbers; of labels, the share that was wrong.

    \b
    Examples:
      driftline history performance
      driftline history performance --model churn --since 2026-06-01T00:00:00Z
    """
    from app.history import queries

    wanted = wanted_of(model, version, since, until, limit)
    found = asked(state_dir, history_url, lambda connection: queries.performance(connection, wanted))
    header = ("model", "version", "predictions", "with truth", "average", "probability", "error", "wrong", "last")
    print_found(found, json_, "no predictions", header, rows.performance)


@app.command()
def drift(
    model: OnlyModel = None,
    version: OnlyVersion = None,
    since: Since = None,
    until: Until = None,
    kind: Annotated[CheckKind, typer.Option("--kind", help="Checks for drift, or of performance.")] = CheckKind.drift,
    detected: Annotated[bool | None, typer.Option("--detected/--not-detected", help="That found something.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every revision, not only each window's newest.")] = False,
    report: Annotated[bool, typer.Option("--report", help="With --json: the whole report too.")] = False,
    limit: Limit = 50,
    json_: AsJson = False,
    state_dir: StateDir = None,
    history_url: HistoryUrl = None,
) -> None:
    """Show how windows were judged, the newest first.

    \b
    Examples:
      driftline history drift --model churn --detected
      driftline history drift --kind performance --limit 10 --json
    """
    from app.history import queries
    from app.history.wanted import ChecksFilter

    wanted = wanted_of(model, version, since, until, limit, ChecksFilter, kind=kind.value, detected=detected,
                       every=every, report=report and json_)  # fmt: skip
    found = asked(state_dir, history_url, lambda connection: queries.drift_checks(connection, wanted))
    print_found(
        found, json_, "no checks", ("window's end", "model", "version", "n", "found", "share", "which"), rows.check
    )
