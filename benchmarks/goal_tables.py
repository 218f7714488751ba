"""What is behind the rows of the goals: tables by window size, shift and detector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import inf
from statistics import median
from typing import Any

from scipy import special

from benchmarks.goal_calm import Calm
from benchmarks.goal_river import Beside
from benchmarks.scales import Delays

SURE = 0.95


@dataclass(frozen=True)
class Measured:
    """Results by part, and why parts are missing."""

    results: Mapping[str, Sequence[Any]]
    missing: Mapping[str, str]

    def of(self, part: str, kind: type) -> list[Any]:
        """Return a part's results of one kind."""
        return [one for one in self.results.get(part, ()) if isinstance(one, kind)]


def most(alerts: int, evaluations: int) -> float:
    """Return the upper limit (95 %) of a rate: Poisson's law."""
    return float(special.gammaincinv(alerts + 1, SURE)) / max(evaluations, 1)


def calm_table(found: Measured) -> list[str]:
    """Return evaluations and alerts where nothing changes, or harmlessly; empty where that was not measured."""
    results = sorted(found.of("calm", Calm), key=_calm_key)
    if not results:
        return []
    lines = [
        (
            "| rows come | features | rows of a window | references | evaluations | found in the newest panes "
            "| alerts, defaults | every feature critical |"
        ),
        "|---|---|---|---|---|---|---|---|",
    ]
    for (what, features, n), some in groupby(results, key=_calm_key):
        mine = list(some)
        words = {"calm": "as the reference's", "truth": "the same, with truth", "census": "from 2018, reference 2015"}
        evaluations = sum(one.evaluations for one in mine)
        alerts, critical = (sum(getattr(one, name).total() for one in mine) for name in ("alerts", "critical"))
        limit = f"{alerts} (at most {most(alerts, evaluations) * 10_000:.2g} in 10,000)"
        cells = (
            words.get(what, f"all different by {what}"), features, f"{n:,}", len(mine), f"{evaluations:,}",
            "-" if what == "truth" else sum(one.found for one in mine), limit, "-" if what == "truth" else critical,
        )  # fmt: skip
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return lines


def _calm_key(one: Calm) -> tuple[str, int, int]:
    return one.what, one.features, one.n


def delays_of(found: Measured) -> dict[tuple[str, int, bool], list[Delays]]:
    """Results by shift, rows and whether the window alone was judged."""
    by_key: dict[tuple[str, int, bool], list[Delays]] = {}
    for alone, one in found.of("delays", tuple):
        by_key.setdefault((one.words, one.n, alone), []).append(one)
    return by_key


def middle(values: Sequence[float]) -> str:
    """Return the median in writing; "-" where it is not finite."""
    middle = median(values) if values else inf
    return f"{middle:g}" if middle < inf else "-"


def delay_table(found: Measured) -> list[str]:
    """Return panes to alert and resolution; empty where that was not measured."""
    by_key = delays_of(found)
    if not by_key:
        return []
    lines = [
        (
            "| shift | rows of a window | streams | delay, window alone | delay | end, window alone | end "
            "| alerts before or of others | fired twice |"
        ),
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for words, n in sorted({(words, n) for words, n, _ in by_key}):
        old, new = by_key.get((words, n, True), []), by_key.get((words, n, False), [])
        cells = (
            words, f"{n:,}", sum(len(one.delays) for one in new),
            *(middle([value for one in some for value in getattr(one, name)]) if some else "not measured"
              for name in ("delays", "ends") for some in (old, new)),
            sum(one.before for one in new), sum(one.twice for one in new),
        )  # fmt: skip
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return lines


def river_table(found: Measured) -> list[str]:
    """Return panes to the alarm of each detector; empty where that was not measured."""
    ours = found.of("river", Delays)
    others: list[Beside] = [one for _, some in found.of("river", tuple) for one in some]
    if not ours and not others:
        return []
    versions = sorted({version for version, _ in found.of("river", tuple)})
    cells: dict[tuple[str, int], dict[str, list[float]]] = {}
    for one in ours:
        cells.setdefault((one.words, one.n), {}).setdefault("Driftline", []).extend(one.delays)
    for other in others:
        cells.setdefault((other.words, other.n), {})[other.detector] = other.delays if other.parameter else []
    names = list(dict.fromkeys(name for by_name in cells.values() for name in by_name))
    names.sort(key=lambda name: name != "Driftline")
    lines = [
        (
            "Panes of 60 until half of the streams have an alarm (-: fewer than half within 45), each at one false "
            f"alarm a week of a model with 17 columns. River {', '.join(versions) or 'not measured'}. +0.12 sd is "
            "harmless (a KS statistic of 0.05): the later the better."
        ),
        "",
        f"| shift | rows of a window | {' | '.join(names)} |",
        f"|---|---|{'---|' * len(names)}",
    ]
    for (words, n), by_name in sorted(cells.items()):
        shown = (_known(by_name, name) for name in names)
        lines.append(f"| {words} | {n:,} | {' | '.join(shown)} |")
    return lines


def _known(by_name: Mapping[str, list[float]], name: str) -> str:
    if name not in by_name:
        return "not measured"
    return middle(by_name[name]) if by_name[name] else "no parameter has the rate"
