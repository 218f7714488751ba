"""How often the decision is wrong on data that never drifts, and how soon it is right on data that does.

Rows are drawn from a population that does not change (census people; made-up columns; columns of 200 to 2,000
categories), reference and windows alike, and go through the real decision (`app.core.evaluation.decision`) as panes;
rolling windows (60 panes, rolling by one) also through the real rules and the alert's lifecycle. Each reference is
one of several, since the luck of one reference stays with all of its windows. Then shifts are planted. Beside
Driftline's decision stand, on the same statistics:

plain     any feature with p < 0.05, no correction, no effect size
chunks    thresholds from the reference's own chunks, mean + 3 standard deviations of each feature's statistic, as
          NannyML's StandardDeviationThreshold defines it (nannyml.readthedocs.io, "Thresholds"); here from 30 chunks
          of the window's size, drawn from the reference's population: more than a reference of 5,000 rows could give

Prints tables; `--write` puts them and the picture into docs.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.alerting.rules.lifecycle import RuleState, step
from app.alerting.rules.model_rules import rule_of, verdicts_of
from app.core.config.monitoring import Alerting, Monitoring
from app.core.evaluation.decision import drift_decision, performance_decision
from app.core.evaluation.results import DriftDecision, PerformanceDecision
from benchmarks.calibration_tables import Measured, Shifted, picture, tables, write
from benchmarks.populations import (
    Population,
    Shift,
    Watched,
    census_people,
    compiled,
    enlarged,
    made_up,
    many_categories,
    mislabelled,
    moved,
    remixed,
    spread,
    watched,
)
from benchmarks.window_streams import Window, independent, rolling
from topics.events import AnyReport, DriftReport, PerformanceReport, report_from

R = TypeVar("R")

SIZES = (500, 2_000, 10_000, 50_000)
POPULATIONS = {"census": 0.4, "15": 0.4, "100": 0.2, "many": 0.2}
"""Each population's share of the evaluations at each window size."""
REFERENCES = 5
REFERENCE_ROWS = 5_000
CHUNKS = 30
PLAIN = 0.05
SHIFTS: dict[str, tuple[str, Shift]] = {
    "flat, largest +20 points": ("flat1000", enlarged("flat1000", 0.2)),
    "Zipf, largest +20 points": ("zipf1000", enlarged("zipf1000", 0.2)),
    "mean +0.1 sd": ("x0", moved("x0", 0.1)),
    "mean +0.25 sd": ("x0", moved("x0", 0.25)),
    "mean +0.5 sd": ("x0", moved("x0", 0.5)),
    "mean +1 sd": ("x0", moved("x0", 1.0)),
    "spread x 1.25": ("x0", spread("x0", 1.25)),
    "spread x 1.5": ("x0", spread("x0", 1.5)),
    "spread x 2": ("x0", spread("x0", 2.0)),
    "mix 5 %": ("x8", remixed("x8", 0.05)),
    "mix 10 %": ("x8", remixed("x8", 0.1)),
    "mix 20 %": ("x8", remixed("x8", 0.2)),
    "labels 2 %": ("", mislabelled(0.02)),
    "labels 5 %": ("", mislabelled(0.05)),
    "labels 10 %": ("", mislabelled(0.1)),
}
"""Which feature changes, and how: of the made-up 15 (x0 is normal, x8 has five categories; labels: none), or the only
one of a population of that name with 1,000 categories."""
SHIFT_SIZES = (500, 2_000, 10_000)
CHANGE, LATER = 20, 70
"""Rolling windows before a shift begins, and after."""


@cache
def _population(name: str) -> Population:
    if name == "census":
        return census_people()
    if name == "many":
        return many_categories("200 to 2,000 categories, 6 features")
    if name.isdigit():
        return made_up(int(name))
    return many_categories(name, [(name[:4], int(name[4:]))])


