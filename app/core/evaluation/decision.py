"""Decisions about a window: drift of the data, and degradation of the model. They are pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from app.core.config.monitoring import DriftThresholds, Monitoring
from app.core.evaluation.causes import cause_of
from app.core.evaluation.degradation import change, changes, why_not_judged
from app.core.evaluation.drift import Comparison, Strength, compare, strengths
from app.core.evaluation.estimation import estimated_metrics
from app.core.evaluation.missing_values import rises
from app.core.evaluation.performance import classes_of, confusion_of, left_out, metrics_of
from app.core.evaluation.performance import judged as judged_rows
from app.core.evaluation.results import DriftDecision, PerformanceDecision
from app.core.evaluation.tested import MARGIN
from app.core.evaluation.usual_effects import NONE_USUAL, effects_of, floors
from app.core.panes.outcomes import OutcomeLayout
from app.core.panes.pane import Pane
from app.core.reference.layout import Floats, Layout
from app.core.reference.profile import Kind, Profile
from topics.results import FeatureDrift

TESTS: dict[Kind, str] = {"numeric": "ks", "categorical": "jensen-shannon"}
ALONE = "features alone are watched: the reference has no predictions"
"""Reason for which a model of task `features` has no performance."""
UNKNOWN_FEATURES = ""
"""Key under which a pane keeps the names of unknown features."""


def drift_decision(layout: Layout, pane: Pane, monitoring: Monitoring, seconds: float | None = None) -> DriftDecision:
    """Judge a window's input pane (the sum of its panes). `seconds`: the window's length, by default the usual one.

    Policy `decision`: the features are corrected together, the prediction and its probability together. The data has
    drifted when the share of drifted features reaches `drift.share`. Policy `threshold`: any feature with p < alpha
    (numeric) or a distance above `drift.categorical`, uncorrected. A window with fewer than `drift.min_samples` rows
    has neither drifted nor not. Where the usual effects of a window of this length are known, an effect must exceed
    them.
    """
    thresholds = monitoring.drift
    usual = _usual(layout, _lasting(monitoring, seconds), monitoring)
    sufficient = pane.n >= thresholds.min_samples
    comparisons = compare(layout, pane)
    found = strengths(comparisons)
    k = len(layout.features)
    features = _explained(layout, pane, _judged(comparisons[:k], found[:k], pane, thresholds, sufficient, usual[:k]))
    outputs = _judged(comparisons[k:], found[k:], pane, thresholds, sufficient, usual[k:])
    outputs = () if layout.profile.task == "features" else outputs
    drifted = tuple(feature.name for feature in features if feature.drifted)
    share = len(drifted) / k if k else 0.0
    needed = thresholds.share if thresholds.policy == "decision" else 1.0 / max(k, 1)
    return DriftDecision(
        n=pane.n,
        sufficient=sufficient,
        needed=max(0, thresholds.min_samples - pane.n),
        drift_detected=bool(drifted) and share >= needed,
        drift_share=share,
        drift_threshold=needed,
        drifted_features=drifted,
        prediction_drift=any(output.drifted for output in outputs),
        features=features,
        prediction=outputs[0] if outputs else None,
        probability=outputs[1] if len(outputs) > 1 else None,
        missing_share=sum(f.missing + f.invalid for f in features) / max(pane.n * k, 1),
        unknown_features=dict(pane.names.get(UNKNOWN_FEATURES, {})),
        unjudged_share=sum(_unjudged(f, pane.n) for f in features) / max(k, 1),
    )


def _lasting(monitoring: Monitoring, seconds: float | None) -> float:
    return monitoring.windows.pane * monitoring.windows.panes if seconds is None else seconds


def _explained(layout: Layout, pane: Pane, features: tuple[FeatureDrift, ...]) -> tuple[FeatureDrift, ...]:
    """Return the features, with the likely cause of each that has drifted or has more missing or unseen values."""
    return tuple(
        replace(one, cause=cause_of(layout, pane, i)) if one.drifted or one.missing_rises or one.unseen_rises else one
        for i, one in enumerate(features)
    )


def _unjudged(feature: FeatureDrift, n: int) -> float:
    """Return the share of n rows whose value is of the wrong type, or is missing beyond the reference's share."""
    if not n:
        return 0.0
    return max(0.0, feature.missing / n - feature.reference_missing) + feature.invalid / n


def _judged(
    comparisons: Sequence[Comparison],
    found: Sequence[Strength],
    pane: Pane,
    thresholds: DriftThresholds,
    sufficient: bool,
    usual: Sequence[_Usual],
) -> tuple[FeatureDrift, ...]:
    significant = significant_among([strength.p_value for strength in found], thresholds)
    lowest = [_floor(c, thresholds) for c in comparisons]
    limits = floors(np.array(lowest), np.array([known.effect for known in usual])).tolist()
    return tuple(
        _feature(
            c, strength, significant=s, sufficient=sufficient, thresholds=thresholds, pane=pane,
            tested=len(comparisons), usual=known, threshold=limit,
        )
        for c, strength, s, known, limit in zip(comparisons, found, significant, usual, limits, strict=True)
    )  # fmt: skip


def _floor(comparison: Comparison, thresholds: DriftThresholds) -> float:
    return thresholds.numerical_effect if comparison.slots.column.kind == "numeric" else thresholds.categorical


@dataclass(frozen=True, slots=True)
class _Usual:
    """Usual changes of a column: its effect, and the shares of missing and unseen values that a rise must exceed."""

    effect: float = 0.0
    missing: float = 0.0
    unseen: float = 0.0


