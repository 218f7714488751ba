"""`driftline history`: what was trained, deployed, predicted and found, from the history's database."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import closing
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.commands import history_rows as rows
from app.commands.common import (
    AsJson,
    HistoryUrl,
    StateDir,
    Trouble,
    moment_of,
    print_json,
    print_table,
    settings_of,
)
from app.commands.history_export import export

if TYPE_CHECKING:
    from sqlalchemy import Connection


app = typer.Typer(no_args_is_help=True)
app.command()(export)

OnlyModel = Annotated[str | None, typer.Option("--model", help="Only this model.")]
OnlyVersion = Annotated[str | None, typer.Option("--version", help="Only this version of it.")]
Since = Annotated[str | None, typer.Option("--since", help="From this time on, 2026-06-01T12:00:00Z say.")]
Until = Annotated[str | None, typer.Option("--until", help="Before this time.")]
Limit = Annotated[int, typer.Option(min=1, max=1_000_000, help="The newest so many.")]


class Kind(StrEnum):
    """The kinds of check."""

    drift = "drift"
    performance = "performance"


@app.callback()
def group() -> None:
    """What was trained, deployed, predicted and found, as `driftline recorder` has written it.

    \b
    Examples:
      driftline history predictions --model churn --version 3 --limit 10
      driftline history performance
      driftline history drift --model churn --detected
    """


@app.command()
def training(
    model: OnlyModel = None,
    version: OnlyVersion = None,
    since: Since = None,
    until: Until = None,
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

    wanted = _wanted(model, version, since, until, limit)
    found = _asked(state_dir, history_url, lambda connection: queries.training_runs(connection, wanted))
    header = ("finished", "model", "version", "type", "status", "rows", "metrics")
    _print(found, json_, "no trainings", header, rows.training)


@app.command()
def deployments(
    model: OnlyModel = None,
    version: OnlyVersion = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 50,
    json_: AsJson = False,
    state_dir: StateDir = None,
    history_url: HistoryUrl = None,
) -> None:
    """Show which versions went into service, the newest first.

    \b
    Examples:
      driftline history deployments --model churn
    """
    from app.history import queries

    wanted = _wanted(model, version, since, until, limit)
    found = _asked(state_dir, history_url, lambda connection: queries.deployments(connection, wanted))
    _print(found, json_, "no deployments", ("deployed", "model", "version", "by", "type"), rows.deployment)


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
    limit: Limit = 50,
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
    from app.history.wanted import WantedPredictions

    wanted = _wanted(model, version, since, until, limit, WantedPredictions, prediction_id=prediction_id,
                     prediction=label, feedback=feedback, wrong=wrong)  # fmt: skip
    found = _asked(state_dir, history_url, lambda connection: queries.predictions(connection, wanted))
    header = ("time", "model", "version", "id", "prediction", "probability", "truth")
    _print(found, json_, "no predictions", header, rows.prediction)


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

    wanted = _wanted(model, version, since, until, limit)
    found = _asked(state_dir, history_url, lambda connection: queries.performance(connection, wanted))
    header = ("model", "version", "predictions", "with truth", "average", "probability", "error", "wrong", "last")
    _print(found, json_, "no predictions", header, rows.performance)


@app.command()
def drift(
    model: OnlyModel = None,
    version: OnlyVersion = None,
    since: Since = None,
    until: Until = None,
    kind: Annotated[Kind, typer.Option("--kind", help="Checks for drift, or of performance.")] = Kind.drift,
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
    from app.history.wanted import WantedChecks

    wanted = _wanted(model, version, since, until, limit, WantedChecks, kind=kind.value, detected=detected, every=every,
                     report=report and json_)  # fmt: skip
    found = _asked(state_dir, history_url, lambda connection: queries.drift_checks(connection, wanted))
    _print(found, json_, "no checks", ("window's end", "model", "version", "n", "found", "share", "which"), rows.check)


def _wanted(
    model: str | None, version: str | None, since: str | None, until: str | None, limit: int,
    which: Callable[..., Any] | None = None, **more: object,
) -> Any:  # fmt: skip
    from app.history.wanted import Wanted

    try:
        return (which or Wanted)(
            model=model, model_version=version, since=moment_of("--since", since), until=moment_of("--until", until),
            limit=limit, **more,
        )  # fmt: skip
    except ValueError as error:
        raise Trouble(f"{error}") from None


def _asked(state_dir: Path | None, history_url: str | None, ask: Callable[[Connection], list[Any]]) -> list[Any]:
    from app.history_setup import history_of

    settings = settings_of(state_dir=state_dir, history_url=history_url)
    with closing(history_of(settings)) as history, history.reading() as connection:
        return ask(connection)


def _print(
    found: list[Any], as_json: bool, none: str, header: Iterable[str], row: Callable[[Any], tuple[str, ...]]
) -> None:
    if as_json:
        for one in found:
            print_json(one)
    elif found:
        print_table(header, map(row, found))
    else:
        print(none)
