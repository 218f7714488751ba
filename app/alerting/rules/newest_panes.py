"""Evidence of the newest panes for a rule, combined with the window's verdict."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from app.alerting.rules.verdict import Verdict
from app.core.config.monitoring import Rule
from topics.events import DriftReport, FeatureDrift, MetricFinding, MetricScales, ScaleFinding, Scales, to_epoch

SCALES = "scales"
"""Key of the findings of the newest panes in a verdict's evidence."""


def found_in(report: DriftReport, fault: str, names: Collection[str]) -> list[ScaleFinding]:
    """Return the findings for a fault in the given columns, the largest effect first."""
    if report.scales is None:
        return []
    found = [one for one in report.scales.found if one.fault == fault and one.name in names]
    return sorted(found, key=lambda one: (-one.effect_size / one.threshold, one.name))


def beside_window(verdict: Verdict, report: DriftReport, fault: str, names: Collection[str]) -> Verdict:
    """Return the verdict on the given columns together, combined with the newest panes.

    A finding is a breach. Columns that are all calm are clear, even while the window still contains older panes.
    """
    if report.scales is None or not names:
        return verdict
    found = found_in(report, fault, names)
    if found:
        return breach_of(verdict, found) if not passing(found) else replace(verdict, state="between", severe=False)
    if set(names) <= set(report.scales.calm.get(fault, {})):
        return replace(verdict, state="clear", sure=True, severe=False)
    return between(verdict, report.scales, fault, names)


def between(verdict: Verdict, scales: Scales, fault: str, names: Collection[str]) -> Verdict:
    """Return the window's verdict, moderated by the newest panes.

    A breach that has probably ended becomes `between`, and so does a clear verdict while a column is suspected.
    """
    suspected = not set(names).isdisjoint(scales.suspected.get(fault, ()))
    over = set(names) <= {*scales.calm.get(fault, ()), *scales.quiet.get(fault, ())}
    if (verdict.state == "clear" and suspected) or (verdict.state == "breach" and over):
        return replace(verdict, state="between", severe=False)
    return verdict


def breach_of(verdict: Verdict, found: list[ScaleFinding]) -> Verdict:
    """Return the breach that the newest panes show. Its value is the largest effect."""
    worst = found[0]
    return replace(
        verdict, state="breach", value=worst.effect_size, threshold=worst.threshold, sure=True, since=since_of(found),
        slow=slow_of(found), evidence={**verdict.evidence, SCALES: found},
    )  # fmt: skip


def data_drift(verdict: Verdict, report: DriftReport) -> Verdict:
    """Return the verdict on data drift, combined with the newest panes."""
    scales = report.scales
    if scales is None:
        return verdict
    whole = scales.data_drift
    if whole is not None:
        found = found_in(report, "distribution", whole.drifted_features)
        if passing(found):
            return replace(verdict, state="between")
        evidence = {"drifted_features": list(whole.drifted_features), "scale": whole, SCALES: found}
        return replace(
            verdict, state="breach", value=whole.drift_share, sure=True, since=since_of(found), slow=slow_of(found),
            evidence={**verdict.evidence, **evidence},
        )  # fmt: skip
    if scales.data_calm:
        return replace(verdict, state="clear", sure=True)
    if (verdict.state == "clear" and scales.data_suspected) or (verdict.state == "breach" and scales.data_quiet):
        return replace(verdict, state="between")
    return verdict


def metric_of_newest(verdict: Verdict, scales: MetricScales | None, degradation: float, rule: Rule) -> Verdict:
    """Return the verdict on a metric, combined with the newest panes that have truth."""
    if scales is None:
        return verdict
    name = verdict.subject
    found = next((one for one in scales.found if one.name == name), None)
    if found is not None:
        degradation += found.metric.usual
        severe = found.effect_size > degradation
        more: dict[str, object] = {"degradation": degradation} if severe else {}
        return replace(
            verdict, state="breach", value=found.effect_size, threshold=found.threshold, sure=True,
            since=None if found.since is None else to_epoch(found.since), severe=severe and rule.level != "critical",
            evidence={**verdict.evidence, **more, SCALES: [found]},
        )  # fmt: skip
    if name in scales.calm:
        return replace(verdict, state="clear", sure=True, severe=False)
    suspected = verdict.state == "clear" and name in scales.suspected
    over = verdict.state == "breach" and name in scales.quiet
    return replace(verdict, state="between", severe=False) if suspected or over else verdict


def metric_finding(verdict: Verdict) -> MetricFinding | None:
    """Return the finding of the newest panes with truth in a verdict on a metric; None where there is none."""
    found = verdict.evidence.get(SCALES)
    return next((one for one in found if isinstance(one, MetricFinding)), None) if isinstance(found, list) else None


def features_of(report: DriftReport) -> list[FeatureDrift]:
    """Return the features. A feature that has drifted only in the newest panes is returned as found there."""
    return as_found(report.features, report)


def outputs_of(report: DriftReport) -> list[FeatureDrift]:
    """Return prediction and probability, where they exist, in the same form as `features_of`."""
    return as_found([one for one in (report.prediction, report.probability) if one is not None], report)


def as_found(columns: Iterable[FeatureDrift], report: DriftReport) -> list[FeatureDrift]:
    """Return columns of a report. A column that has drifted only in the newest panes is returned as found there."""
    columns = list(columns)
    found: dict[str, FeatureDrift] = {}
    for one in found_in(report, "distribution", {column.name for column in columns}):
        if one.name not in found and one.column is not None:
            found[one.name] = one.column
    return [column if column.drifted else found.get(column.name, column) for column in columns]


def scale_findings(verdict: Verdict) -> list[ScaleFinding]:
    """Return the findings of the newest panes in a verdict."""
    found = verdict.evidence.get(SCALES)
    return [one for one in found if isinstance(one, ScaleFinding)] if isinstance(found, list) else []


def found_names(verdict: Verdict) -> list[str]:
    """Return the features that a data drift verdict is about, where the newest panes decided it."""
    return [one.name for one in scale_findings(verdict)]


def passing(found: list[ScaleFinding]) -> bool:
    """Return whether all findings are slow and none appears in the longest span too: some warm days, not a season."""
    return bool(found) and all(one.slow and not one.lasting for one in found)


def slow_of(found: list[ScaleFinding]) -> float | None:
    """Return the size of the largest slow change; None where one of the findings is not slow."""
    if not found or not all(one.slow for one in found):
        return None
    return max(abs(one.moved or 0.0) for one in found)


def since_of(found: list[ScaleFinding]) -> float | None:
    """Return the middle one of the findings' change points, in epoch seconds; None where none is known."""
    since = sorted(to_epoch(one.since) for one in found if one.since is not None)
    return since[len(since) // 2] if since else None
