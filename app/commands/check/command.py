"""`driftline check`: the decision of the stream for two files."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.options import (
    AsJson,
    Bootstrap,
    CommandError,
    ConfigFile,
    DecimalMark,
    Encoding,
    Prefix,
    Separator,
    existing,
    file_options,
    print_json,
    print_table,
    settings_of,
)

if TYPE_CHECKING:
    from app.offline.check import Check
    from app.offline.decision import Decision
    from app.settings.settings import Settings
    from topics.events import RetrainingEvent

Reference = Annotated[
    Path | None,
    typer.Option(help="CSV, Parquet or JSONL of rows from when the model was good. [default: as --config says]"),
]
Current = Annotated[
    Path | None,
    typer.Option(help="The same of the rows to judge, taken as one window. [default: as --config says]"),
]
Output = Annotated[Path | None, typer.Option(help="Folder for the whole finding: artifacts/drift/drift_<time>.json.")]
Html = Annotated[Path | None, typer.Option("--html", help="File for the whole finding, as a page.")]
Metadata = Annotated[Path | None, typer.Option(help="feature_metadata.json: only its features are judged.")]
Model = Annotated[
    str | None, typer.Option("--model", help="The model: a finding requests its retraining through Kafka.")
]
Version = Annotated[str | None, typer.Option("--version", help="Its version.")]


def check(
    reference: Reference = None,
    current: Current = None,
    config: ConfigFile = None,
    metadata: Metadata = None,
    output: Output = None,
    html: Html = None,
    model: Model = None,
    version: Version = None,
    encoding: Encoding = None,
    separator: Separator = None,
    decimal: DecimalMark = None,
    json_: AsJson = False,
    bootstrap_servers: Bootstrap = None,
    prefix: Prefix = None,
) -> None:
    """Compare one table with another. Kafka is not needed.

    The decision is the stream's, with the whole current table as one window. Exit status: 0 no finding; 1 an enabled
    rule would fire (drift, a critical feature, degraded performance, bad data); 2 no decision (a file is missing, rows
    are too few, a feature has no value, most of the input could not be judged) or an error.
    Without --reference or --current, the file is reference_data_path or current_data_path of --config.
    With --model and --version, a finding of drift or performance also sends a signal to retrain.

    \b
    Examples:
      driftline check --reference validation.parquet --current june.parquet
      driftline check --reference validation.csv --current june.csv --config monitoring.json --json
      driftline check --config setup.json --html june.html
      driftline check --reference models/churn/reference.parquet --current june.csv --model churn --version 3
    """
    from app.offline.check import check_files, write_check
    from app.registration.setup import kinds_of_metadata, read_metadata, read_monitoring

    if (model is None) != (version is None):
        raise CommandError("--model and --version: give both, or neither")
    settings = settings_of(bootstrap_servers=bootstrap_servers, prefix=prefix)
    file = read_monitoring(None if config is None else existing(config))
    kinds = None if metadata is None else kinds_of_metadata(read_metadata(existing(metadata)))
    options = file_options(encoding, separator, decimal)
    one = _path("--reference", reference, file.reference, "reference_data_path")
    other = _path("--current", current, file.current, "current_data_path")
    found = check_files(one, other, file, kinds=kinds, options=options, now=datetime.now(UTC))
    for note in found.notes:
        _warn(note)
    for warning in found.warnings:
        _warn(f"warning: {warning}")
    if output is not None:
        _warn(f"written to {write_check(found, output)}")
    if html is not None:
        _write_page(found, html)
    if json_:
        print_json(found.told())
    else:
        if found.decision is not None:
            _print(found, found.decision)
        if found.verdict == "no decision":
            print("no decision")
    if model is not None and version is not None and (signal := _signal(found, model, version)) is not None:
        _ask(settings, signal)
    raise typer.Exit(found.exit_status)


def _write_page(found: Check, html: Path) -> None:
    from app.offline.result import CheckedTables

    if found.decision is None:
        _warn(f"{html} is not written: nothing was decided")
        return
    try:
        _warn(f"written to {CheckedTables(found).report(html)}")
    except OSError as error:
        raise CommandError(f"--html: {html} cannot be written: {error.strerror}") from None


def _path(flag: str, given: Path | None, named: str | None, key: str) -> Path:
    """Return the file that is given, or the file that the configuration names.

    Raises CommandError where neither is set.
    """
    path = given or (named and Path(named))
    if not path:
        raise CommandError(f"{flag}: give the file, or name it as data_drift_monitoring.{key} in --config")
    return path


def _warn(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _signal(found: Check, model: str, version: str) -> RetrainingEvent | None:
    """Return the signal to retrain, or None where no finding would cause a signal in the stream."""
    from app.retraining import REASONS, of_check

    reasons = {REASONS[finding.rule] for finding in found.fires if finding.rule in REASONS}
    if not reasons or found.decision is None:
        return None
    drift, performance = found.decision.drift, found.decision.performance
    if "performance" in reasons and performance is not None:
        metrics = ", ".join(performance.degraded_metrics)
        evidence: dict[str, object] = {"degraded_metrics": performance.degraded_metrics}
        return of_check(
            model, version, "performance", f"worse than its baseline: {metrics}", evidence, found.checked_at
        )
    evidence = {"drifted_features": drift.drifted_features, "drift_share": drift.drift_share}
    what = f"drift of {', '.join(drift.drifted_features)}" if drift.drifted_features else "its predictions have drifted"
    return of_check(model, version, "drift", f"{what} in {found.current}", evidence, found.checked_at)


def _ask(settings: Settings, signal: RetrainingEvent) -> None:
    """Send the signal to retrain. Where Kafka does not accept the signal, print a warning; the finding is unchanged."""
    from app.kafka.errors import BrokerError, TopicError
    from app.local.find_kafka import running_kafka

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
    from app.kafka.producer import Producer
    from app.kafka.topics import ensure_topics
    from app.retraining import SignalsTable, publish
    from topics.registry import RETRAINING

    async with Producer(settings) as producer:
        await ensure_topics(settings, [RETRAINING])
        async with SignalsTable(settings) as signals:
            return await publish(producer, signals, signal, settings.retraining_debounce_seconds)


def _print(found: Check, decision: Decision) -> None:
    from app.commands.check.text import HEADER, lines_of, rows_of

    print_table(HEADER, rows_of(decision.drift))
    print()
    for line in lines_of(found, decision):
        print(line)
