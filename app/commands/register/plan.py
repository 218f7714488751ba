"""Forecast that `driftline register` prints: which changes are found, and how soon, by the reference's or the live
rate.
"""

from __future__ import annotations

import asyncio
import sys

import msgspec

from app.commands.options import print_table
from app.commands.register.given import RegisteredReference
from app.commands.topic_reader import newest
from app.commands.usual_words import usual_words
from app.core.config.monitoring import Monitoring
from app.core.plan import Plan
from app.core.reference.profile import Profile
from app.core.usual.detectable import Detectable
from app.registration.judgeable import HEADER, UNKNOWN, detectable_of, metric_table, not_judged, rows_of, span_words
from app.registration.planning import (
    NO_RATE,
    PLAN_HEADER,
    PredictionRate,
    plan_notes,
    plan_rows,
    rate_of_model,
    rate_words,
)
from app.settings.settings import Settings
from topics.events import AnyReport, DriftReport, minute_of
from topics.registry import REPORTS

NEWEST_REPORTS = 1000
"""Reports that are read from each partition, to estimate the rate of a model's predictions."""


def newest_reports(settings: Settings, profile: Profile) -> list[DriftReport]:
    """Return the newest drift reports of a model, of any version; none where the reference has times of its own."""
    return [] if profile.usual is not None else asyncio.run(_newest_reports(settings, profile.model))


async def _newest_reports(settings: Settings, model: str) -> list[DriftReport]:
    """Return the newest drift reports of a model, of any version."""
    decoder: msgspec.json.Decoder[AnyReport] = msgspec.json.Decoder(AnyReport)
    found = await newest(settings, REPORTS, decoder.decode, NEWEST_REPORTS)
    return [report for report in found if isinstance(report, DriftReport) and report.model == model and report.n]


def print_registered(done: RegisteredReference, monitoring: Monitoring) -> None:
    """Print the registered version: features, baseline, metrics not judged, and the changes that are found."""
    profile, result = done.profile, done.result
    named = f"{result.model} version {result.model_version}"
    print(f"registered {named}: {profile.task}, {profile.n:,} rows, profile {profile.profile_id}")
    print_table(
        ("feature", "kind", "values", "missing", "invalid", "because"),
        [
            (
                c.name,
                c.kind,
                f"{len(c.values or c.categories):,}",
                f"{c.missing:,}",
                f"{c.invalid:,}",
                result.decided.get(c.name, ""),
            )
            for c in profile.features
        ],
    )
    for name, value in profile.baseline.items():
        print(f"baseline {name} {value:.4f}")
    for name, reason in result.not_judged.items():
        print(f"not judged: {name}: {reason}")
    print_detectable(profile, monitoring, done.reports)
    rate = rate_of_model(profile, done.reports)
    print_plan(result.plan, rate, monitoring, () if profile.usual is None else ("truth",))


def print_plan(plan: Plan | None, rate: PredictionRate | None, monitoring: Monitoring, kinds: tuple[str, ...]) -> None:
    """Print which changes are found at the rate, and how soon. `kinds`: of changes; empty: all."""
    if plan is None or rate is None:
        print(f"note: {NO_RATE}", file=sys.stderr)
        return
    print(f"at {rate_words(rate.per_second)} ({rate.source}):")
    if rows := list(plan_rows(plan, kinds)):
        print_table(PLAN_HEADER, rows)
    for line in plan_notes(plan, monitoring):
        print(line)


def print_detectable(profile: Profile, monitoring: Monitoring, reports: list[DriftReport]) -> None:
    """Print the time within which each column can be judged, and the size of the changes that are found by then.

    `reports`: reports of the model. Reports of this version and profile show the usual effects learned from its stream.
    """
    if profile.usual is None:
        of_this = [one for one in reports if one.profile_id == profile.profile_id and one.usual is not None]
        _print_learned(max(of_this, key=lambda report: report.window_end, default=None))
        return
    found = detectable_of(profile, monitoring)
    days = span_words(profile.usual.until - profile.usual.since)
    print(
        f"what is usual was learned from {profile.usual.rows:,} rows of {days}; at their rate a change is found within"
    )
    print_table(HEADER, rows_of(found))
    for line in not_judged(found, profile):
        print(f"not judged: {line}")
    header, rows = metric_table(profile, monitoring)
    if rows:
        print("by so much a metric falls without any change; more than that is judged")
        print_table(header, rows)


def _print_learned(report: DriftReport | None) -> None:
    """Print the usual effects learned from the stream of a version whose reference has no times."""
    usual = None if report is None else report.usual
    if usual is None or usual.source != "live":
        print(f"note: {UNKNOWN}", file=sys.stderr)
        if usual is not None:
            words = usual_words(usual.source, usual.days, usual.needs, minute_of(usual.until))
            print(f"note: {words}", file=sys.stderr)
        return
    print(f"{usual_words(usual.source, usual.days, usual.needs, minute_of(usual.until))}; a change is found within")
    print_table(HEADER, rows_of([Detectable(one.name, one.judged_from, one.after) for one in usual.columns]))
