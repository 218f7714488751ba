"""Records that are not counted: dead letters, records of unregistered models, and feedback without a prediction."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import msgspec

from app.alerting.rules.not_counted import FEWEST, Intake
from topics.events import IntakeReport

MAX_STRANGERS = 100
OTHERS = "others"


class SetAside(msgspec.Struct, frozen=True, kw_only=True):
    """Newest records of a model version on a topic: how many are dead letters, and the reason of the last one.

    `registered`: false for records that name no registered model version; the model is `driftline` then. `beyond`: the
    share exceeds its threshold.
    """

    model: str
    model_version: str
    registered: bool
    topic: str
    recent: int
    dead: int
    share: float
    beyond: bool
    reason: str
    at: datetime


class Unregistered(msgspec.Struct, frozen=True, kw_only=True):
    """Records that named an unregistered model version (`name`: both), as far back as reports are kept."""

    name: str
    count: int
    first: datetime
    last: datetime


class Unmatched(msgspec.Struct, frozen=True, kw_only=True):
    """Newest feedback, at least a minute old, and how much of it has no prediction.

    `beyond`: the share exceeds its threshold.
    """

    settled: int
    unmatched: int
    share: float
    beyond: bool
    at: datetime


class NotCounted(msgspec.Struct, frozen=True, kw_only=True):
    """Records that are not counted, in descending order of their numbers."""

    set_aside: list[SetAside] = []
    unregistered: list[Unregistered] = []
    unmatched: Unmatched | None = None


class IntakeView:
    """The combined intake reports. The size is bounded by the number of registered model versions."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str, str], tuple[Intake, IntakeReport]] = {}
        self._strangers: dict[str, Unregistered] = {}

    def take(self, report: IntakeReport) -> None:
        """Add a report. The reports of one partition come in order."""
        key = (report.model, report.model_version, report.topic)
        before, last = self._known.get(key, (Intake(), report))
        if not report.last_reason:
            report = msgspec.structs.replace(report, last_reason=last.last_reason)
        after = before.noted(report)
        self._known[key] = after, after.over_all(report)
        for name, count in report.unregistered.items():
            self._add(name, count, report.window_end)

    def _add(self, name: str, count: int, at: datetime) -> None:
        if name not in self._strangers and len(self._strangers) >= MAX_STRANGERS:
            name = OTHERS
        known = self._strangers.get(name) or Unregistered(name=name, count=0, first=at, last=at)
        self._strangers[name] = Unregistered(
            name=name, count=known.count + count, first=min(known.first, at), last=max(known.last, at)
        )

    def share(self, model: str, version: str) -> float | None:
        """Return the share of a model version's newest predictions that are dead letters; None where there are none."""
        found = self._known.get((model, version, "predictions"))
        if found is None or not found[1].recent_dead:
            return None
        return found[1].recent_dead / max(found[1].recent, 1)

    def now(self, wanted: Callable[[str], bool] | None = None) -> NotCounted:
        """Return the records that are not counted; with `wanted`, those of the models whose names are wanted."""
        reports = [report for _, report in self._known.values() if wanted is None or wanted(report.model)]
        aside = [_set_aside(report) for report in reports if report.recent_dead]
        matched = [report for report in reports if report.settled]
        return NotCounted(
            set_aside=sorted(aside, key=lambda one: (not one.beyond, -one.dead)),
            unregistered=[] if wanted else sorted(self._strangers.values(), key=lambda one: -one.count),
            unmatched=_unmatched(max(matched, key=lambda one: one.window_end)) if matched else None,
        )


def _set_aside(report: IntakeReport) -> SetAside:
    share = report.recent_dead / max(report.recent, 1)
    return SetAside(
        model=report.model,
        model_version=report.model_version,
        registered=bool(report.profile_id),
        topic=report.topic,
        recent=report.recent,
        dead=report.recent_dead,
        share=share,
        beyond=share > report.threshold and report.recent_dead >= FEWEST,
        reason=report.last_reason,
        at=report.window_end,
    )


def _unmatched(report: IntakeReport) -> Unmatched:
    share = report.unmatched / report.settled
    return Unmatched(
        settled=report.settled,
        unmatched=report.unmatched,
        share=share,
        beyond=share > report.unmatched_threshold and report.unmatched >= FEWEST,
        at=report.window_end,
    )
