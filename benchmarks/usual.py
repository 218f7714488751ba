"""How many alerts a real stream gives that is calm, and how soon faults in it are found, with what is usual learned.

    python -m benchmarks.usual flights.parquet --timestamp scheduled --until 2013-04-01 --ignore flight_id arr_delay

The rows before `--until` are the reference, with what is usual in it; those after it go pane by pane through the real
windows, rules and lifecycle, with the defaults. Then faults are planted one at a time at `--change`, each in a column
of this name where the table has it. Prints the alerts of the calm weeks, hours of them with a finding by feature, and
hours from each fault to the first finding and alert.

With `--no-times` the reference's times are left out: what is usual is learned from the first weeks after it, and calm
is what comes once it is known.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import inf
from pathlib import Path

import numpy as np
import pandas as pd

from agents.windows.reports import drift_report
from app.alerting.rules.lifecycle import RuleState, step
from app.alerting.rules.model_rules import rule_of, verdicts_of
from app.core.config.monitoring import Monitoring
from app.core.join.state import MICROSECONDS
from app.core.reference.profile import Profile
from app.core.windows.model_windows import ModelWindows
from app.offline.decision import panes_of
from app.registration.monitoring import MonitoringFile, monitoring_of
from app.registration.profiling import read_reference
from app.tables import CellTable, read_table
from app.tables.times import epoch_seconds
from topics.events import DriftReport

DAY = 86_400.0
Fault = Callable[[pd.Series], pd.Series]
FAULTS: dict[str, tuple[str, Fault]] = {
    "distance in km": ("distance", lambda column: column * 1.609),
    "air_time in hours": ("air_time", lambda column: column / 60),
    "hour in UTC": ("hour", lambda column: (column + 4) % 24),
    "dep_delay in seconds": ("dep_delay", lambda column: column * 60),
    "dep_delay clipped at 0": ("dep_delay", lambda column: column.clip(lower=0)),
    "a fifth of distance 0": ("distance", lambda column: column.where(np.arange(len(column)) % 5 > 0, 0)),
}


@dataclass
class Seen:
    """What a stream gave: alerts as (time, rule, subject, how), which features were found at each pane's end, and the
    likely causes that were said of them.
    """

    turned: list[tuple[float, str, str, str]] = field(default_factory=list)
    found: list[tuple[float, tuple[str, ...]]] = field(default_factory=list)
    causes: list[tuple[float, str, str]] = field(default_factory=list)
    evaluations: int = 0
    judged: int = 0
    learning: int = 0
    first: float = 0.0


def spoiled(frame: pd.DataFrame, timestamp: str, change: pd.Timestamp, name: str, spoil: Fault) -> pd.DataFrame:
    """Return the table with a fault in a numeric column from a time on."""
    broken = frame[timestamp] >= change
    column = frame[name].astype(float)
    column[broken] = spoil(column[broken])
    return frame.assign(**{name: column})


@dataclass
class World:
    """One model version: its windows, and the state of its rules."""

    profile: Profile
    file: MonitoringFile
    monitoring: Monitoring
    every: int = 1

    def run(
        self,
        frame: pd.DataFrame,
        timestamp: str,
        since: float = 0.0,
        closely: float = inf,
        until: Callable[[Seen], bool] = lambda seen: False,
    ) -> Seen:
        """Judge a table as a stream: at each pane's end, all that is due from `since` (epoch seconds) on.

        `closely`: from then on each pane's end is judged, whatever `every`. `until`: what ends it.
        """
        times = epoch_seconds(CellTable(frame), timestamp)
        windows = ModelWindows(self.profile, self.monitoring, 1, 0.0)
        states: dict[tuple[str, str], RuleState] = {}
        seen, pane = Seen(), self.monitoring.windows.pane
        for number, one in panes_of(windows.layout, frame, times, pane, self.file.columns):
            time = int((number + 1) * pane * MICROSECONDS)
            for end in _due(windows, number - 1):
                if end * pane >= (since if end % self.every == 0 else closely):
                    self._judge(windows, end, states, seen)
                windows.changed.discard(end)
            windows.add("input", number, 0, 1, one)
            windows.progress(0, number, time, time, idle=False)
            if not number % 60:
                windows.forget()
            if until(seen):
                break
        return seen

    def _judge(self, windows: ModelWindows, end: int, states: dict[tuple[str, str], RuleState], seen: Seen) -> None:
        found = windows.evaluate(end)
        if found is None or found.drift is None:
            return
        report = drift_report(windows, end, found.drift, 1, datetime.now(UTC), found.panes)
        at = report.window_end.timestamp()
        if found.usual is not None and found.usual.source == "learning":
            seen.learning += 1
            return
        seen.evaluations += 1
        seen.judged += report.sufficient
        seen.first = seen.first or (at if report.sufficient else 0.0)
        seen.found.append((at, _found(report)))
        scales = () if report.scales is None else report.scales.found
        seen.causes += [(at, one.name, one.cause.words) for one in scales if one.cause is not None]
        for verdict in verdicts_of(report, self.monitoring):
            key, rule = (verdict.rule, verdict.subject), rule_of(verdict, self.monitoring.alerting)
            states[key], change = step(states.get(key, RuleState()), verdict, at, 1, rule)
            if change is not None:
                seen.turned.append((at, verdict.rule, verdict.subject, change.status))


def _due(windows: ModelWindows, newest: int) -> list[int]:
    ends = sorted(end for end in windows.changed if end <= newest)
    windows._closed = max(windows._closed, newest)
    return ends


def _found(report: DriftReport) -> tuple[str, ...]:
    scales = () if report.scales is None else report.scales.found
    newest = {f"{one.name} {one.fault}" for one in scales}
    return tuple(sorted(newest | {f"{one.name} window" for one in report.features if one.drifted}))


def _time(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M}"


def lines(frame: pd.DataFrame, options: argparse.Namespace) -> Iterator[str]:
    """What was measured, a line each."""
    columns = {"ignore": options.ignore} | ({} if options.no_times else {"timestamp": options.timestamp})
    before = frame[options.timestamp] < pd.Timestamp(options.until)
    file = monitoring_of({"columns": columns})
    table = frame[before].drop(columns=options.timestamp) if options.no_times else frame[before]
    reference = read_reference("model", "1", table, file)
    features = [column.name for column in reference.profile.features]
    yield f"reference: {before.sum():,} rows; " + "; ".join(reference.notes)
    world = World(reference.profile, file, file.monitoring, options.every)
    after = frame[~before].reset_index(drop=True)
    if not options.faults_only:
        first = after[options.timestamp].min()
        calm = after[after[options.timestamp] < first + pd.Timedelta(days=options.calm_days)]
        yield from _calm(world.run(calm, options.timestamp), _time(first.timestamp()))
    change = pd.Timestamp(options.change)
    ahead = pd.Timedelta(days=365 if options.no_times else 9)
    near = (after[options.timestamp] >= change - ahead) & (
        after[options.timestamp] < change + pd.Timedelta(days=options.days)
    )
    for words, (name, spoil) in list(FAULTS.items())[: options.faults]:
        if name in features:
            bad = spoiled(after[near], options.timestamp, change, name, spoil)
            seen = world.run(bad, options.timestamp, change.timestamp() - DAY)
            yield from _fault(words, name, seen, change.timestamp())


def _calm(seen: Seen, first: str) -> Iterator[str]:
    yield (
        f"calm: {seen.evaluations:,} evaluations, {seen.judged:,} with enough rows for the window's rule; "
        f"the first row {first}, the first of these {_time(seen.first)}; {seen.learning:,} while it learns"
    )
    hours: dict[str, set[int]] = {}
    for at, names in seen.found:
        for name in names:
            hours.setdefault(name, set()).add(int(at // 3600))
    for name, there in sorted(hours.items()):
        yield f"calm: {name}: found in {len(there):,} hours"
    fired = Counter((rule, subject) for _, rule, subject, how in seen.turned if how == "firing")
    for (rule, subject), n in sorted(fired.items()):
        when = [f"{_time(at)} {how}" for at, r, s, how in seen.turned if (r, s) == (rule, subject)]
        yield f"calm: {rule} {subject}: fired {n} times ({', '.join(when[:12])}{', ...' if len(when) > 12 else ''})"
    yield f"calm: {sum(fired.values())} alerts in all"


def _fault(words: str, name: str, seen: Seen, change: float) -> Iterator[str]:
    found = next((at for at, names in seen.found if at > change and any(n.startswith(name) for n in names)), None)
    fired = [
        (at, rule) for at, rule, subject, how in seen.turned if how == "firing" and at > change and subject == name
    ]
    before = any(n.startswith(name) for at, names in seen.found if at <= change for n in names)
    said = "never" if found is None else f"{(found - change) / 3600:.2f} h"
    alert = f"{fired[0][1]} after {(fired[0][0] - change) / 3600:.2f} h" if fired else "none"
    yield f"fault: {words}: found after {said}, alert {alert}{' (found before the change too)' if before else ''}"
    causes = [(at, cause) for at, subject, cause in seen.causes if at > change and subject == name]
    if causes:
        often = Counter(cause for _, cause in causes).most_common(1)[0]
        first = f"first “{causes[0][1]}” after {(causes[0][0] - change) / 3600:.2f} h"
        yield f"fault: {words}: likely cause: {first}; most often “{often[0]}” ({often[1]} of {len(causes)})"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--timestamp", default="timestamp")
    parser.add_argument("--until", required=True, help="the reference's end")
    parser.add_argument("--change", default="2013-05-01 06:00")
    parser.add_argument("--days", type=float, default=2.0, help="how long a fault lasts")
    parser.add_argument("--ignore", nargs="*", default=[])
    parser.add_argument("--faults", type=int, default=len(FAULTS), help="how many of the faults are planted")
    parser.add_argument("--faults-only", action="store_true")
    parser.add_argument("--calm-days", type=float, default=1e4, help="how much of what follows is judged as calm")
    parser.add_argument("--no-times", action="store_true", help="learn what is usual from what comes after it")
    parser.add_argument("--every", type=int, default=1, help="judge the end of each so-manieth pane alone")
    options = parser.parse_args(arguments)
    for line in lines(read_table(options.file), options):
        print(line, flush=True)


if __name__ == "__main__":
    main()