class Judge:
    """One reference: the decision on a window, and what the other rules would say of the same statistics."""

    def __init__(self, watching: Watched, n: int, rng: np.random.Generator) -> None:
        features = tuple(watching.population.features)
        self.monitoring = Monitoring(alerting=Alerting(critical_features=features))
        self.watching = watching
        self.states: dict[tuple[str, str], RuleState] = {}
        chunks = [self.decide(window) for window in independent(watching, n, CHUNKS, rng)]
        statistics = np.array([_statistics(drift) for drift, _ in chunks])
        self.upper = statistics.mean(axis=0) + 3.0 * statistics.std(axis=0)
        self.lower_accuracy = float(np.mean(a := [_accuracy(p) for _, p in chunks]) - 3.0 * np.std(a))

    def decide(self, window: Window) -> tuple[DriftDecision, PerformanceDecision]:
        """The real decisions."""
        w = self.watching
        return drift_decision(w.layout, window.inputs, self.monitoring), performance_decision(
            w.layout.profile, w.outcome_layout, w.layout, window.inputs, window.outcomes, self.monitoring
        )

    def says(self, drift: DriftDecision, performance: PerformanceDecision, feature: str = "") -> dict[str, bool]:
        """What each rule says of a window; with a feature: of that alone."""
        rows = [i for i, f in enumerate(drift.features) if not feature or f.name == feature]
        p = [drift.features[i].p_value for i in rows]
        statistics = _statistics(drift)
        accuracy = next(m for m in performance.metrics if m.name == "accuracy")
        return {
            "windows": True,
            "data": drift.drift_detected,
            "feature": any(drift.features[i].drifted for i in rows),
            "significant": any(drift.features[i].significant for i in rows),
            "prediction": drift.prediction_drift,
            "performance": performance.degraded,
            "missing": any(f.missing_rises for f in drift.features),
            "plain": any(value is not None and value < PLAIN for value in p),
            "chunks": any(statistics[i] > self.upper[i] for i in rows),
            "plain performance": accuracy.high is not None and accuracy.high < (accuracy.baseline or 0.0),
            "chunks performance": (accuracy.value or 0.0) < self.lower_accuracy,
        }

    def fired(self, drift: DriftDecision, performance: PerformanceDecision, number: int) -> list[tuple[str, str]]:
        """Alerts that the rules and the lifecycle fire with this window: rule and subject."""
        found = []
        kinds: tuple[type[AnyReport], ...] = (DriftReport, PerformanceReport)
        decisions: tuple[Any, ...] = (drift, performance)
        for decision, kind in zip(decisions, kinds, strict=True):
            report: AnyReport = report_from(kind, decision, **_ENVELOPE)
            for verdict in verdicts_of(report, self.monitoring):
                key, rule = (verdict.rule, verdict.subject), rule_of(verdict, self.monitoring.alerting)
                state, change = step(self.states.get(key, RuleState()), verdict, float(number), 1, rule)
                self.states[key] = state
                if change is not None and change.status == "firing":
                    found.append(key)
        return found


_ENVELOPE = {
    "model": "m", "model_version": "1", "profile_id": "", "revision": 1, "window_start": "2026-01-01T00:00:00Z",
    "window_end": "2026-01-01T00:00:00Z", "emitted_at": "2026-01-01T00:00:00Z",
}  # fmt: skip


def _statistics(drift: DriftDecision) -> NDArray[np.float64]:
    return np.array([feature.statistic or 0.0 for feature in drift.features])


def _accuracy(performance: PerformanceDecision) -> float:
    return next(m.value or 0.0 for m in performance.metrics if m.name == "accuracy")


