"""`driftline check`: the stream's decision on two files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.common import AsJson, ConfigFile, existing, print_json, print_table

if TYPE_CHECKING:
    from app.core.findings import DriftDecision, FeatureDrift, PerformanceDecision
    from app.offline import Decision

Reference = Annotated[Path, typer.Option(help="CSV, Parquet or JSONL of rows from when the model was good.")]
Current = Annotated[Path, typer.Option(help="The same of the rows to judge, taken as one window.")]
Output = Annotated[Path | None, typer.Option(help="Folder for the whole finding, as decision.json.")]

DRIFT = 1
"""Exit status where something has drifted."""


def check(
    reference: Reference, current: Current, config: ConfigFile = None, output: Output = None, json_: AsJson = False
) -> None:
    """Judge one table against another, without Kafka.

    The decision is that of the stream, with all of the table as one window. Exit status: 0 no drift, 1 drift
    (of data or predictions, or degraded performance), 2 trouble.

    \b
    Examples:
      driftline check --reference validation.parquet --current june.parquet
      driftline check --reference validation.csv --current june.csv --config monitoring.json --json
    """
    from app.offline import decide
    from app.registration import read_monitoring, read_table

    file = read_monitoring(None if config is None else existing(config))
    decision = decide(read_table(existing(reference)), read_table(existing(current)), file)
    if output is not None:
        _write(decision, output)
    if json_:
        print_json(_finding(decision))
    else:
        _print(decision)
    raise typer.Exit(DRIFT if decision.drifted else 0)


def _finding(decision: Decision) -> dict[str, object]:
    return {"drifted": decision.drifted, "drift": decision.drift, "performance": decision.performance}


def _write(decision: Decision, folder: Path) -> None:
    import msgspec

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "decision.json").write_bytes(msgspec.json.format(msgspec.json.encode(_finding(decision)), indent=2))


def _print(decision: Decision) -> None:
    drift = decision.drift
    if not drift.sufficient:
        print(f"insufficient: {drift.n:,} rows are too few to judge (drift.min_samples)")
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
    word = "drifted" if drift.drift_detected else "not drifted"
    yield f"data: {word}; {share}; drift is from {drift.drift_threshold:.0%} on"
    yield f"predictions: {'drifted' if drift.prediction_drift else 'not drifted'}"


def _performance_lines(performance: PerformanceDecision | None) -> Iterator[str]:
    if performance is None:
        yield "performance: no truth in the table"
        return
    verdict = f"degraded: {', '.join(performance.degraded_metrics)}" if performance.degraded else "not degraded"
    yield f"performance: {verdict} ({performance.feedback:,} rows with truth)"
    for metric in performance.metrics:
        yield f"  {metric.name} {_number(metric.value)} (baseline {_number(metric.baseline)})"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
