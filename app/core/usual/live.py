"""Usual effects of a live stream whose reference has no times: learned from its first weeks, then frozen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from app.core.config.monitoring import Monitoring
from app.core.panes.outcomes import OutcomeLayout
from app.core.reference.layout import Layout
from app.core.reference.usual import ColumnUsual, ReferenceUsual
from app.core.scales.suffixes import Suffixes, spans_of
from app.core.usual.bound import CHANCE
from app.core.usual.days import Days, Look
from app.core.usual.from_days import bounds, faulty_days, seen_at, without_difference
from app.core.usual.live_metrics import MetricWeeks
from app.core.usual.observed import FAULTS, Binned, effects_against_reference, learned_slots
from app.core.usual.spans import DAY, FEWEST_ROWS, learned_spans
from app.core.usual.weeks import Weeks, needed_days

LATER = 1.5
"""Factor of the retention after which the join, which sweeps three times in it, has swept a pane for the last time."""


@dataclass(frozen=True, slots=True)
class UsualState:
    """Source of the usual effects for windows: the `reference`, the `live` stream, or none, while `learning`.

    `since`, `until`: the time that was learned from, in epoch seconds. While learning `until` is the expected end if
    predictions come on each day, None before the first. `days`: with predictions so far, of those that it `needs`.
    """

    source: Literal["reference", "live", "learning"]
    since: float | None = None
    until: float | None = None
    days: int | None = None
    needs: int | None = None


class LiveUsual:
    """The usual effects of the columns and of the metrics, as far as they are learned."""

    def __init__(self, layout: Layout, outcomes: OutcomeLayout, monitoring: Monitoring) -> None:
        windows, needs = monitoring.windows, needed_days(monitoring.windows)
        spans = _spans(monitoring, needs)
        self.columns = ColumnWeeks(layout, monitoring, spans, needs)
        later = ceil(LATER * windows.retention / windows.pane)
        self.metrics = MetricWeeks(layout.profile, outcomes, monitoring, spans, needs, later)
        self._with_metrics: ReferenceUsual | None = None

    def at(self, end: int) -> ReferenceUsual | None:
        """Return the usual effects for the window that ends with a pane; None where they are not known."""
        usual = self.columns.learned
        if usual is None or end < self.columns.first:
            return None
        metrics = self.metrics.learned
        if metrics is None or end < self.metrics.first:
            return usual
        if self._with_metrics is None:
            self._with_metrics = replace(usual, metrics=self.metrics.at_spans(usual.spans))
        return self._with_metrics

    def state(self, end: int) -> UsualState:
        """Return the state of the usual effects for the window that ends with a pane."""
        known, days, needs = self.at(end), sorted(self.columns.days.days), self.columns.needs
        if known is not None:
            return UsualState("live", known.since, known.until, needs, needs)
        if self.columns.learned is not None:
            return UsualState("learning", self.columns.learned.since, self.columns.learned.until, needs, needs)
        if not days:
            return UsualState("learning", days=0, needs=needs)
        whole = len(days) - 1  # the first day may be incomplete
        return UsualState("learning", days[0] * DAY, (days[-1] + 1 + needs - whole) * DAY, whole, needs)


def _spans(monitoring: Monitoring, needs: int) -> tuple[int, ...]:
    """Return the spans, in panes, that a stream judges and that occur several times in this many days."""
    pane, most = monitoring.windows.pane, monitoring.windows.most_panes
    judged = tuple(span * pane for span in spans_of(monitoring.windows.panes, most))
    lengths = (round(one / pane) for one in learned_spans(judged, needs * DAY))
    return tuple(sorted({span for span in lengths if 1 <= span <= most}))


class ColumnWeeks(Weeks[ReferenceUsual]):
    """The first weeks of the columns. Windows of each span are looked at once no late prediction can come."""

    def __init__(self, layout: Layout, monitoring: Monitoring, spans: tuple[int, ...], needs: int) -> None:
        windows = monitoring.windows
        days = Days(spans, windows.pane, len(FAULTS) * len(learned_slots(layout)))
        super().__init__(days, needs, ceil(windows.most_late / windows.pane))
        self.monitoring = monitoring
        self._layout, self._binned = layout, Binned(layout)

    @property
    def long_spans(self) -> tuple[int, ...]:
        """Return the spans longer than a window for which panes are kept separately."""
        wanted = {round(span / self.days.pane) for span in (DAY, 2 * DAY)}
        return tuple(span for span in self.days.spans if span in wanted and span > self.monitoring.windows.panes)

    def take(self, look: Look, suffixes: Suffixes, newest: int) -> None:
        """Take windows that end with a look. `newest`: the span with the rows since the look before."""
        effects = effects_against_reference(self._layout, suffixes)
        for place in look.places:
            if self.days.spans[place] in suffixes.spans:
                scale = suffixes.spans.index(self.days.spans[place])
                if suffixes.n[scale] >= FEWEST_ROWS:
                    self.days.add(look, place, effects[scale])
        if self.days.count(look, self._binned.count(suffixes, suffixes.spans.index(newest))):
            self.unsaved.add(self.days.day_of(look))

    def _learn(self) -> ReferenceUsual:
        """Return the usual effects of the days, without those of a fault.

        A column's constant difference from its reference, present from the first day on, is subtracted.
        """
        windows = seen_at(self.days)
        columns = learned_slots(self._layout)
        rows = {day: one.rows for day, one in self.days.days.items() if one.rows is not None}
        learned = []
        for i, slots in enumerate(columns):
            numeric = slots.column.kind == "numeric"
            found = {}
            for k, floor in enumerate(self._floors(numeric=numeric)):
                place = k * len(columns) + i
                faulty = faulty_days(windows, place, floor, CHANCE)
                effects = bounds(windows, place, faulty, CHANCE)
                if k == 0:
                    away = self._away(i, [one for day, one in rows.items() if day not in faulty])
                    longest = windows[-1].effects[windows[-1].without(faulty), place] if windows else np.zeros(0)
                    effects = without_difference(effects, away, floor, longest)
                found[FAULTS[k]] = tuple(round(effect, 4) for effect in effects)
            unseen = () if numeric else found["unseen"]
            learned.append(ColumnUsual(slots.column.name, found["distribution"], found["missing"], unseen))
        days = sorted(self.days.days)
        return ReferenceUsual(
            since=days[0] * DAY, until=(days[-1] + 1) * DAY,
            rows=sum(int(one.sum()) for one in rows.values()) // max(len(columns), 1),
            spans=tuple(one.span for one in windows), windows=tuple(int(one.side_by_side) for one in windows),
            columns=tuple(learned), source="live",
        )  # fmt: skip

    def _away(self, column: int, rows: Sequence[NDArray[np.int64]]) -> float:
        return float(self._binned.differences(np.sum(rows, axis=0))[column]) if rows else 0.0

    def _floors(self, *, numeric: bool) -> tuple[float, float, float]:
        drift, alerting = self.monitoring.drift, self.monitoring.alerting
        return drift.numerical_effect if numeric else drift.categorical, alerting.missing_share, alerting.unseen_share