def _usual(layout: Layout, seconds: float, monitoring: Monitoring) -> list[_Usual]:
    known, names = effects_of(layout.profile.usual), [slots.column.name for slots in layout.slots]
    if monitoring.drift.policy != "decision" or known is NONE_USUAL:
        return [_Usual()] * len(names)
    effect, missing, unseen = (known.at(fault, names, [seconds])[0] for fault in ("distribution", "missing", "unseen"))
    missing = np.where(missing > 0.0, missing + MARGIN * monitoring.alerting.missing_share, 0.0)
    unseen = np.where(unseen > 0.0, unseen + MARGIN * monitoring.alerting.unseen_share, 0.0)
    return [_Usual(*values) for values in zip(effect.tolist(), missing.tolist(), unseen.tolist(), strict=True)]


def found_columns(
    layout: Layout,
    pane: Pane,
    found: Mapping[int, Strength],
    thresholds: DriftThresholds,
    usual: Mapping[int, float] | None = None,
) -> dict[int, FeatureDrift]:
    """Return the evidence of the columns at these places, which are found in a pane; their strength is known.

    `usual`: by place, the column's usual effect.
    """
    compared = dict(zip(sorted(found), compare(layout, pane, found), strict=True))
    effects = {i: (usual or {}).get(i, 0.0) for i in compared}
    return {
        i: replace(
            _feature(
                c, found[i], significant=True, sufficient=True, thresholds=thresholds, pane=pane,
                tested=len(layout.slots), usual=_Usual(effects[i]),
                threshold=float(floors(_floor(c, thresholds), np.array(effects[i]))),
            ),
            effect=True, drifted=True,
        )
        for i, c in compared.items()
    }  # fmt: skip


def significant_among(p: Sequence[float | None], thresholds: DriftThresholds) -> list[bool]:
    """Return whether each p-value is significant: after Benjamini-Hochberg, or each alone with policy `threshold`."""
    tested = [i for i, value in enumerate(p) if value is not None]
    found = [False] * len(p)
    if not tested:
        return found
    values = np.array([p[i] for i in tested], np.float64)
    adjusted = _adjusted(values) if thresholds.policy == "decision" else values
    for i, value in zip(tested, adjusted.tolist(), strict=True):
        found[i] = value < thresholds.alpha
    return found


def _adjusted(p_values: Floats) -> Floats:
    """Return Benjamini and Hochberg's adjusted p-values, equal to `scipy.stats.false_discovery_control`.

    scipy's function takes a twentieth of a window's time, for axes and array types that are not needed here.
    """
    order, n = p_values.argsort(), len(p_values)
    adjusted = np.empty(n)
    adjusted[order] = np.minimum.accumulate((p_values[order] * (n / np.arange(1, n + 1)))[::-1])[::-1]
    return adjusted.clip(0.0, 1.0)


def _feature(  # noqa: PLR0913 (a finding has that many sides)
    comparison: Comparison,
    strength: Strength,
    *,
    significant: bool,
    sufficient: bool,
    thresholds: DriftThresholds,
    pane: Pane,
    tested: int,
    usual: _Usual,
    threshold: float,
) -> FeatureDrift:
    slots, statistic = comparison.slots, comparison.statistic
    column = slots.column
    numeric = column.kind == "numeric"
    size = statistic if thresholds.policy == "threshold" else strength.effect_size
    effect = size is not None and (size >= threshold if numeric else size > threshold)
    drifted = significant and effect
    reference_n = slots.total + column.missing
    if thresholds.policy == "threshold":
        drifted = significant if numeric else effect
    return FeatureDrift(
        name=column.name,
        kind=column.kind,
        test=TESTS[column.kind],
        statistic=statistic,
        p_value=strength.p_value,
        effect_size=strength.effect_size,
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
        missing_rises=sufficient
        and rises(comparison.missing, pane.n, column.missing, reference_n, tested)
        and _beyond(comparison.missing, pane.n, column.missing, reference_n, usual.missing),
        reference_unseen=slots.singles / slots.total if slots.total else 0.0,
        unseen_rises=sufficient
        and rises(comparison.unseen, comparison.n, slots.singles, slots.total, tested)
        and _beyond(comparison.unseen, comparison.n, slots.singles, slots.total, usual.unseen),
        shape=comparison.shape,
        usual=usual.effect,
    )


def _beyond(count: int, n: int, reference: int, reference_n: int, usual: float) -> bool:
    """Return whether the share of `count` in n rows is above the reference's by more than a usual rise."""
    return count / max(n, 1) - reference / max(reference_n, 1) >= usual


def performance_decision(
    profile: Profile,
    outcome_layout: OutcomeLayout,
    layout: Layout,
    inputs: Pane,
    outcomes: Pane,
    monitoring: Monitoring,
    seconds: float | None = None,
) -> PerformanceDecision:
    """Judge a window's outcome pane, and estimate its metrics from its input pane.

    `seconds`: the window's length, by default the usual one. A window with fewer than `performance.min_samples`
    judged rows is never degraded.
    """
    thresholds, lasting = monitoring.performance, _lasting(monitoring, seconds)
    known = lasting if monitoring.drift.policy == thresholds.policy == "decision" else None
    judged = judged_rows(outcome_layout, outcomes)
    out = left_out(outcome_layout, outcomes)
    realised = metrics_of(outcome_layout, outcomes, thresholds.confidence)
    metrics = changes(profile, realised, profile.baseline, judged, thresholds, known)
    expected = estimated_metrics(layout, inputs, thresholds.confidence) if profile.estimated_baseline else ()
    estimated = changes(profile, expected, profile.estimated_baseline, inputs.n, thresholds, known)
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
        judged=any(metric.judged for metric in metrics),
        reason=ALONE
        if profile.task == "features"
        else why_not_judged(metrics, outcomes.n, judged, thresholds.min_samples),
        show=thresholds.show,
    )


__all__ = [
    "change",
    "drift_decision",
    "performance_decision",
    "significant_among",
]
