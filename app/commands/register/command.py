"""`driftline register`: register a model version with its reference and its monitoring configuration."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from app.commands.options import (
    AsJson,
    Bootstrap,
    CommandError,
    ConfigFile,
    DecimalMark,
    Encoding,
    Model,
    Prefix,
    Separator,
    Version,
    actor,
    existing,
    file_options,
    kafka_settings,
    print_json,
    print_table,
)

Reference = Annotated[
    Path | None,
    typer.Option(help="CSV, Parquet or JSONL of rows from when the model was good. [default: as --config says]"),
]
Baseline = Annotated[Path | None, typer.Option(help="JSON of metrics that replace those found in the reference.")]


def register(
    model: Model,
    version: Version,
    reference: Reference = None,
    config: ConfigFile = None,
    baseline: Baseline = None,
    encoding: Encoding = None,
    separator: Separator = None,
    decimal: DecimalMark = None,
    json_: AsJson = False,
    bootstrap_servers: Bootstrap = None,
    prefix: Prefix = None,
) -> None:
    """Register a model version: its reference and its rules.

    Publishes the profile of the reference rows. Registering a version again replaces its registration. --config takes
    monitoring.json, or the output of `driftline config show`.

    \b
    Examples:
      driftline register --model churn --version 3 --reference validation.parquet
      driftline register --model churn --version 3 --reference validation.csv --config monitoring.json
    """
    from app.commands.register.plan import newest_reports, print_detectable, print_plan, rate_of_model
    from app.core.evaluation.degradation import without_baseline
    from app.registration.judgeable import detectable_of
    from app.registration.planning import plan_for
    from app.registration.publish import read_baseline
    from app.registration.publish import register as publish
    from app.registration.setup import read_monitoring
    from app.tables import read_table
    from app.tables.files import form_words

    settings = kafka_settings(bootstrap_servers, prefix)
    file = read_monitoring(None if config is None else existing(config))
    metrics = file.baseline if baseline is None else read_baseline(existing(baseline))
    path = reference or (file.reference and Path(file.reference))
    if not path:
        raise CommandError(
            "--reference: give the file, or name it as data_drift_monitoring.reference_data_path in --config"
        )
    options = file_options(encoding, separator, decimal)
    frame = read_table(existing(path), options)
    found = asyncio.run(publish(settings, model, version, frame, file, metrics, actor()))
    profile, decisions = found.profile, found.roles.decisions
    reports = newest_reports(settings, profile)
    rate = rate_of_model(profile, reports)
    plan = None if rate is None else plan_for(profile, rate.per_second, file.monitoring)
    for note in (form_words(path, options), *found.notes):
        if note:
            print(note, file=sys.stderr)
    if json_:
        print_json({
            "model": model, "model_version": version, "profile_id": profile.profile_id, "task": profile.task,
            "n": profile.n, "labels": profile.labels, "baseline": profile.baseline,
            "features": {column.name: column.kind for column in profile.features},
            "decided": {name: decision.reason for name, decision in decisions.items()},
            "invalid": {column.name: column.invalid for column in profile.features if column.invalid},
            "left_out": found.roles.left_out, "notes": found.notes,
            "not_judged": without_baseline(profile, file.monitoring.performance), "usual": profile.usual,
            "detectable": detectable_of(profile, file.monitoring), "plan": plan,
        })  # fmt: skip
        return
    print(f"registered {model} version {version}: {profile.task}, {profile.n:,} rows, profile {profile.profile_id}")
    print_table(
        ("feature", "kind", "values", "missing", "invalid", "because"),
        [
            (
                c.name,
                c.kind,
                f"{len(c.values or c.categories):,}",
                f"{c.missing:,}",
                f"{c.invalid:,}",
                decisions[c.name].reason,
            )
            for c in profile.features
        ],
    )
    for name, value in profile.baseline.items():
        print(f"baseline {name} {value:.4f}")
    for name, reason in without_baseline(profile, file.monitoring.performance).items():
        print(f"not judged: {name}: {reason}")
    print_detectable(profile, file.monitoring, reports)
    print_plan(plan, rate, file.monitoring, () if profile.usual is None else ("truth",))
