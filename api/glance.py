"""A model version at a glance: one line of an overview."""

from __future__ import annotations

from datetime import datetime

import msgspec

from api.registrations import Registration, RegistrationsView
from api.state import State, state_of
from api.timeline import metric_of, metrics_of, preferred
from api.views import Findings, ReportsView
from topics.events import Level

RECENT = 40
"""Windows of the small picture."""
NAMED = 5
"""Drifted features that are named."""
LEVELS: tuple[Level, ...] = ("info", "warning", "error", "critical")


class ModelSummary(msgspec.Struct, frozen=True, kw_only=True):
    """`state` is the worst that is known of it; `drifted` names the first of the drifted features, `recent` are shares.

    `metric` is the one that stands for the others, with its `value`, what it was on the reference, and what it is
    estimated to be without truth. `dead_letter_share`: of its newest predictions, those that were set aside.
    """

    model: str
    model_version: str
    state: State
    task: str | None
    features: int | None
    window_seconds: float | None
    registered_at: datetime | None
    window_start: datetime | None
    window_end: datetime | None
    n: int | None
    sufficient: bool
    drift_share: float | None
    drift_threshold: float | None
    drifted: list[str]
    drifted_count: int
    recent: list[float | None]
    metric: str | None
    value: float | None
    baseline: float | None
    estimated: float | None
    degraded: bool
    coverage: float | None
    firing: int
    level: Level | None
    dead_letter_share: float | None = None


def summaries_of(models: RegistrationsView, reports: ReportsView) -> list[ModelSummary]:
    """Every model version that is registered, or of which there are reports, in the order of registration."""
    reported = [key for key, found in reports.findings.items() if found.drift or found.performance]
    return [
        summary_of(key[0], key[1], models.get(*key), reports.of(*key), reports.workers.intake.share(*key))
        for key in dict.fromkeys([*models, *reported])
    ]


def summary_of(
    model: str, version: str, known: Registration | None, found: Findings, dead_letter_share: float | None = None
) -> ModelSummary:
    """One model version, from its registration and what the stream has found."""
    drift, performance = found.drift.latest, found.performance.latest
    ends = [report.window_end for report in (drift, performance) if report is not None]
    name = preferred(metrics_of(found)) or ""
    realised = metric_of(performance.metrics, name) if performance else None
    estimated = metric_of(performance.estimated, name) if performance else None
    firing = found.firing
    newest = drift or performance
    return ModelSummary(
        model=model,
        model_version=version,
        state=state_of(found),
        task=None if known is None else known.task,
        features=None if known is None else len(known.features),
        window_seconds=None if known is None else known.windows.pane * known.windows.panes,
        registered_at=None if known is None else known.registered_at,
        window_start=newest.window_start if newest else None,
        window_end=max(ends, default=None),
        n=newest.n if newest else None,
        sufficient=bool(newest and newest.sufficient),
        drift_share=None if drift is None else drift.drift_share,
        drift_threshold=None if drift is None else drift.drift_threshold,
        drifted=[] if drift is None else list(drift.drifted_features[:NAMED]),
        drifted_count=0 if drift is None else len(drift.drifted_features),
        recent=[w.report.drift_share if w.report.sufficient else None for w in found.drift.last(RECENT)],
        metric=name or None,
        value=realised.value if realised else None,
        baseline=realised.baseline if realised else None,
        estimated=estimated.value if estimated else None,
        degraded=bool(performance and performance.sufficient and performance.degraded_metrics),
        coverage=None if performance is None else performance.coverage,
        firing=len(firing),
        level=max((alert.level for alert in firing), key=LEVELS.index, default=None),
        dead_letter_share=dead_letter_share,
    )
