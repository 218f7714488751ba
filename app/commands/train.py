"""`driftline train`: train a model on a table, ready to be served and monitored."""

from __future__ import annotations

import asyncio
import shlex
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.options import AsJson, Bootstrap, CommandError, Prefix, existing, print_json, print_table, settings_of

if TYPE_CHECKING:
    from app.settings.settings import Settings
    from app.training import TrainedModel
    from topics.events import TrainingRunEvent


class PipelineKind(StrEnum):
    """Kinds of pipeline."""

    trees = "trees"
    linear = "linear"


class Learns(StrEnum):
    """Tasks of a model."""

    binary = "binary"
    multiclass = "multiclass"
    regression = "regression"


Data = Annotated[Path, typer.Option(help="CSV, Parquet or JSONL: a row for each case, with what came of it.")]
Target = Annotated[str, typer.Option(help="The column to be predicted.")]
Output = Annotated[Path, typer.Option(help="Folder for the model and all that goes with it.")]
Named = Annotated[str | None, typer.Option("--model", help="The model's name. [default: the folder's]")]
VersionOf = Annotated[str | None, typer.Option("--version", help="The model's version. [default: the time]")]
Task = Annotated[Learns | None, typer.Option("--task", help="What kind of prediction. [default: by the target]")]
Ignore = Annotated[list[str] | None, typer.Option("--ignore", help="A column that is no feature; repeatable.")]
Categorical = Annotated[
    list[str] | None, typer.Option("--categorical", help="A column of numbers that are codes; repeatable.")
]
Positive = Annotated[
    str | None, typer.Option("--positive-label", help="The class that the probability is of. [default: the last]")
]
Labels = Annotated[list[str] | None, typer.Option("--label", help="A class's name for people, 1=Churn; repeatable.")]
Estimator = Annotated[PipelineKind, typer.Option("--estimator", help="Gradient-boosted trees, or a linear model.")]
Redact = Annotated[
    list[str] | None,
    typer.Option("--redact", help="A column whose values are stored nowhere, and dropped before Kafka; repeatable."),
]
Hash = Annotated[
    list[str] | None,
    typer.Option("--hash", help="A column whose values are hashed before Kafka, and in no metadata; repeatable."),
]
Holdout = Annotated[float, typer.Option("--holdout", help="Share of the rows that the model is judged on.")]
Seed = Annotated[int, typer.Option("--seed", help="Of the random parting of the rows.")]
NoPublish = Annotated[bool, typer.Option("--no-publish", help="Publish nothing about this run to Kafka.")]


