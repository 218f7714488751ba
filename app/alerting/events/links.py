"""Links of an alert: to its model version, to the column that it is about, and to all alerts on the dashboard."""

from __future__ import annotations

from urllib.parse import quote

import msgspec

from app.alerting.events.selection import top_features
from app.alerting.rules.model_rules import PREDICTION_DRIFT, Verdict, effect_of
from topics.events import AnyReport, DriftReport, FeatureDrift

DASHBOARD, FEATURE, ALERTS, RUNBOOK = "dashboard", "feature", "alerts", "runbook"


def links_of(report: AnyReport, verdict: Verdict, page: str, *, firing: bool) -> dict[str, str]:
    """Return the addresses by name. `page`: the API's address; with an empty one there are no links."""
    if not page:
        return {}
    start = f"{page.rstrip('/')}/dashboard"
    model, version = _spelt(report.model), _spelt(report.model_version)
    links = {DASHBOARD: f"{start}?model={model}&version={version}"}
    found = _column(report, verdict) if firing and isinstance(report, DriftReport) else None
    if found is not None:
        role, column = found
        window = msgspec.to_builtins(report.window_end)
        links[FEATURE] = f"{start}#/model/{model}/{version}/{role}/{_spelt(column.name)}?window={_spelt(window)}"
    return links | {ALERTS: f"{start}#/alerts"}


def _column(report: DriftReport, verdict: Verdict) -> tuple[str, FeatureDrift] | None:
    """Return the drifted column that an alert is about, or the worst of several, with its role; None where there is
    none.
    """
    if verdict.rule == PREDICTION_DRIFT:
        outputs = (("prediction", report.prediction), ("probability", report.probability))
        drifted = [(role, column) for role, column in outputs if column is not None and column.drifted]
        return max(drifted, key=lambda pair: effect_of(pair[1]), default=None)
    named = [feature for feature in report.features if feature.name == verdict.subject]
    worst = (named or top_features(report))[:1]
    return ("feature", worst[0]) if worst and worst[0].drifted else None


def _spelt(text: str) -> str:
    return quote(text, safe="")
