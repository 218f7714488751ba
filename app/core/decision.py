"""What a window means: has the data drifted, has the model got worse? Pure functions of reference and window."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import numpy as np

from app.core.config import DriftThresholds, Monitoring, PerformanceThresholds
from app.core.drift import Comparison, compare, p_values
from app.core.estimation import estimated_metrics
from app.core.findings import DriftDecision, FeatureDrift, MetricChange, PerformanceDecision
from app.core.intervals import deviations, z_of
from app.core.layout import Layout
from app.core.metric import Metric
from app.core.missing import rises
from app.core.outcome import OutcomeLayout
from app.core.pane import Pane
from app.core.performance import LOSSES, classes_of, confusion_of, left_out, metrics_of
from app.core.performance import judged as judged_rows
from app.core.profile import Kind, Profile

TESTS: dict[Kind, str] = {"numeric": "ks", "categorical": "jensen-shannon"}
UNKNOWN_FEATURES = ""
"""Where a pane keeps the names of unknown features."""


def drift_decision(layout: Layout, pane: Pane, monitoring: Monitoring) -> DriftDecision:
    """Judge a window's input pane (the sum of its panes).

    Policy `decision`: the features are corrected together, the prediction and its probability together, and
    the data has drifted when the share of drifted features reaches `drift.share`. Policy `threshold`: any
    feature with p < alpha (numeric) or a distance above `drift.categorical`. A window under
    `drift.min_samples` has neither drifted nor not.
    """
    thresholds = monitoring.drift
    sufficient = pane.n >= thresholds.min_samples
    comparisons = compare(layout, pane)
    p = p_values(comparisons)
    k = len(layout.features)
    features = _judged(comparisons[:k], p[:k], pane, thresholds, sufficient)
    outputs = _judged(comparisons[k:], p[k:], pane, thresholds, sufficient)
    drifted = tuple(feature.name for feature in features if feature.drifted)
    share = len(drifted) / k if k else 0.0
    needed = thresholds.share if thresholds.policy == "decision" else 1.0 / max(k, 1)
    return DriftDecision(
        n=pane.n,
        sufficient=sufficient,
        drift_detected=bool(drifted) and share >= needed,
        drift_share=share,
        drift_threshold=needed,
        drifted_features=drifted,
        prediction_drift=any(output.drifted for output in outputs),
        features=features,
        prediction=outputs[0],
        probability=outputs[1] if len(outputs) > 1 else None,
        missing_share=sum(f.missing + f.invalid for f in features) / max(pane.n * k, 1),
        unknown_features=dict(pane.names.get(UNKNOWN_FEATURES, {})),
    )


def _judged(
    comparisons: Sequence[Comparison],
    p: Sequence[float | None],
    pane: Pane,
    thresholds: DriftThresholds,
    sufficient: bool,
) -> tuple[FeatureDrift, ...]:
    significant = significant_among(p, thresholds)
    return tuple(
        _feature(
            c, value, significant=s, sufficient=sufficient, thresholds=thresholds, pane=pane, tested=len(comparisons)
        )
        for c, value, s in zip(comparisons, p, significant, strict=True)
    )


def significant_among(p: Sequence[float | None], thresholds: DriftThresholds) -> list[bool]:
    """Which p-values are significant: after Benjamini-Hochberg, or each alone by policy `threshold`."""
    tested = [i for i, value in enumerate(p) if value is not None]
    found = [False] * len(p)
    if not tested:
        return found
    from scipy.stats import false_discovery_control  # see kolmogorov.py

    values = np.array([p[i] for i in tested], np.float64)
    adjusted = false_discovery_control(values) if thresholds.policy == "decision" else values
    for i, value in zip(tested, adjusted.tolist(), strict=True):
        found[i] = value < thresholds.alpha
    return found


def _feature(
    comparison: Comparison,
    p: float | None,
    *,
    significant: bool,
    sufficient: bool,
    thresholds: DriftThresholds,
    pane: Pane,
    tested: int,
) -> FeatureDrift:
    slots, statistic = comparison.slots, comparison.statistic
    column = slots.column
    numeric = column.kind == "numeric"
    threshold = thresholds.numerical_effect if numeric else thresholds.categorical
    effect = statistic is not None and (statistic >= threshold if numeric else statistic > threshold)
    drifted = significant and effect
    reference_n = slots.total + column.missing
    if thresholds.policy == "threshold":
        drifted = significant if numeric else effect
    return FeatureDrift(
        name=column.name,
        kind=column.kind,
        test=TESTS[column.kind],
        statistic=statistic,
        p_value=p,
        threshold=threshold,
        effect=effect,
        significant=significant,
        drifted=sufficient and drifted,
        n=comparison.n,
        missing=comparison.missing,
        invalid=comparison.invalid,
        unseen=comparison.unseen,
        out_of_range=comparison.out_of_range,
        error_bound=column.error_bound,
        reference=comparison.reference,
        current=comparison.current,
        direction=comparison.direction,
        unseen_names=dict(pane.names.get(column.name, {})),
        reference_missing=column.missing / reference_n if reference_n else 0.0,
        missing_rises=sufficient and rises(comparison.missing, pane.n, column.missing, reference_n, tested),
        reference_unseen=slots.singles / slots.total if slots.total else 0.0,
        unseen_rises=sufficient and rises(comparison.unseen, comparison.n, slots.singles, slots.total, tested),
        shape=comparison.shape,
    )


def performance_decision(
    profile: Profile,
    outcome_layout: OutcomeLayout,
    layout: Layout,
    inputs: Pane,
    outcomes: Pane,
    monitoring: Monitoring,
) -> PerformanceDecision:
    """Judge a window's outcome pane, and what its input pane lets one expect.

    A window with fewer than `performance.min_samples` judged rows is never degraded.
    """
    thresholds = monitoring.performance
    judged = judged_rows(outcome_layout, outcomes)
    out = left_out(outcome_layout, outcomes)
    realised = metrics_of(outcome_layout, outcomes, thresholds.confidence)
    metrics = tuple(
        change(m, profile.baseline.get(m.name), judged, profile.n, thresholds, len(realised)) for m in realised
    )
    expected = estimated_metrics(layout, inputs, thresholds.confidence) if profile.estimated_baseline else ()
    estimated = tuple(
        change(m, profile.estimated_baseline.get(m.name), inputs.n, profile.n, thresholds, len(expected))
        for m in expected
    )
    degraded = tuple(metric.name for metric in metrics if metric.degraded)
    confusion = confusion_of(outcome_layout, outcomes)
    return PerformanceDecision(
        n=inputs.n,
        sufficient=judged >= thresholds.min_samples,
        feedback=outcomes.n,
        coverage=min(1.0, outcomes.n / inputs.n) if inputs.n else 0.0,
        degraded=bool(degraded),
        degraded_metrics=degraded,
        metrics=metrics,
        estimated=estimated,
        confusion=tuple(tuple(row) for row in confusion.tolist()),
        labels=profile.labels,
        classes=classes_of(outcome_layout, outcomes) if profile.task == "multiclass" else (),
        not_judged=out.not_judged,
        not_scored=out.not_scored,
        unknown_actuals=out.unknown_actuals,
        unknown_predictions=out.unknown_predictions,
    )


def change(
    metric: Metric,
    baseline: float | None,
    n: int,
    reference_n: int,
    thresholds: PerformanceThresholds,
    tested: int = 1,
) -> MetricChange:
    """A metric of n rows against its baseline of `reference_n` rows, one of `tested` that are judged together.

    Degraded when the relative drop is above the metric's threshold and the interval of the drop lies above
    zero. That interval is the window's own, widened by what the baseline's own rows leave open:
    half-width times sqrt(1 + n / reference_n), and by the metric's error bound; and from `confidence` to a chance of
    `chance` over all metrics (Bonferroni), one-sided.
    """
    threshold = thresholds.metrics.get(metric.name, thresholds.default)
    low, high = metric.interval or (None, None)
    absolute = relative = None
    degraded = False
    if metric.value is not None and baseline is not None:
        absolute = metric.value - baseline
        drop = absolute if metric.name in LOSSES else -absolute
        relative = drop / baseline if baseline > 0.0 else None
        if relative is not None and low is not None and high is not None and n >= thresholds.min_samples:
            towards = metric.value - low if metric.name in LOSSES else high - metric.value
            widened = deviations(thresholds.chance / tested) / z_of(thresholds.confidence)
            margin = towards * widened * sqrt(1.0 + n / max(reference_n, 1)) + metric.error_bound
            degraded = relative > threshold and drop > margin
    return MetricChange(
        name=metric.name,
        value=metric.value,
        baseline=baseline,
        absolute=absolute,
        relative=relative,
        low=low,
        high=high,
        threshold=threshold,
        error_bound=metric.error_bound,
        degraded=degraded,
    )


__all__ = [
    "DriftDecision",
    "FeatureDrift",
    "MetricChange",
    "PerformanceDecision",
    "change",
    "drift_decision",
    "performance_decision",
    "significant_among",
]
