"""How soon the rules fire and resolve with the newest panes judged beside the window, and how often they are wrong.

Rows are drawn as in `calibration.py` (made-up columns, 15 features; reference 5,000 rows) and go pane by pane through
the real windows, rules and lifecycle. Every feature is critical, so that each has an alert of its own.

    python -m benchmarks.scales [--streams 12] [--calm 2000]

Prints two tables: panes from a shift to the alert, and from its end to the resolution (median over streams, 45 panes
of shift, "-" where fewer than half); and evaluations of data that does not change, or harmlessly (a mean moved by 0.05
to 0.12 deviations, D 0.02 to 0.05), in which anything is found or an alert fires.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from statistics import median

import numpy as np

from agents.window_reports import drift_report
from app.alerting.lifecycle import RuleState, step
from app.alerting.rules import rule_of, verdicts_of
from app.core.config import Alerting, DecisionSettings, Monitoring
from app.core.joining import MICROSECONDS
from app.core.pane import Pane
from app.core.rolling import ModelWindows
from benchmarks.populations import Shift, Watched, compiled, made_up, moved, remixed, spread, watched

PANES, FIRST = 60, 28_000_000
SHIFTS: dict[str, tuple[str, Shift]] = {
    "mean +1 sd": ("x0", moved("x0", 1.0)),
    "mean +0.5 sd": ("x0", moved("x0", 0.5)),
    "mean +0.25 sd": ("x0", moved("x0", 0.25)),
    "spread x 2": ("x0", spread("x0", 2.0)),
    "mix 20 %": ("x8", remixed("x8", 0.2)),
}
SIZES = (500, 2_000, 10_000)
LONG, AFTER = 45, 70


@dataclass
class World:
    """One model version: its windows, and the state of its rules."""

    watching: Watched
    monitoring: Monitoring
    states: dict[tuple[str, str], RuleState] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.windows = ModelWindows(self.watching.layout.profile, self.monitoring, 1, 0.0)

    def end(
        self, pane: int, source: Watched, rows: int, rng: np.random.Generator
    ) -> tuple[bool, list[tuple[str, str]]]:
        """Count a pane, judge its end: whether the newest panes show anything, and which alerts turn (subject, how)."""
        picked = source.inputs[rng.integers(source.population.n, size=rows)]
        counts = np.bincount(picked.ravel(), minlength=source.layout.size)
        partial = Pane.of(rows, counts, np.zeros(source.layout.sums, np.int64))
        self.windows.add("input", FIRST + pane, 0, 1, partial)
        start, time = ((FIRST + pane + i) * 60 * MICROSECONDS for i in (0, 2))
        self.windows.progress(0, pane + 1, time, start, idle=False)
        self.windows.closed(1e9)
        found = self.windows.evaluate(FIRST + pane)
        self.windows.changed.clear()
        self.windows.forget()
        if found is None or found.drift is None:
            return False, []
        report = drift_report(self.windows, FIRST + pane, found.drift, 1, datetime.now(UTC), found.panes)
        turned = list[tuple[str, str]]()
        for verdict in verdicts_of(report, self.monitoring):
            key, rule = (verdict.rule, verdict.subject), rule_of(verdict, self.monitoring.alerting)
            state = self.states.get(key, RuleState())
            self.states[key], change = step(state, verdict, report.window_end.timestamp(), 1, rule)
            if change is not None:
                turned.append((verdict.subject, change.status))
        return bool(report.scales and report.scales.found), turned


def shifted(words: str, n: int, streams: int, monitoring: Monitoring) -> tuple[str, str, int, int]:
    """Return the median delay, the median time to the end, alerts before the shift, and alerts that fired twice."""
    population = made_up(15)
    feature, shift = SHIFTS[words]
    rng = np.random.default_rng([n, *words.encode()])
    delays, ends, before, twice = list[float](), list[float](), 0, 0
    for _ in range(streams):
        calm = watched(population, 5_000, rng)
        later = compiled(shift(population, rng), calm.layout.profile)
        world = World(calm, monitoring)
        fired, over = list[int](), list[int]()
        for pane in range(PANES + LONG + AFTER):
            source = later if PANES <= pane < PANES + LONG else calm
            _, turned = world.end(pane, source, n * (pane + 1) // PANES - n * pane // PANES, rng)
            for subject, how in turned:
                if pane < PANES or subject != feature:
                    before += how == "firing"
                else:
                    (fired if how == "firing" else over).append(pane)
        delays.append(fired[0] - PANES + 1 if fired and fired[0] < PANES + LONG else np.inf)
        ends.append(over[-1] - PANES - LONG + 1 if over else np.inf)
        twice += len(fired) > 1
    return _words(delays), _words(ends), before, twice


def _words(values: list[float]) -> str:
    middle = median(values)
    return f"{middle:g}" if np.isfinite(middle) else "-"


def harmless(by: float, n: int, evaluations: int, monitoring: Monitoring) -> tuple[int, int, int]:
    """Return how many evaluations of a mean moved by so many deviations there were, found anything, fired anything."""
    population = made_up(15)
    rng = np.random.default_rng([n, round(by * 1000)])
    said = fired = made = 0
    for _ in range(4):
        calm = watched(population, 5_000, rng)
        later = compiled(moved("x0", by)(population, rng), calm.layout.profile) if by else calm
        world = World(calm, monitoring)
        for pane in range(evaluations // 4):
            found, turned = world.end(pane, later, n * (pane + 1) // PANES - n * pane // PANES, rng)
            made, said = made + 1, said + found
            fired += sum(how == "firing" for _, how in turned)
    return made, said, fired


def lines(streams: int, evaluations: int) -> Iterator[str]:
    """Both tables, a line each."""
    features = tuple(made_up(15).features)
    on = Monitoring(alerting=Alerting(critical_features=features))
    off = replace(on, decision=DecisionSettings("off"))
    yield f"| shift ({streams} streams) | rows | delay, window | delay | end, window | end | others | twice |"
    yield "|---|---|---|---|---|---|---|---|"
    for words in SHIFTS:
        for n in SIZES:
            old, new = shifted(words, n, streams, off), shifted(words, n, streams, on)
            yield f"| {words} | {n:,} | {old[0]} | {new[0]} | {old[1]} | {new[1]} | {new[2]} | {new[3]} |"
    yield ""
    yield "| mean moved by | rows | evaluations | found | alerts |"
    yield "|---|---|---|---|---|"
    for by in (0.0, 0.05, 0.12):
        for n in SIZES:
            made, said, fired = harmless(by, n, evaluations, on)
            yield f"| {by} sd | {n:,} | {made:,} | {said} | {fired} |"


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--streams", type=int, default=12)
    parser.add_argument("--calm", type=int, default=2_000, help="evaluations of what does not change, at each size")
    options = parser.parse_args()
    for line in lines(options.streams, options.calm):
        print(line, flush=True)


if __name__ == "__main__":
    main()
