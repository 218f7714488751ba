"""Comparison of metrics with their baselines: whether each has degraded, or the reason why this is unknown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import sqrt

import numpy as np

from app.core.config.monitoring import PerformanceThresholds
from app.core.evaluation.intervals import deviations, z_of
from app.core.evaluation.performance import LOSSES, Metric, metrics_of
from app.core.evaluation.usual_effects import NONE_USUAL, effects_of, floors
from app.core.panes.outcomes import outcome_layout
from app.core.panes.pane import Pane
from app.core.reference.profile import Profile
from topics.results import MetricChange

MOST_USUAL = 0.45
"""Usual drop of a share above which the share is not judged: the loss of half of it would not be seen."""
ROUNDING = 1e-6
"""A baseline below this share of its scale at zero counts as zero: the model is right except for rounding."""
NO_TRUTH = "no baseline: the reference has no truth"
UNDEFINED = "no baseline: it is undefined on the reference"
LOWEST = "its baseline is 0, the lowest that it can be"
NO_VALUE = "undefined in this window"
NO_PROBABILITY = (
    "the reference has no probability; name its column (columns.probability; by itself probability is taken)"
)

SCORED = ("roc_auc", "log_loss", "brier")
"""The metrics of a binary model that need its probability."""


def changes(
    profile: Profile,
    metrics: Sequence[Metric],
    baseline: Mapping[str, float],
    n: int,
    thresholds: PerformanceThresholds,
    seconds: float | None = None,
) -> tuple[MetricChange, ...]:
    """Compare each metric of n rows with its baseline; the metrics are judged together.

    `seconds`: the span of the rows. A drop must exceed the usual drop of such a span, where that is known. With None
    the usual drop is ignored.
    """
    known = NONE_USUAL if seconds is None else effects_of(profile.usual)
    return tuple(
        change(
            metric, baseline.get(metric.name), n, profile.n, thresholds, len(metrics),
            spread=profile.prediction.scale, missing=UNDEFINED if baseline else NO_TRUTH,
            usual=0.0 if seconds is None else known.drop(metric.name, seconds),
        )
        for metric in metrics
    )  # fmt: skip


def change(  # noqa: PLR0913 (a comparison has that many sides)
    metric: Metric,
    baseline: float | None,
    n: int,
    reference_n: int,
    thresholds: PerformanceThresholds,
    tested: int = 1,
    *,
    spread: float = 1.0,
    missing: str = NO_TRUTH,
    usual: float = 0.0,
) -> MetricChange:
    """Compare a metric of n rows with its baseline of `reference_n` rows; `tested` metrics are judged together.

    It has degraded when the drop is above the metric's threshold times `scale_of` the baseline, and the interval of
    the drop lies above zero. This interval is the window's own, widened by the uncertainty of the baseline's rows:
    half-width times sqrt(1 + n / reference_n), and by the metric's error bound. It is also widened from `confidence`
    to a chance of `chance` over all metrics (Bonferroni), one-sided.

    `spread`: the standard deviation of the reference's predictions. `missing`: the reason where there is no baseline.
    `usual`: the usual drop. The threshold exceeds it by a margin, and a share that varies too much is not judged.

    With policy `threshold` the drop alone decides, or the metric's limit: neither interval nor chance is used.
    """
    plain = thresholds.policy == "threshold"
    threshold, limit = limit_of(thresholds, metric.name, usual), thresholds.limits.get(metric.name) if plain else None
    low, high = metric.interval or (None, None)
    if limit is not None:
        return _against_limit(metric, baseline, limit, n, thresholds, spread)
    scale = None if baseline is None else scale_of(metric.name, baseline, spread)
    absolute = relative = None
    degraded, reason = False, ""
    if metric.value is None:
        reason = missing if baseline is None else NO_VALUE
    elif baseline is None:
        reason = missing
    else:
        absolute = metric.value - baseline
        drop = absolute if metric.name in LOSSES else -absolute
        relative = None if scale is None else drop / scale
        if relative is None:
            reason = LOWEST
        elif n < thresholds.min_samples:
            reason = _too_few(n, thresholds)
        elif plain:
            degraded = relative > threshold
        elif usual > MOST_USUAL and metric.name not in LOSSES:
            reason = f"it falls by up to {usual:.0%} in so long a time by itself"
        elif low is None or high is None:
            reason = f"no confidence interval of {n:,} rows"
        else:
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
        judged=not reason,
        reason=reason,
        scale=scale,
        usual=usual,
    )


def _against_limit(
    metric: Metric, baseline: float | None, limit: float, n: int, thresholds: PerformanceThresholds, spread: float
) -> MetricChange:
    """Compare a metric of n rows with the value that it may not be worse than.

    Its drop is against the baseline, and the threshold is the drop down to the limit. Without a baseline, or where
    the baseline is the worst possible value, the drop is against the limit, and the threshold is 0.
    """
    sign = 1.0 if metric.name in LOSSES else -1.0
    good = baseline
    scale = None if baseline is None else scale_of(metric.name, baseline, spread)
    if good is None or scale is None:
        good, scale = limit, scale_of(metric.name, limit, spread) or 1.0
    relative = None if metric.value is None else sign * (metric.value - good) / scale
    reason = NO_VALUE if metric.value is None else _too_few(n, thresholds) if n < thresholds.min_samples else ""
    low, high = metric.interval or (None, None)
    return MetricChange(
        name=metric.name,
        value=metric.value,
        baseline=baseline,
        absolute=None if metric.value is None or baseline is None else metric.value - baseline,
        relative=relative,
        low=low,
        high=high,
        threshold=sign * (limit - good) / scale,
        error_bound=metric.error_bound,
        degraded=not reason and metric.value is not None and sign * (metric.value - limit) > 0.0,
        judged=not reason,
        reason=reason,
        scale=scale,
        limit=limit,
    )


def _too_few(n: int, thresholds: PerformanceThresholds) -> str:
    return f"{_rows(n)} fewer than {thresholds.min_samples:,} (performance.min_samples)"


def limit_of(thresholds: PerformanceThresholds, name: str, usual: float) -> float:
    """Return the relative drop from which on a metric is worse: its threshold, or beyond the usual drop by a margin."""
    return float(floors(thresholds.metrics.get(name, thresholds.default), np.array(usual)))


def scale_of(name: str, baseline: float, spread: float) -> float | None:
    """Return the scale of a relative drop: the baseline, where it is above zero by more than rounding.

    Otherwise the scale is the reference's `spread` for mae and rmse, and 1 for log_loss and brier. For r2 it is 1 -
    baseline, the squared error in units of the truth's variance, so that the drop is the rise of this error. Return
    None for a share at 0, which cannot get worse.
    """
    at_zero = {"mae": spread, "rmse": spread, "log_loss": 1.0, "brier": 1.0, "r2": 1.0 - baseline}.get(name)
    if baseline > ROUNDING * (at_zero or 0.0):
        return baseline
    return at_zero


def without_baseline(profile: Profile, thresholds: PerformanceThresholds | None = None) -> dict[str, str]:
    """Return the metrics of a profile's task that no window can be judged by, with reason and remedy.

    `thresholds`: a metric with a limit there needs no baseline.
    """
    limited = () if thresholds is None or thresholds.policy != "threshold" else thresholds.limits
    found = _without_baseline(profile)
    return {name: why for name, why in found.items() if name not in limited or why == NO_PROBABILITY}


def _without_baseline(profile: Profile) -> dict[str, str]:
    if profile.task == "features":
        return {}
    layout = outcome_layout(profile)
    names = [metric.name for metric in metrics_of(layout, Pane.empty(layout.sums))]
    if not profile.baseline:
        reason = (
            "the reference has no truth; name its column (columns.target; by itself target or actual is taken), "
            "or give the metrics with --baseline"
        )
        return dict.fromkeys(names, reason)
    found: dict[str, str] = {}
    for name in names:
        if name not in profile.baseline:
            found[name] = "it is undefined on the reference; take one that has every class, or give it with --baseline"
        elif scale_of(name, profile.baseline[name], profile.prediction.scale) is None:
            found[name] = (
                "it is 0 on the reference and cannot get worse; see whether labels and positive_label are right"
            )
    if profile.task == "binary" and profile.probability is None:
        found |= dict.fromkeys(SCORED, NO_PROBABILITY)
    return found


def why_not_judged(metrics: Sequence[MetricChange], truths: int, usable: int, fewest: int) -> str:
    """Return the reason why no metric of a window was judged; empty where one was.

    `truths` rows have a truth, `usable` of them enter the metrics; `fewest` are needed.
    """
    if any(metric.judged for metric in metrics):
        return ""
    if not truths:
        return "no truth has come"
    if usable < fewest:
        of_truths = f" of {truths:,} rows with truth" if usable < truths else " rows with truth"
        return f"only {usable:,}{of_truths} can be judged, {fewest:,} are needed (performance.min_samples)"
    reasons = dict.fromkeys(metric.reason for metric in metrics)
    return "; ".join(reasons) or "no metric is defined"


def _rows(n: int) -> str:
    return f"{n:,} row is" if n == 1 else f"{n:,} rows are"
