"""A model version's stream: panes of drawn rows through the real windows, and their reports through the real rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from agents.windows.reports import drift_report, performance_report
from app.alerting.rules.lifecycle import RuleState, step
from app.alerting.rules.model_rules import rule_of, verdicts_of
from app.core.config.monitoring import Monitoring
from app.core.join.state import MICROSECONDS
from app.core.panes.outcomes import pane_of_rows
from app.core.panes.pane import Pane
from app.core.windows.model_windows import ModelWindows
from benchmarks.populations import Watched
from topics.events import AlertStatus, AnyReport

FIRST = 28_000_000
"""The number of the stream's first pane, which is none of 1970."""


@dataclass(frozen=True, slots=True)
class Turned:
    """An alert that has fired or was resolved."""

    rule: str
    subject: str
    status: AlertStatus


class Rules:
    """The rules of one configuration, and what each remembers."""

    def __init__(self, monitoring: Monitoring) -> None:
        self.monitoring = monitoring
        self._states: dict[tuple[str, str], RuleState] = {}

    def take(self, reports: Sequence[AnyReport]) -> list[Turned]:
        """Return what turns with these reports."""
        turned = []
        for report in reports:
            for verdict in verdicts_of(report, self.monitoring):
                key, rule = (verdict.rule, verdict.subject), rule_of(verdict, self.monitoring.alerting)
                state = self._states.get(key, RuleState())
                self._states[key], change = step(state, verdict, report.window_end.timestamp(), 1, rule)
                if change is not None:
                    turned.append(Turned(verdict.rule, verdict.subject, change.status))
        return turned


class ModelStream:
    """One model version, pane by pane. `truth`: each prediction has its truth at once; otherwise none ever has."""

    def __init__(self, reference: Watched, monitoring: Monitoring, *, truth: bool = False) -> None:
        self.windows = ModelWindows(reference.layout.profile, monitoring, 1, 0.0)
        self.next = 0
        self._truth = truth
        self._pane = round(monitoring.windows.pane * MICROSECONDS)

    def add(self, source: Watched, rows: NDArray[np.int64]) -> None:
        """Count the next pane: rows (by position) of a population that is compiled for the stream's reference."""
        pane = FIRST + self.next
        counts = np.bincount(source.inputs[rows].ravel(), minlength=source.layout.size)
        sums = np.zeros(source.layout.sums, np.int64)
        sums[-2:] = source.mass[rows].sum(axis=0)
        self.windows.add("input", pane, 0, 1, Pane.of(len(rows), counts, sums))
        if self._truth:
            self.windows.add("outcome", pane, 0, 1, pane_of_rows(source.outcome_layout, source.outcomes.pick(rows)))
        self.next += 1
        start, end = pane * self._pane, (pane + 2) * self._pane
        self.windows.progress(0, self.next, end, start, idle=False)
        self.windows.closed(1e9)

    def judge(self) -> list[AnyReport]:
        """Return the reports of the newest pane's end: of drift, and with truth of performance; none without rows."""
        end = FIRST + self.next - 1
        found = self.windows.evaluate(end)
        self.skip()
        if found is None or found.drift is None:
            return []
        now = datetime.now(UTC)
        reports: list[AnyReport] = [drift_report(self.windows, end, found.drift, 1, now, found.panes)]
        if self._truth and found.performance is not None:
            reports.append(performance_report(self.windows, end, found.performance, 1, now, found.panes))
        return reports

    def skip(self) -> None:
        """Leave what is due unjudged."""
        self.windows.changed.clear()
        self.windows.forget()


def rows_of(pane: int, n: int, panes: int) -> int:
    """Return the rows of a pane where each so many `panes` in a row have n."""
    return n * (pane + 1) // panes - n * pane // panes