def train(
    data: Data,
    target: Target,
    output: Output,
    model: Named = None,
    version: VersionOf = None,
    task: Task = None,
    ignore: Ignore = None,
    categorical: Categorical = None,
    positive_label: Positive = None,
    label: Labels = None,
    estimator: Estimator = PipelineKind.trees,
    holdout: Holdout = 0.25,
    seed: Seed = 0,
    redact: Redact = None,
    hash_: Hash = None,
    no_publish: NoPublish = False,
    json_: AsJson = False,
    bootstrap_servers: Bootstrap = None,
    prefix: Prefix = None,
) -> None:
    """Train a plain scikit-learn model on a table, and print the next commands.

    A quarter of the rows is held out. The metrics are computed on these rows, which the model has not seen, and the
    same rows are its reference for monitoring. The folder then has the model, its metadata, `reference.parquet` and
    `monitoring.json`. The run is recorded in Kafka where one runs.

    The command warns of columns that reveal the target, that number the rows or are certain to drift, and of baselines
    that cannot fall. Warnings are in the metadata, too; they do not stop the training.

    \b
    Examples:
      driftline train --data customers.csv --target churned --output models/churn
      driftline train --data customers.csv --target churned --output models/churn --label 1=Churn --label 0=Stays
      driftline train --data houses.parquet --target price --output models/price --ignore id --estimator linear
    """
    from app.core.reference.names import wrong_name
    from app.settings.extras import needing
    from app.tables import read_table

    with needing("models", "driftline train"):
        from app.training import TrainingError, TrainingPlan, run_of, write
        from app.training import train as fit
        from app.training.examples import why_left_out
        from app.training.folder import MONITORING, hidden_as_before
        from app.training.record import failed_run

    settings = settings_of(bootstrap_servers=bootstrap_servers, prefix=prefix)
    begun = datetime.now(UTC)
    name, number = model or output.resolve().name, version or f"{begun:%Y%m%d-%H%M%S}"
    for flag, named in (("--model", name), ("--version", number)):
        if wrong := wrong_name(named):
            raise CommandError(f"{flag}: {wrong}")
    frame = read_table(existing(data))
    plan = TrainingPlan(
        target=target, task=None if task is None else task.value, ignore=tuple(ignore or ()),
        categorical=tuple(categorical or ()), positive_label=positive_label, labels=_labels(label or []),
        estimator=estimator.value, holdout=holdout, seed=seed, redact=tuple(redact or ()),
        hashed=tuple(hash_ or ()),
    )  # fmt: skip
    try:
        trained = fit(frame, plan, _tell)
    except TrainingError as error:
        if not no_publish:
            run = failed_run(plan, name, number, str(data), len(frame), str(error), begun, datetime.now(UTC))
            _published(settings, run)
        raise
    given = {*plan.redact, *plan.hashed}
    trained = hidden_as_before(output, trained)
    for name in (*trained.plan.redact, *trained.plan.hashed):
        if name not in given:
            _tell(f"{name}: hidden as before, by {output / MONITORING}")
    sha256 = write(output, trained, name, number)
    run = run_of(trained, name, number, str(data), sha256)
    published = not no_publish and _published(settings, run)
    for warning in trained.warnings:
        _tell(f"warning: {warning}")
    if left_out := why_left_out(trained):
        _tell(left_out)
    if json_:
        told = [asdict(one) for one in trained.warnings]
        print_json({"output": str(output), "published": published, "run": run, "warnings": told})
    else:
        _show(trained, run, output)


def _labels(given: list[str]) -> dict[str, str]:
    parts = [text.partition("=") for text in given]
    for label, _, name in parts:
        if not label or not name:
            raise CommandError(f"--label: write it as CLASS=NAME (1=Churn), not {label!r}")
    return {label: name for label, _, name in parts}


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _published(settings: Settings, run: TrainingRunEvent) -> bool:
    """Return whether Kafka has the record of the run; print the reason where it has not."""
    from app.kafka.errors import BrokerError, TopicError
    from app.local.find_kafka import running_kafka
    from app.training import publish

    try:
        servers = running_kafka(settings)
        if servers is None:
            _tell("the run is not recorded in Kafka: none is named and none runs (--no-publish says that it is meant)")
            return False
        asyncio.run(publish(settings.model_copy(update={"bootstrap_servers": servers}), run))
    except (BrokerError, TopicError) as error:
        _tell(f"the run is not recorded in Kafka: {error}")
        return False
    return True


def _show(trained: TrainedModel, run: TrainingRunEvent, output: Path) -> None:
    from app.training import MONITORING, REFERENCE

    print(
        f"{run.model} {run.model_version}: {run.model_type}, {trained.task}, {len(trained.reference):,} rows held out"
    )
    print_table(("held out", ""), [(name, f"{value:.4f}") for name, value in trained.metrics.items()])
    named = f"--model {shlex.quote(run.model)} --version {shlex.quote(run.model_version)}"
    reference, watched = (shlex.quote(str(output / name)) for name in (REFERENCE, MONITORING))
    print("\nnext:")
    print(f"  driftline register {named} --reference {reference} --config {watched}")
    print(f"  driftline api --model-path {shlex.quote(str(output))}")
