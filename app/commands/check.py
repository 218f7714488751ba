"""`driftline check`: the stream's decision on two files."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.common import (
    TROUBLE,
    AsJson,
    Bootstrap,
    ConfigFile,
    DecimalMark,
    Encoding,
    Prefix,
    Separator,
    Trouble,
    existing,
    file_options,
    print_json,
    print_table,
    settings_of,
)

if TYPE_CHECKING:
    from app.checking import Check
    from app.core.findings import DriftDecision, FeatureDrift, PerformanceDecision
    from app.offline import Decision
    from app.runtime.settings import Settings
    from topics.events import RetrainingEvent

Reference = Annotated[Path, typer.Option(help="CSV, Parquet or JSONL of rows from when the model was good.")]
Current = Annotated[Path, typer.Option(help="The same of the rows to judge, taken as one window.")]
Output = Annotated[Path | None, typer.Option(help="Folder for the whole finding: artifacts/drift/drift_<time>.json.")]
Metadata = Annotated[Path | None, typer.Option(help="feature_metadata.json: only its features are judged.")]
Model = Annotated[str | None, typer.Option("--model", help="The model: a finding asks in Kafka for its retraining.")]
Version = Annotated[str | None, typer.Option("--version", help="Its version.")]

DRIFT = 1
"""Exit status where something has drifted."""


def check(
    reference: Reference,
    current: Current,
    config: ConfigFile = None,
    metadata: Metadata = None,
    output: Output = None,
    model: Model = None,
    version: Version = None,
    encoding: Encoding = None,
    separator: Separator = None,
    decimal: DecimalMark = None,
    json_: AsJson = False,
    bootstrap_servers: Bootstrap = None,
    prefix: Prefix = None,
) -> None:
    """Judge one table against another; Kafka is not needed.

    The decision is that of the stream, with all of the table as one window. Exit status: 0 no drift, 1 drift
    (of data or predictions, or degraded performance), 2 no decision (a file is missing, rows are too few, a feature
    has no value) or trouble.
    With --model and --version a finding is a signal to retrain, too.

    \b
    Examples:
      driftline check --reference validation.parquet --current june.parquet
      driftline check --reference validation.csv --current june.csv --config monitoring.json --json
      driftline check --reference models/churn/reference.parquet --current june.csv --model churn --version 3
    """
    from app.checking import check_files, write_check
    from app.registration import kinds_of_metadata, read_metadata, read_monitoring

    if (model is None) != (version is None):
        raise Trouble("--model and --version: give both, or neither")
    settings = settings_of(bootstrap_servers=bootstrap_servers, prefix=prefix)
    file = read_monitoring(None if config is None else existing(config))
    kinds = None if metadata is None else kinds_of_metadata(read_metadata(existing(metadata)))
    options = file_options(encoding, separator, decimal)
    found = check_files(reference, current, file, kinds=kinds, options=options, now=datetime.now(UTC))
    for note in found.notes:
        _warn(note)
    for warning in found.warnings:
        _warn(f"warning: {warning}")
    if output is not None:
        _warn(f"written to {write_check(found, output)}")
    if json_:
        print_json(found.told())
    else:
        if found.decision is not None:
            _print(found.decision)
        if found.verdict == "no decision":
            print("no decision")
    if found.verdict == "drift" and model is not None and version is not None:
        _ask(settings, _signal(found, model, version))
    raise typer.Exit({"drift": DRIFT, "no drift": 0, "no decision": TROUBLE}[found.verdict])


def _warn(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _signal(found: Check, model: str, version: str) -> RetrainingEvent:
    from app.retraining import of_check

    assert found.decision is not None
    drift, performance = found.decision.drift, found.decision.performance
    if performance is not None and performance.degraded:
        metrics = ", ".join(performance.degraded_metrics)
        evidence: dict[str, object] = {"degraded_metrics": performance.degraded_metrics}
        return of_check(
            model, version, "performance", f"worse than its baseline: {metrics}", evidence, found.checked_at
        )
    evidence = {"drifted_features": drift.drifted_features, "drift_share": drift.drift_share}
    what = f"drift of {', '.join(drift.drifted_features)}" if drift.drifted_features else "its predictions have drifted"
    return of_check(model, version, "drift", f"{what} in {found.current}", evidence, found.checked_at)


def _ask(settings: Settings, signal: RetrainingEvent) -> None:
    """Send the signal; where Kafka does not take it, say so: the finding stands."""
    from app.runtime.broker import running_kafka
    from app.runtime.errors import BrokerError, TopicError

    try:
        servers = running_kafka(settings)
        if servers is None:
            raise BrokerError("none is named and none runs")
        sent = asyncio.run(_published(settings.model_copy(update={"bootstrap_servers": servers}), signal))
    except (BrokerError, TopicError) as error:
        _warn(f"no signal to retrain was sent, Kafka: {error}")
        return
    seconds = f"{settings.retraining_debounce_seconds:g} s"
    _warn("a signal to retrain was sent" if sent else f"no signal to retrain was sent: the last is not {seconds} old")


async def _published(settings: Settings, signal: RetrainingEvent) -> bool:
    from app.retraining import SignalsView, publish
    from app.runtime.producer import Producer
    from app.runtime.topic_admin import ensure_topics
    from topics.registry import RETRAINING

    async with Producer(settings) as producer:
        await ensure_topics(settings, [RETRAINING])
        async with SignalsView(settings) as signals:
            return await publish(producer, signals, signal, settings.retraining_debounce_seconds)


def _print(decision: Decision) -> None:
    drift = decision.drift
    shown = [column for column in (drift.prediction, drift.probability) if column is not None]
    print_table(
        ("column", "test", "statistic", "threshold", "p-value", "drifted", "reference", "current"),
        map(_row, [*sorted(drift.features, key=_strength, reverse=True), *shown]),
    )
    print()
    for line in (*_drift_lines(drift), *_performance_lines(decision.performance)):
        print(line)


def _row(column: FeatureDrift) -> tuple[str, ...]:
    return (
        column.name, column.test, _number(column.statistic), f"{column.threshold:g}",
        "" if column.p_value is None else f"{column.p_value:.2g}",
        "DRIFTED" if column.drifted else "", column.reference, column.current,
    )  # fmt: skip


def _strength(column: FeatureDrift) -> tuple[bool, float]:
    return column.drifted, column.statistic or 0.0


def _drift_lines(drift: DriftDecision) -> Iterator[str]:
    names = f": {', '.join(drift.drifted_features)}" if drift.drifted_features else ""
    share = f"{len(drift.drifted_features)} of {len(drift.features)} features ({drift.drift_share:.0%}){names}"
    if not drift.sufficient:
        yield f"data and predictions: {drift.n:,} rows are too few to judge"
        return
    word = "drifted" if drift.drift_detected else "not drifted"
    yield f"data: {word}; {share}; drift is from {drift.drift_threshold:.0%} on"
    if drift.prediction is not None and drift.prediction.n:
        yield f"predictions: {'drifted' if drift.prediction_drift else 'not drifted'}"
    else:
        yield "predictions: none in the table"


def _performance_lines(performance: PerformanceDecision | None) -> Iterator[str]:
    if performance is None:
        yield "performance: no truth in the table"
        return
    verdict = f"degraded: {', '.join(performance.degraded_metrics)}" if performance.degraded else "not degraded"
    if not performance.sufficient:
        verdict = "too few to judge"
    yield f"performance: {verdict} ({performance.feedback:,} rows with truth)"
    for metric in performance.metrics:
        yield f"  {metric.name} {_number(metric.value)} (baseline {_number(metric.baseline)})"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
