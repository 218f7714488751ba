"""`driftline training-runs` and `driftline deployments`: trainings and deployments made outside Driftline."""

from __future__ import annotations

import asyncio
import math
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from app.commands.audited import AuditedChange, audited
from app.commands.options import (
    AsJson,
    Bootstrap,
    CommandError,
    Model,
    Prefix,
    Version,
    connected,
    metadata_of,
    moment_of,
    print_json,
    settings_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from app.registration.reported import Reported
    from app.settings.settings import Settings

training_runs = typer.Typer(no_args_is_help=True)
deployments = typer.Typer(no_args_is_help=True)

ModelType = Annotated[str, typer.Option("--model-type", help="What kind of model it is.")]
Environment = Annotated[str, typer.Option("--environment", help="Where: production, staging.")]
Detail = Annotated[str, typer.Option("--detail", help="What else there is to say.")]
Metadata = Annotated[list[str] | None, typer.Option("--metadata", help="NAME=VALUE; repeatable.")]
Metrics = Annotated[list[str] | None, typer.Option("--metric", help="NAME=NUMBER, f1_score=0.81 say; repeatable.")]
Parameters = Annotated[list[str] | None, typer.Option("--parameter", help="NAME=VALUE; repeatable.")]


@training_runs.callback()
def _training_runs() -> None:
    """Record trainings that another system has run in the history.

    \b
    Examples:
      driftline training-runs add --model churn --version 4 --retraining --metric accuracy=0.86
    """


@deployments.callback()
def _deployments() -> None:
    """Record deployments that another system has made in the history.

    \b
    Examples:
      driftline deployments add --model churn --version 4 --environment production
    """


@training_runs.command("add")
def add_training_run(
    model: Model,
    version: Version,
    status: Annotated[Literal["completed", "failed"], typer.Option("--status", help="How it ended.")] = "completed",
    retraining: Annotated[bool, typer.Option("--retraining", help="A version was there before.")] = False,
    environment: Environment = "",
    metric: Metrics = None,
    parameter: Parameters = None,
    metadata: Metadata = None,
    run_id: Annotated[str | None, typer.Option("--run-id", help="Its name: added again it is replaced.")] = None,
    started: Annotated[str | None, typer.Option("--started", help="When it began. [default: when it ended]")] = None,
    finished: Annotated[str | None, typer.Option("--finished", help="When it ended. [default: now]")] = None,
    model_type: ModelType = "",
    rows: Annotated[int, typer.Option("--rows", min=0, help="Rows that it was trained on.")] = 0,
    features: Annotated[int, typer.Option("--features", min=0, help="Features of each.")] = 0,
    dataset: Annotated[str, typer.Option("--dataset", help="What the rows are.")] = "",
    sha256: Annotated[str, typer.Option("--sha256", help="Of the model's file.")] = "",
    detail: Detail = "",
    json_: AsJson = False,
    bootstrap_servers: Bootstrap = None,
    prefix: Prefix = None,
) -> None:
    """Add a training run to the history.

    \b
    Examples:
      driftline training-runs add --model churn --version 4 --retraining --metric accuracy=0.86 --metric f1_score=0.81
      driftline training-runs add --model churn --version 4 --status failed --detail "out of memory" --run-id r-17
    """
    from app.registration.reported import TrainingRunRequest, training_run_of

    asked = TrainingRunRequest(
        model=model, model_version=version, run_id=run_id, model_type=model_type, status=status, rows=rows,
        started_at=moment_of("--started", started), finished_at=moment_of("--finished", finished), features=features,
        metrics={name: _number(name, value) for name, value in metadata_of(metric, "--metric").items()},
        parameters=dict(metadata_of(parameter, "--parameter")), dataset=dataset, sha256=sha256, detail=detail,
        is_retraining=retraining, environment=environment, metadata=dict(metadata_of(metadata)),
    )  # fmt: skip
    _add(settings_of(bootstrap_servers=bootstrap_servers, prefix=prefix), partial(training_run_of, asked), json_)


@deployments.command("add")
def add_deployment(
    model: Model,
    version: Version,
    environment: Environment = "",
    status: Annotated[str, typer.Option("--status", help="How it stands: active, rolled back.")] = "active",
    metadata: Metadata = None,
    deployed: Annotated[str | None, typer.Option("--deployed", help="When. [default: now]")] = None,
    model_type: ModelType = "",
    detail: Detail = "",
    json_: AsJson = False,
    bootstrap_servers: Bootstrap = None,
    prefix: Prefix = None,
) -> None:
    """Add a deployment to the history.

    \b
    Examples:
      driftline deployments add --model churn --version 4 --environment production --metadata commit=3f2a9c1
      driftline deployments add --model churn --version 4 --environment production --status "rolled back"
    """
    from app.registration.reported import DeploymentRequest, deployment_of

    asked = DeploymentRequest(
        model=model, model_version=version, deployed_at=moment_of("--deployed", deployed), model_type=model_type,
        detail=detail, environment=environment, status=status, metadata=dict(metadata_of(metadata)),
    )  # fmt: skip
    _add(settings_of(bootstrap_servers=bootstrap_servers, prefix=prefix), partial(deployment_of, asked), json_)


def _number(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise CommandError(f"--metric {name}: {text!r} is no number")
    return value


def _add(settings: Settings, event_at: Callable[[datetime], Reported], as_json: bool) -> None:
    from app.registration.reported import ReportError
    from topics.events import utc_now

    try:
        event = event_at(utc_now())
    except ReportError as error:
        raise CommandError(str(error)) from None
    asyncio.run(_send(connected(settings), event))
    if as_json:
        print_json(event)
        return
    print(f"added {event.model} {event.model_version} ({event.status}); the history has it once it is recorded")


async def _send(settings: Settings, event: Reported) -> None:
    from app.registration.reported import KINDS, detail_of, send_reported

    topic, action = KINDS[type(event)]
    change = AuditedChange(action, f"{event.model}/{event.model_version}", detail_of(event))
    async with audited(settings, change, topics=[topic]) as producer:
        await send_reported(producer, event)
