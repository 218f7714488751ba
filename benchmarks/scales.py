"""How soon the rules fire and resolve with the newest panes judged beside the window, and how often they are wrong.

Rows are drawn as in `calibration.py` (made-up columns, 15 features; reference 5,000 rows) and go pane by pane through
the real windows, rules and lifecycle. Every feature is critical, so that each has an alert of its own. Labels are
turned round with the truth of each prediction at hand.

    python -m benchmarks.scales [--streams 12] [--calm 2000]

Prints two tables: panes from a shift to the alert, and from its end to the resolution (median over streams, 45 panes
of shift, "-" where fewer than half); and evaluations of data that does not change, or harmlessly (a mean moved by 0.05
to 0.12 deviations, D 0.02 to 0.05), in which anything is found or an alert fires.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from statistics import median

import numpy as np

from app.core.config.monitoring import Alerting, DecisionSettings, Monitoring
from benchmarks.model_stream import ModelStream, Rules, rows_of
from benchmarks.populations import Shift, compiled, made_up, mislabelled, moved, remixed, spread, watched
from topics.events import DriftReport

PANES = 60
REFERENCE = 5_000
SHIFTS: dict[str, tuple[str, Shift]] = {
    "mean +1 sd": ("x0", moved("x0", 1.0)),
    "mean +0.5 sd": ("x0", moved("x0", 0.5)),
    "mean +0.25 sd": ("x0", moved("x0", 0.25)),
    "mean +0.12 sd": ("x0", moved("x0", 0.12)),
    "spread x 2": ("x0", spread("x0", 2.0)),
    "mix 20 %": ("x8", remixed("x8", 0.2)),
    "labels 10 %": ("", mislabelled(0.1)),
}
"""Which feature changes, and how; labels: none. +0.12 sd is harmless: a KS statistic of 0.05."""
SIZES = (60, 500, 2_000, 10_000, 50_000)
LONG, AFTER = 45, 70
BEFORE = 3
"""Panes before a shift that are judged, so that the rules know what was calm."""
OVER = 20
"""Panes after the resolution that are judged: an alert that comes back comes soon."""
FEATURES = tuple(f"x{i}" for i in range(15))
CRITICAL = Monitoring(alerting=Alerting(critical_features=FEATURES))
WINDOW_ALONE = replace(CRITICAL, decision=DecisionSettings("off"))


@dataclass
class Delays:
    """One shift at one window size: panes to each stream's first alert, and from the shift's end to its resolution.

    inf where there is none. `before`: alerts of other features, or before the shift; `twice`: streams in which the
    alert fired again.
    """

    words: str
    n: int
    delays: list[float] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)
    before: int = 0
    twice: int = 0


def shifted(words: str, n: int, streams: int, monitoring: Monitoring, seed: int = 0) -> Delays:
    """Plant a shift of LONG panes in streams of windows of n rows, each with a reference of its own."""
    population = made_up(15)
    feature, shift = SHIFTS[words]
    rng = np.random.default_rng([seed, n, *words.encode()])
    found = Delays(words, n)
    for _ in range(streams):
        calm = watched(population, REFERENCE, rng)
        later = compiled(shift(population, rng), calm.layout.profile)
        stream, rules = ModelStream(calm, monitoring, truth=not feature), Rules(monitoring)
        fired, over, subjects = list[int](), list[int](), list[tuple[str, str]]()
        first = max(PANES, monitoring.drift.min_samples * PANES // n)
        for pane in range(first + LONG + AFTER):
            source = later if first <= pane < first + LONG else calm
            stream.add(source, rng.integers(population.n, size=rows_of(pane, n, PANES)))
            if pane < first - BEFORE:
                stream.skip()
                continue
            for one in rules.take(stream.judge()):
                if pane < first or not _wanted(one.rule, one.subject, feature):
                    found.before += one.status == "firing"
                elif one.status == "firing":
                    fired.append(pane)
                    subjects.append((one.rule, one.subject))
                else:
                    over.append(pane)
            if pane >= first + LONG and len(over) >= len(fired) and pane - max(over, default=0) >= OVER:
                break
        delayed = bool(fired) and fired[0] < first + LONG
        found.delays.append(fired[0] - first + 1 if delayed else np.inf)
        found.ends.append(over[-1] - first - LONG + 1 if delayed and over else np.inf)
        found.twice += len(subjects) > len(set(subjects))
    return found


def _wanted(rule: str, subject: str, feature: str) -> bool:
    """Whether an alert is of the feature; of labels: of any metric."""
    return subject == feature if feature else rule in ("performance", "performance_estimate")


def middle(values: list[float]) -> str:
    """Return the median in writing; "-" where fewer than half of the values are finite."""
    found = median(values)
    return f"{found:g}" if np.isfinite(found) else "-"


def harmless(by: float, n: int, evaluations: int, monitoring: Monitoring) -> tuple[int, int, int]:
    """Return how many evaluations of a mean moved by so many deviations there were, found anything, fired anything."""
    population = made_up(15)
    rng = np.random.default_rng([n, round(by * 1000)])
    said = fired = made = 0
    for _ in range(4):
        calm = watched(population, REFERENCE, rng)
        later = compiled(moved("x0", by)(population, rng), calm.layout.profile) if by else calm
        stream, rules = ModelStream(calm, monitoring), Rules(monitoring)
        for pane in range(evaluations // 4):
            stream.add(later, rng.integers(population.n, size=rows_of(pane, n, PANES)))
            reports = stream.judge()
            made += 1
            said += any(isinstance(one, DriftReport) and one.scales and one.scales.found for one in reports)
            fired += sum(one.status == "firing" for one in rules.take(reports))
    return made, said, fired


def lines(streams: int, evaluations: int) -> Iterator[str]:
    """Both tables, a line each."""
    yield f"| shift ({streams} streams) | rows | delay, window | delay | end, window | end | others | twice |"
    yield "|---|---|---|---|---|---|---|---|"
    for words in SHIFTS:
        for n in SIZES:
            old, new = shifted(words, n, streams, WINDOW_ALONE), shifted(words, n, streams, CRITICAL)
            cells = middle(old.delays), middle(new.delays), middle(old.ends), middle(new.ends), new.before, new.twice
            yield f"| {words} | {n:,} | {' | '.join(map(str, cells))} |"
    yield ""
    yield "| mean moved by | rows | evaluations | found | alerts |"
    yield "|---|---|---|---|---|"
    for by in (0.0, 0.05, 0.12):
        for n in SIZES:
            made, said, fired = harmless(by, n, evaluations, CRITICAL)
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
