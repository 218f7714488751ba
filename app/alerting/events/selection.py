"""Selection of the columns and metrics of a report that an alert shows, and their order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.alerting.events.sentences import MAX_LISTED
from app.alerting.rules.model_rules import (
    CRITICAL_FEATURE,
    DATA_DRIFT,
    FEATURE_DRIFT,
    PREDICTION_DRIFT,
    Verdict,
    effect_of,
    worsening_of,
)
from app.alerting.rules.newest_panes import as_found, features_of, found_names, metric_finding, outputs_of
from topics.events import AnyReport, DriftReport, FeatureDrift, MetricChange, PerformanceReport


@dataclass(frozen=True, slots=True)
class SelectedColumns:
    """The columns of a drift alert. `named`: the columns that its lines name, in their order.

    `about`: the columns that the alert may be about. For a feature's alert these are that feature, else all features,
    and the model's outputs.
    """

    named: Sequence[FeatureDrift] = ()
    about: Sequence[FeatureDrift] = ()

    @property
    def drifted(self) -> tuple[str, ...]:
        """Return the names of all drifted columns."""
        return tuple(column.name for column in self.about if column.drifted)

    def shown(self) -> tuple[FeatureDrift, ...]:
        """Return the columns that the lines name and the worst drifted ones. Only the first of these keeps its
        shape.
        """
        drifted = [column for column in self.about if column.drifted]
        worst = sorted(drifted, key=lambda column: (-effect_of(column), column.name))[:MAX_LISTED]
        drawn = next((column.name for column in worst if column.shape is not None), None)
        found = {column.name: column for column in (*worst, *self.named[:MAX_LISTED])}
        return tuple(
            replace(column, unseen_names={}, shape=column.shape if name == drawn else None)
            for name, column in found.items()
        )


def columns_of(report: AnyReport, verdict: Verdict) -> SelectedColumns:
    """Return the columns of an alert; none where the alert is not on drift or its rule is off."""
    if not isinstance(report, DriftReport) or verdict.state == "off":
        return SelectedColumns()
    own, outputs = own_features(report, verdict), outputs_of(report)
    features = own or top_features(report)
    named = {DATA_DRIFT: features, PREDICTION_DRIFT: outputs, CRITICAL_FEATURE: own, FEATURE_DRIFT: own}
    return SelectedColumns(named.get(verdict.rule, ()), (*features, *outputs))


def own_features(report: DriftReport, verdict: Verdict) -> list[FeatureDrift]:
    """Return the feature that a verdict is about; an empty list where the verdict is about something else."""
    return as_found([feature for feature in report.features if feature.name == verdict.subject], report)


def metrics_of(report: AnyReport, verdict: Verdict) -> tuple[MetricChange, ...]:
    """Return the metrics that messages show first, and the alert's own metric, from the newest panes where they have
    it.
    """
    if not isinstance(report, PerformanceReport):
        return ()
    newest = metric_finding(verdict)
    own = [metric for metric in report.metrics if metric.name == verdict.subject] if newest is None else [newest.metric]
    return tuple({metric.name: metric for metric in (*top_metrics(report)[:MAX_LISTED], *own)}.values())


def drifted_names(report: DriftReport, verdict: Verdict) -> Sequence[str]:
    """Return the drifted features as a data drift alert counts them: in the newest panes, else in the window."""
    return found_names(verdict) or report.drifted_features


def top_features(report: DriftReport) -> list[FeatureDrift]:
    """Return the drifted features, largest effect first; all features by effect where none has drifted."""
    features = features_of(report)
    drifted = [feature for feature in features if feature.drifted]
    return sorted(drifted or features, key=lambda feature: (-effect_of(feature), feature.name))


def top_metrics(report: PerformanceReport) -> list[MetricChange]:
    """Return the known metrics: those of `performance.show` in its order, then the most degraded first."""
    known = [metric for metric in report.metrics if metric.value is not None]
    show = {name: place for place, name in enumerate(report.show)}
    return sorted(
        known, key=lambda metric: (show.get(metric.name, len(show)), not metric.degraded, -worsening_of(metric))
    )