def stationary(task: tuple[str, int, int, int]) -> Measured:
    """One reference of one population at one window size: half of the windows on their own, half rolling."""
    name, seed, n, windows = task
    rng = np.random.default_rng([seed, n, *name.encode()])
    judge = Judge(watched(_population(name), REFERENCE_ROWS, rng), n, rng)
    apart: Counter[str] = Counter()
    for window in independent(judge.watching, n, windows // 2, rng):
        apart.update(rule for rule, said in judge.says(*judge.decide(window)).items() if said)
    rolled: Counter[str] = Counter()
    for number, window in enumerate(rolling(judge.watching, n, windows - windows // 2, rng)):
        found = judge.decide(window)
        rolled.update(rule for rule, said in judge.says(*found).items() if said)
        rolled.update(f"alert {rule}" for rule, _ in judge.fired(*found, number))
    return Measured(_population(name).name, n, seed, dict(apart), dict(rolled))


def shifted(task: tuple[str, int, int, int]) -> Shifted:
    """One planted shift at one window size: the share of shifted windows that each rule finds, and its delay."""
    words, n, streams, windows = task
    rng = np.random.default_rng([n, *words.encode()])
    feature, shift = SHIFTS[words]
    population = _population(feature if feature.startswith(("flat", "zipf")) else "15")
    rules = ("feature", "plain", "chunks") if feature else ("performance", "plain performance", "chunks performance")
    found: Counter[str] = Counter()
    before: Counter[str] = Counter()
    delays: dict[str, list[int | None]] = {rule: [] for rule in rules}
    for _ in range(streams):
        judge = Judge(watched(population, REFERENCE_ROWS, rng), n, rng)
        later = compiled(shift(population, rng), judge.watching.layout.profile)
        for window in independent(later, n, windows // streams, rng):
            said = judge.says(*judge.decide(window), feature)
            found.update(rule for rule in (*rules, "windows") if said[rule])
        first: dict[str, int] = {}
        stream = rolling(judge.watching, n, CHANGE + LATER, rng, later, CHANGE)
        for number, window in enumerate(stream):
            decision = judge.decide(window)
            said = judge.says(*decision, feature)
            alerts = judge.fired(*decision, number)
            wanted = ("critical_feature", feature) if feature else ("performance", "")
            fired = any(rule == wanted[0] and wanted[1] in ("", subject) for rule, subject in alerts)
            told = {rules[0]: fired, rules[1]: said[rules[1]], rules[2]: said[rules[2]]}
            if number < CHANGE:
                before.update(rule for rule, yes in told.items() if yes)
                continue
            for rule, yes in told.items():
                if yes:
                    first.setdefault(rule, number - CHANGE + 1)
        for rule in rules:
            delays[rule].append(first.get(rule))
    return Shifted(words, n, rules, dict(found), dict(before), streams * CHANGE, delays)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; answers the exit status."""
    options = _options(arguments)
    os.nice(10)
    started = time.monotonic()
    sizes = tuple(options.sizes)
    evaluations = 60 if options.quick else options.evaluations
    references = 2 if options.quick else REFERENCES
    calm = [
        (name, seed, n, max(4, round(evaluations * share / references)))
        for n in sorted(sizes, reverse=True) for name, share in POPULATIONS.items() for seed in range(references)
        if name in options.populations
    ]  # fmt: skip
    planted = [
        (words, n, 2 if options.quick else options.streams, 10 if options.quick else options.windows)
        for words in (("mean +1 sd", "labels 10 %") if options.quick else options.shifts)
        for n in ((500,) if options.quick else SHIFT_SIZES)
    ]
    known = _Known([], []) if options.load is None else msgspec.json.decode(options.load.read_bytes(), type=_Known)
    measured, found = known.measured, known.shifted
    calm, planted = (calm, planted) if options.load is None else ([], [])
    with multiprocessing.Pool(options.jobs) as pool:
        for one in _told(pool.imap_unordered(stationary, calm), len(calm), "stationary"):
            measured.append(one)
            _save(options.save, known)
        for other in _told(pool.imap_unordered(shifted, planted), len(planted), "shifts"):
            found.append(other)
            _save(options.save, known)
    text = tables(measured, found, REFERENCE_ROWS)
    print(text)
    print(f"{time.monotonic() - started:.0f} s with {options.jobs} processes")
    if options.write:
        write(text)
        picture(measured, found, Path("docs/images/calibration.png"))
    return 0


class _Known(msgspec.Struct):
    """What was measured so far."""

    measured: list[Measured]
    shifted: list[Shifted]


def _save(path: Path | None, known: _Known) -> None:
    if path is not None:
        path.write_bytes(msgspec.json.encode(known))


def _told(results: Iterator[R], total: int, words: str) -> Iterator[R]:
    for number, result in enumerate(results, 1):
        print(f"\r{words} {number} of {total}", end="", file=sys.stderr, flush=True)
        yield result
    print(file=sys.stderr)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.calibration", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add = parser.add_argument
    add("--evaluations", type=int, default=10_000, help="windows without drift at each window size (%(default)s)")
    add("--sizes", type=int, nargs="+", default=SIZES, help="rows of a window")
    add("--populations", nargs="*", default=list(POPULATIONS), choices=POPULATIONS, help="those that never drift")
    add("--shifts", nargs="*", default=list(SHIFTS), choices=SHIFTS, help="those that are planted")
    add("--streams", type=int, default=6, help="references of each planted shift at each size (%(default)s)")
    add("--windows", type=int, default=120, help="shifted windows of each planted shift at each size (%(default)s)")
    add("--jobs", type=int, default=2, help="processes (%(default)s)")
    add("--quick", action="store_true", help="a few windows of each, to see that it runs")
    add("--write", action="store_true", help="put tables and picture into docs")
    add("--save", type=Path, help="a file for all counts, as JSON")
    add("--load", type=Path, help="such a file: measure nothing, make tables and picture of it")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
