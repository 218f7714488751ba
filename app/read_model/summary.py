"""Summary of a model version: one line of an overview."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import msgspec

from app.core.evaluation.accounting import accounting_of
from app.read_model.registrations import Registration, RegistrationsTable
from app.read_model.reports_table import ModelReports, ReportsTable
from app.read_model.state import State, state_of, thin_words, why_not_judged
from app.read_model.timeline import left_out_of, metric_of, metrics_of, preferred
from app.registration.versions_table import Registered, VersionsTable, learning_words
from topics.events import Learning, Level, MetricChange, PerformanceReport, Usual, VersionEvent
from topics.levels import rank

RECENT = 40
"""Windows of the small picture."""
NAMED = 5
"""Number of drifted features that are named."""


class ModelSummary(msgspec.Struct, frozen=True, kw_only=True):
    """Summary of one model version. `state` is its worst known state; `drifted` names the first drifted features.

    `recent` are the last windows' drift shares. `metric` is the one that represents the others. It has its `value`, its
    value on the reference, and its estimate without feedback. `value`, `degraded`, `coverage` and `accounting` are of
    the newest window with feedback, from `truth_start` until `truth_end` (null: there is none). Where the metric was
    not compared with its baseline, `judged` is false and `reason` says why. `accounting`: the rows that the metrics
    leave out, one fact each. `left_out`: records that no window counts, by reason. `not_judged`: why the window shows
    nothing about the model; else empty. `dead_letter_share`: share of its newest predictions that are dead letters.
    `not_judged_since`: no window since then could be judged. `thin`: how many predictions the newest window lacks, and
    which change is found nevertheless. `retired`: the reason of a version that is retired since `retired_at`; else
    null. `usual`: the usual effect by which the newest window was judged, without its columns, which
    `/models/{model}/{version}/features` has. `learning`: how many predictions of those that become the reference have
    come; null where the version has its reference.
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
    truth_start: datetime | None = None
    truth_end: datetime | None = None
    judged: bool = True
    reason: str = ""
    accounting: list[str] = msgspec.field(default_factory=list)
    left_out: dict[str, int] = msgspec.field(default_factory=dict)
    not_judged: str = ""
    dead_letter_share: float | None = None
    retired: str | None = None
    retired_at: datetime | None = None
    not_judged_since: datetime | None = None
    thin: str = ""
    usual: Usual | None = None
    learning: Learning | None = None


def summaries_of(
    models: RegistrationsTable,
    reports: ReportsTable,
    versions: VersionsTable | None = None,
    wanted: Callable[[str], bool] = lambda _: True,
) -> list[ModelSummary]:
    """Return the summary of every model version that is registered or has reports, in the order of registration.

    `wanted` selects by the model's name.
    """
    reported = [key for key, found in reports.findings.items() if found.drift or found.performance]
    learning = (
        [] if versions is None else [(one.model, one.model_version) for one in _lives(models, versions).learning()]
    )
    return [
        summary_of(
            key[0], key[1], models.get(*key), reports.of(*key), reports.workers.intake.share(*key),
            life_of(models, versions, *key),
        )
        for key in dict.fromkeys([*models, *learning, *reported])
        if wanted(key[0])
    ]  # fmt: skip


def life_of(
    models: RegistrationsTable, versions: VersionsTable | None, model: str, version: str
) -> VersionEvent | None:
    """Return the newest event of a model version's life; None where the version was registered after its retirement."""
    if versions is None:
        return None
    lives = _lives(models, versions)
    return lives.learns(model, version) or lives.get(model, version)


def _lives(models: RegistrationsTable, versions: VersionsTable) -> Registered:
    def registered_at(model: str, version: str) -> datetime | None:
        known = models.get(model, version)
        return None if known is None else known.registered_at

    return Registered(versions, registered_at)


def summary_of(
    model: str, version: str, known: Registration | None, found: ModelReports, dead_letter_share: float | None = None,
    life: VersionEvent | None = None,
) -> ModelSummary:  # fmt: skip
    """Return the summary of one model version, from its registration, reports and alerts."""
    drift, performance = found.drift.latest, found.performance.latest
    ends = [report.window_end for report in (drift, performance) if report is not None]
    name = preferred(metrics_of(found)) or ""
    truth = found.realised
    known_truth = truth if truth is not None and truth.feedback else None
    realised = metric_of(truth.metrics, name) if truth else None
    estimated = metric_of(performance.estimated, name) if performance else None
    firing = found.firing
    retired = life if life is not None and life.status == "retired" else None
    learning = life if life is not None and life.status == "learning" else None
    newest = drift or performance
    return ModelSummary(
        model=model,
        model_version=version,
        state=state_of(found, retired=retired is not None, learning=learning is not None),
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
        degraded=bool(truth and truth.sufficient and truth.degraded_metrics),
        coverage=None if truth is None else truth.coverage,
        firing=len(firing),
        level=max(firing, key=lambda alert: rank(alert.level)).level if firing else None,
        truth_start=known_truth.window_start if known_truth else None,
        truth_end=known_truth.window_end if known_truth else None,
        judged=realised.judged if realised else known_truth is None,
        reason=_reason(truth, realised),
        accounting=list(accounting_of(truth)) if truth else [],
        left_out=left_out_of(found),
        not_judged=learning_words(learning) or ("" if newest is None else why_not_judged(found)),
        dead_letter_share=dead_letter_share,
        retired=None if retired is None else retired.reason,
        retired_at=None if retired is None else retired.since,
        not_judged_since=None if drift is None else drift.not_judged_since,
        thin="" if drift is None else thin_words(drift),
        usual=None if drift is None or drift.usual is None else msgspec.structs.replace(drift.usual, columns=()),
        learning=None if learning is None else learning.learning,
    )


def _reason(truth: PerformanceReport | None, metric: MetricChange | None) -> str:
    """Return why a window's metric was not compared with its baseline; a reason for all metrics comes first."""
    if truth is None:
        return ""
    return truth.reason or (metric.reason if metric else "")
