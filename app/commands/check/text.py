"""Output of `driftline check`: a table of columns, the decision in a few lines, and the findings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from app.core.evaluation.accounting import accounting_of

if TYPE_CHECKING:
    from app.core.evaluation.results import DriftDecision, PerformanceDecision
    from app.offline.check import Check
    from app.offline.decision import Decision
    from topics.results import FeatureDrift, MetricChange

HEADER = ("column", "test", "statistic", "threshold", "p-value", "drifted", "reference", "current", "rows beside")


def rows_of(drift: DriftDecision) -> Iterator[tuple[str, ...]]:
    """Yield a row for each feature, drifted and most different features first; then prediction and probability."""
    shown = [column for column in (drift.prediction, drift.probability) if column is not None]
    for column in [*sorted(drift.features, key=_strength, reverse=True), *shown]:
        yield (
            column.name, column.test, _number(column.statistic), f"{column.threshold:g}",
            "" if column.p_value is None else f"{column.p_value:.2g}",
            "DRIFTED" if column.drifted else "", column.reference, column.current, beside_of(column),
        )  # fmt: skip


def beside_of(column: FeatureDrift) -> str:
    """Return the counts of rows that the statistic cannot compare with similar reference rows, by reason, as text."""
    counts = (
        (column.missing, "missing"), (column.invalid, "of the wrong type"), (column.unseen, "unseen"),
        (column.out_of_range, "out of range"),
    )  # fmt: skip
    return ", ".join(f"{n:,} {words}" for n, words in counts if n)


def lines_of(found: Check, decision: Decision) -> Iterator[str]:
    """Yield the lines of the decision, then the lines of every finding."""
    yield from _drift(decision.drift)
    yield from _performance(decision.performance)
    if found.repeated_ids:
        yield f"ids: {found.repeated_ids:,} rows repeat an id; here each row counts, the stream counts an id once"
    for finding in found.findings:
        yield f"{finding.level}: {finding.title}"
        if not finding.is_drift:
            yield from (f"  {line}" for line in finding.lines)
    if decision.drifted and not found.fires:
        yield "what has drifted or degraded is of rules that are switched off (alerting.*.enabled)"


def _drift(drift: DriftDecision) -> Iterator[str]:
    if not drift.sufficient:
        yield f"data and predictions: {drift.n:,} rows are too few to judge"
        return
    names = f": {', '.join(drift.drifted_features)}" if drift.drifted_features else ""
    share = f"{len(drift.drifted_features)} of {len(drift.features)} features ({drift.drift_share:.0%}){names}"
    word = "drifted" if drift.drift_detected else "not drifted"
    yield f"data: {word}; {share}; drift is from {drift.drift_threshold:.0%} on"
    if drift.prediction is not None and drift.prediction.n:
        beside = beside_of(drift.prediction)
        word = "drifted" if drift.prediction_drift else "not drifted"
        yield f"predictions: {word}{f' ({beside} of {drift.n:,} rows)' if beside else ''}"
    else:
        yield "predictions: none in the table"


def _performance(performance: PerformanceDecision | None) -> Iterator[str]:
    if performance is None:
        yield "performance: no truth in the table"
        return
    truths = f"{performance.feedback:,} rows with truth"
    if not performance.judged:
        yield f"performance: not judged: {performance.reason}"
    elif performance.degraded:
        yield f"performance: degraded: {', '.join(performance.degraded_metrics)} ({truths})"
    else:
        yield f"performance: not degraded ({truths})"
    for line in accounting_of(performance):
        yield f"  {line}"
    for metric in performance.metrics:
        if metric.value is not None or not metric.judged:
            yield f"  {_metric(metric, whole=performance.judged)}"


def _metric(metric: MetricChange, *, whole: bool) -> str:
    """Return a line with a metric and its baseline, and the reason where the metric was not judged.

    `whole`: performance as a whole was judged, so that the metric's reason is its own.
    """
    line = f"{metric.name} {_number(metric.value) or 'undefined'}"
    line += f" (baseline {_number(metric.baseline)})" if metric.baseline is not None else ""
    if metric.degraded:
        return f"{line} degraded"
    return line if metric.judged else f"{line} not judged{f': {metric.reason}' if whole else ''}"


def _strength(column: FeatureDrift) -> tuple[bool, float]:
    return column.drifted, column.statistic or 0.0


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
