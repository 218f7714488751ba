"""What is not counted, as the workers say: set aside, of nobody that is registered, truth without a prediction."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import msgspec

from app.alerting.rules.not_counted import FEWEST, Intake
from topics.events import IntakeReport

MAX_STRANGERS = 100
OTHERS = "others"


class SetAside(msgspec.Struct, frozen=True, kw_only=True):
    """A model version's newest records of a topic, how many of them are dead letters, and why the last one is.

    `registered`: false for records that name no registered model version; the model is `driftline` then.
    `beyond`: too many.
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
    """Records that named a model version (`name`: both) which is not registered, as far back as reports are kept."""

    name: str
    count: int
    first: datetime
    last: datetime


class Unmatched(msgspec.Struct, frozen=True, kw_only=True):
    """Of the newest feedback, at least a minute old, how much has no prediction. `beyond`: too much."""

    settled: int
    unmatched: int
    share: float
    beyond: bool
    at: datetime


class NotCounted(msgspec.Struct, frozen=True, kw_only=True):
    """All of it, the most first."""

    set_aside: list[SetAside] = []
    unregistered: list[Unregistered] = []
    unmatched: Unmatched | None = None


class IntakeView:
    """The reports on what is not counted, put together, bounded by what is registered."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str, str], tuple[Intake, IntakeReport]] = {}
        self._strangers: dict[str, Unregistered] = {}

    def take(self, report: IntakeReport) -> None:
        """Take a report. Those of one partition come in order."""
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
        """The share of a model version's newest predictions that are dead letters; None where none is."""
        found = self._known.get((model, version, "predictions"))
        if found is None or not found[1].recent_dead:
            return None
        return found[1].recent_dead / max(found[1].recent, 1)

    def now(self, wanted: Callable[[str], bool] | None = None) -> NotCounted:
        """What is known; of models, of those whose names are wanted."""
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
