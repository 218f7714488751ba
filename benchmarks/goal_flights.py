"""The flights of New York in spring 2013 through the real windows, rules and lifecycle, with the defaults.

March is the reference. April and May are calm: what fires there is counted. Then one fault at a time is planted on 1
May at 06:00, and each pane's end after it is judged until the alert has fired and the likely cause was named.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from math import inf
from pathlib import Path

import pandas as pd

from app.registration.monitoring import monitoring_of
from app.registration.profiling import read_reference
from app.tables import read_table
from benchmarks import usual_metrics
from benchmarks.usual import DAY, FAULTS, Seen, World, spoiled

TIMESTAMP, UNTIL, CHANGE = "scheduled", pd.Timestamp("2013-04-01"), pd.Timestamp("2013-05-01 06:00")
IGNORED = ("flight_id", "arr_delay")
WARM_UP = pd.Timedelta(days=9)
"""Before a fault, so that the longest spans are full."""
CAUSES = {
    "distance in km": "x 1.609",
    "air_time in hours": "/ 60",
    "hour in UTC": "+ 4",
    "dep_delay in seconds": "x 60",
}
"""What the likely cause is to say."""
MOST_HOURS = 24.0


@dataclass
class Weeks:
    """What calm weeks gave: evaluations, hours from the first row to the first judged window, alerts by subject."""

    evaluations: int
    first: float
    alerts: Counter[str] = field(default_factory=Counter)


@dataclass
class Planted:
    """One fault: hours to its alert, and to the first report of an alert that fires and names its cause; inf: never."""

    words: str
    fired: float
    named: float
    said: str = ""


@cache
def _flights(path: Path) -> tuple[World, pd.DataFrame]:
    frame = read_table(path)
    before = frame[TIMESTAMP] < UNTIL
    file = monitoring_of({"columns": {"timestamp": TIMESTAMP, "ignore": list(IGNORED)}})
    profile = read_reference("model", "1", frame[before], file).profile
    return World(profile, file, file.monitoring), frame[~before].reset_index(drop=True)


def calm_weeks(path: Path, every: int, days: float) -> Weeks:
    """Judge what follows the reference at the end of each so-manieth pane."""
    world, after = _flights(path)
    start = after[TIMESTAMP].min()
    seen = World(world.profile, world.file, world.monitoring, every).run(
        after[after[TIMESTAMP] < start + pd.Timedelta(days=days)], TIMESTAMP
    )
    fired = Counter(f"{rule} {subject}" for _, rule, subject, how in seen.turned if how == "firing")
    return Weeks(seen.evaluations, (seen.first - start.timestamp()) / 3600, fired)


def calm_metrics(path: Path, every: int) -> Weeks:
    """Judge a model of the reference that foresees late flights by what follows, each with its truth."""
    options = argparse.Namespace(timestamp=TIMESTAMP, until=UNTIL, late="arr_delay", above=15.0, leave=["air_time"])
    reference, after = usual_metrics.predicted(read_table(path), options)
    columns = {"timestamp": TIMESTAMP, "target": usual_metrics.TARGET, "ignore": []}
    file = monitoring_of({"columns": columns, "positive_label": "1"})
    profile = read_reference("model", "1", reference, file).profile
    world = usual_metrics.World(profile, file, file.monitoring).run(after, TIMESTAMP, every)
    fired = Counter(f"{rule} {subject}" for _, rule, subject, how in world.turned if how == "fires")
    return Weeks(len(after), 0.0, fired)


def planted(path: Path, words: str, every: int) -> Planted:
    """Plant a fault; before it the end of each so-manieth pane is judged, after it each, at most MOST_HOURS."""
    world, after = _flights(path)
    name, spoil = FAULTS[words]
    begun = CHANGE.timestamp()
    near = after[TIMESTAMP].between(CHANGE - WARM_UP, CHANGE + pd.Timedelta(hours=MOST_HOURS))
    wanted = CAUSES.get(words)
    found = Planted(words, inf, inf)

    def until(seen: Seen) -> bool:
        fired = _first(at for at, _, subject, how in seen.turned if subject == name and how == "firing" and at > begun)
        causes = [(at, said) for at, subject, said in seen.causes if subject == name and at > begun]
        named = _first(at for at, said in causes if wanted and wanted in said)
        found.fired, found.named = (fired - begun) / 3600, (max(named, fired) - begun) / 3600
        found.said = causes[-1][1] if causes else ""
        return found.fired < inf and (wanted is None or found.named < inf)

    judged = World(world.profile, world.file, world.monitoring, every)
    judged.run(spoiled(after[near], TIMESTAMP, CHANGE, name, spoil), TIMESTAMP, begun - DAY, begun, until)
    return found


def _first(times: Iterator[float]) -> float:
    return next(times, inf)
