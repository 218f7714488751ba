"""The decision beside its goals: one table, a row for each, with what was measured and whether it is reached.

    python -m benchmarks.goals [--quick] [--flights FILE] [--python .venv-compare/bin/python] [--parts calm delays ...]

calm      alerts of any rule where nothing changes, windows of 60 to 50,000 rows, 15 and 100 features, with truth; and
          where every column differs harmlessly (a KS statistic, of categories a distance, of 0.02 and 0.05), or the
          census of 2018 comes after that of 2015
delays    panes from a shift to the alert and from its end to the resolution, by the window alone and with all scales
thin      80 predictions an hour with the defaults
traffic   28 healthy days and nights (see daynight.py)
flights   two calm months of a real stream, and faults in it: needs the table of flights (see goal_flights.py)
river     ADWIN, KSWIN and Page-Hinkley at the same rate of false alarms (see goal_river.py)
cost      CPU of judging all scales

A count without an alarm says no more than an upper limit (95 %), which stands beside it: 3 in as many evaluations. It
takes neighbouring evaluations for independent, which they are not; alerts are counted when they fire, and are apart.

Exit status 0: all parts ran; 2: some did not, which are named. Whether goals are reached does not matter to it.
"""

from __future__ import annotations

import argparse
import os
import pickle
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing import Pool
from pathlib import Path
from typing import Any

from benchmarks import goal_calm, goal_flights, goal_river, goal_thin, scales
from benchmarks.daynight import CURVES, HALF_HOURS, MINUTES, RATES, breaches, healthy
from benchmarks.goal_cost import costs
from benchmarks.goal_rows import page
from benchmarks.goal_tables import Measured
from benchmarks.machine import machine_alone
from benchmarks.usual import FAULTS

PARTS = ("calm", "delays", "thin", "traffic", "flights", "river", "cost")
DECISION = Path("docs/decision.md")
MARKS = ("<!-- goals: begin -->", "<!-- goals: end -->")
CALM = {60: 30_000, 500: 30_000, 2_000: 30_000, 10_000: 20_000, 50_000: 10_000}
"""Evaluations of 15 features at each window size."""
WIDE = {60: 8_000, 500: 8_000, 2_000: 8_000, 10_000: 4_000, 50_000: 2_000}
"""The same of 100 features."""
HARMLESS = {500: 10_000, 2_000: 10_000, 10_000: 10_000}
"""The same of each harmless difference."""
WITH_TRUTH = {60: 6_000, 500: 8_000, 2_000: 8_000, 10_000: 6_000, 50_000: 2_000}
STREAM = 500
"""Evaluations of one reference at one size."""
GOALS = (("mean +1 sd", (500, 2_000, 10_000)), ("mean +0.5 sd", (2_000, 10_000)), ("mix 20 %", (2_000, 10_000)))


@dataclass(frozen=True)
class Task:
    """A piece of a part, for one process."""

    part: str
    run: Callable[[Any], Any]
    argument: Any

    @property
    def key(self) -> str:
        """What names it in a file of results."""
        return f"{self.part} {self.run.__name__} {self.argument!r}"


@dataclass
class Done:
    """What was measured, its part and result by the task's key, and why what is missing is."""

    results: dict[str, tuple[str, Any]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    def by_part(self) -> dict[str, list[Any]]:
        """The results of each part."""
        found: dict[str, list[Any]] = {}
        for part, result in self.results.values():
            found.setdefault(part, []).append(result)
        return found


def tasks(options: argparse.Namespace) -> list[Task]:
    """Everything that is to be run, the longest first."""
    return [
        *([*_river(options)] if "river" in options.parts else ()),
        *([*_flights(options)] if "flights" in options.parts and options.flights else ()),
        *([*_calm(options)] if "calm" in options.parts else ()),
        *([*_delays(options)] if "delays" in options.parts else ()),
        *([*_thin(options)] if "thin" in options.parts else ()),
        *([*_traffic(options)] if "traffic" in options.parts else ()),
        *([Task("cost", costs, 3 if options.quick else 21)] if "cost" in options.parts else ()),
    ]


def _calm(options: argparse.Namespace) -> list[Task]:
    def streams(evaluations: dict[int, int], divide: int) -> list[tuple[int, int, int]]:
        few = 20 if options.quick else min(STREAM, STREAM // divide)
        return [
            (n, seed, few)
            for n, wanted in sorted(evaluations.items())
            for seed in range(1 if options.quick else max(1, round(wanted * options.share / few)))
            if n in options.sizes and (not options.quick or n in (60, 500, 2_000))
        ]

    drawn = [("calm", 15, CALM, 1), ("calm", 100, WIDE, 4)]
    drawn += [(what, 15, HARMLESS, 1) for what in ("0.05", "0.02", "census")]
    found = [
        Task("calm", goal_calm.calm, (what, features, n, seed, few))
        for what, features, evaluations, divide in drawn
        for n, seed, few in streams(evaluations, divide)
        if not options.quick or features == 15
    ]
    return found + [Task("calm", goal_calm.with_truth, one) for one in streams(WITH_TRUTH, 1)]


def _delays(options: argparse.Namespace) -> list[Task]:
    if options.quick:
        return [Task("delays", _shifted, ("mean +1 sd", 2_000, 2, alone, 0)) for alone in (False, True)]
    words = ("mean +1 sd", "mean +0.5 sd", "mix 20 %", "spread x 2", "labels 10 %")
    return [
        Task("delays", _shifted, (one, n, 4, alone, seed))
        for seed in range(max(1, options.streams // 4))
        for alone in (False, True)
        for n in scales.SIZES
        for one in words
        if n in options.sizes and not (alone and seed > options.streams // 8)
    ]


def _shifted(task: tuple[str, int, int, bool, int]) -> tuple[bool, scales.Delays]:
    words, n, streams, alone, seed = task
    return alone, scales.shifted(words, n, streams, scales.WINDOW_ALONE if alone else scales.CRITICAL, seed)


def _thin(options: argparse.Namespace) -> list[Task]:
    seeds = range(1 if options.quick else 5)
    return [
        *(Task("thin", goal_thin.thin, (words, seed, 4, False)) for words in goal_thin.FAULTS for seed in seeds),
        *(Task("thin", goal_thin.thin, ("a column null for 12 hours", 100 + seed, 1, True)) for seed in seeds),
    ]


def _traffic(options: argparse.Namespace) -> list[Task]:
    settings = [(HALF_HOURS, 2 if options.quick else 1)] + ([] if options.quick else [(MINUTES, 37)])
    streams = healthy(settings, (400,) if options.quick else RATES, CURVES[:2] if options.quick else CURVES)
    return [Task("traffic", breaches, one) for one in streams]


def _flights(options: argparse.Namespace) -> list[Task]:
    path, faults = options.flights, list(FAULTS)[: 2 if options.quick else None]
    calm = (path, 240, 7.0) if options.quick else (path, options.every, 1e4)
    return [
        Task("flights", _flown, ("calm_weeks", *calm)),
        Task("flights", _flown, ("calm_metrics", path, 720 if options.quick else 6 * options.every)),
        *(Task("flights", _flown, ("planted", path, one, 60)) for one in faults),
    ]  # fmt: skip


def _flown(task: tuple[Any, ...]) -> tuple[str, Any]:
    name, *arguments = task
    return name, getattr(goal_flights, name)(*arguments)


def _river(options: argparse.Namespace) -> list[Task]:
    streams, share = (2, 0.02) if options.quick else (options.streams, options.share)
    kinds = goal_river.KINDS[:1] if options.quick else goal_river.KINDS
    ours = [
        Task("river", _ours, (words, n, 4, seed))
        for words in (goal_river.WORDS[2:3] if options.quick else goal_river.WORDS)
        for n in ((2_000,) if options.quick else goal_river.SIZES)
        for seed in range(1 if options.quick else streams // 4)
    ]
    return [*(Task("river", _others, (options.python, streams, share, kind)) for kind in kinds), *ours]


def _ours(task: tuple[str, int, int, int]) -> scales.Delays:
    return goal_river.ours(task)


def _others(task: tuple[str, int, float, str]) -> tuple[str, list[goal_river.Beside]] | goal_river.NotRun:
    try:
        return goal_river.river(task)
    except goal_river.NotRun as why:
        return why


def _one(task: Task) -> tuple[Task, Any]:
    return task, task.run(task.argument)


def run(options: argparse.Namespace) -> Done:
    """Measure all that is wanted; what `--save` has already is taken from there, and what is finished goes there."""
    done = Done()
    if options.save is not None and options.save.exists():
        done.results, done.seconds = pickle.loads(options.save.read_bytes())
    every = tasks(options)
    wanted = [] if options.saved else [task for task in every if task.key not in done.results]
    started, before = time.monotonic(), done.seconds
    with Pool(options.jobs) as pool:
        for number, (task, result) in enumerate(pool.imap_unordered(_one, wanted), 1):
            print(f"\r{number} of {len(wanted)}", end="", file=sys.stderr, flush=True)
            if isinstance(result, goal_river.NotRun):
                done.missing[task.part] = str(result)
                continue
            done.results[task.key] = (task.part, result)
            done.seconds = before + time.monotonic() - started
            if options.save is not None:
                options.save.write_bytes(pickle.dumps((done.results, done.seconds)))
    print(file=sys.stderr)
    for part in options.parts:
        mine = [task.key in done.results for task in every if task.part == part]
        if not all(mine):
            done.missing.setdefault(part, f"{sum(mine)} of {len(mine)} pieces ran")
    if "flights" in options.parts and not options.flights:
        done.missing["flights"] = "no table of flights was given (--flights FILE)"
    for part in PARTS:
        if part not in options.parts and part not in {known for known, _ in done.results.values()}:
            done.missing[part] = "not asked for (--parts)"
    return done


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; returns the exit status."""
    options = _options(arguments)
    os.nice(10)
    done = run(options)
    text = page(Measured(done.by_part(), done.missing))
    print(text)
    print(f"\n{machine_alone()}; {done.seconds:.0f} s with {options.jobs} processes")
    if options.write:
        before, after = DECISION.read_text().split(MARKS[0])[0], DECISION.read_text().split(MARKS[1])[1]
        DECISION.write_text(f"{before}{MARKS[0]}\n{text}\n{MARKS[1]}{after}")
    for part, why in done.missing.items():
        print(f"not run: {part}: {why}", file=sys.stderr)
    return 2 if done.missing else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.goals", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="a little of each, to see that it runs")
    add("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="what is measured (all)")
    add("--flights", type=Path, help="the table of flights")
    add("--every", type=int, default=20, help="calm flights: judge the end of each so-manieth pane (%(default)s)")
    add("--python", default=".venv-compare/bin/python", help="of the environment that has river (%(default)s)")
    add("--sizes", type=int, nargs="+", default=scales.SIZES, help="rows of a window (all)")
    add(
        "--share",
        type=float,
        default=1.0,
        help="of the evaluations that do not change, and of those that set River's parameters (%(default)s)",
    )
    add("--streams", type=int, default=12, help="of each shift at each size (%(default)s)")
    add("--jobs", type=int, default=2, help="processes (%(default)s)")
    add("--save", type=Path, help="a file for what was measured: what it has is not run again")
    add("--saved", action="store_true", help="run nothing: the tables of what the file has")
    add("--write", action="store_true", help=f"put the tables into {DECISION}")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
