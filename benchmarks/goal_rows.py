"""What was measured as a table of goals, a row each, and the tables behind it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import inf
from statistics import median
from typing import Any

from benchmarks.goal_calm import Calm
from benchmarks.goal_cost import Costs
from benchmarks.goal_flights import CAUSES, Planted, Weeks
from benchmarks.goal_tables import Measured, calm_table, delay_table, delays_of, middle, most, river_table
from benchmarks.goal_thin import Thin

MOST = 1e-4
"""False alarms in an evaluation that the goals allow."""


@dataclass(frozen=True)
class Row:
    """One goal. `reached`: None where nothing was measured; `shown`: whether that is enough to say so."""

    what: str
    before: str
    goal: str
    measured: str
    reached: bool | None
    shown: bool = True

    @property
    def words(self) -> str:
        """Whether the goal is reached, in writing."""
        if self.reached is None:
            return "not measured"
        if not self.shown:
            return "too few evaluations to say"
        return "yes" if self.reached else "**no**"


def page(found: Measured) -> str:
    """Return all tables, in Markdown."""
    rows = [*_calm_rows(found), *_delay_rows(found), *_thin_rows(found), *_other_rows(found), *_flight_rows(found)]
    lines = ["| | v0.1 | goal | measured | reached |", "|---|---|---|---|---|"]
    lines += [f"| {row.what} | {row.before} | {row.goal} | {row.measured} | {row.words} |" for row in rows]
    missed = [row.what for row in rows if row.reached is False and row.shown]
    lines += ["", f"Not reached: {'; '.join(missed) if missed else 'none'}."]
    lines += [f"Not run: {part}: {why}." for part, why in found.missing.items()]
    for title, table in (
        ("Alerts where nothing changes, or harmlessly", calm_table(found)),
        ("Panes from a shift to the alert, and from its end (after 45 panes) to the resolution", delay_table(found)),
        ("Beside River's detectors", river_table(found)),
    ):
        if table:
            lines += ["", f"#### {title}", "", *table]
    return "\n".join(lines)


def _rate(alerts: int, evaluations: int) -> str:
    limit = most(alerts, evaluations) * 10_000
    return f"{alerts} in {evaluations:,} evaluations (at most {limit:.2g} in 10,000)"


def _calm_rows(found: Measured) -> Iterator[Row]:
    results = found.of("calm", Calm)
    for what, before, goal, chosen in (
        (
            "false alarms, any rule, no drift, windows of 60 to 50,000 rows, 15 and 100 features",
            "feature alarms in up to 6.1 % of windows at 500 rows", "at most 1 in 10,000 evaluations",
            lambda one: one.what in ("calm", "truth"),
        ),
        (
            "the same with 100 features", "", "at most 1 in 10,000 evaluations",
            lambda one: one.what == "calm" and one.features > 15,
        ),
        (
            "the same of metrics, with the truth of each prediction", "", "at most 1 in 10,000 evaluations",
            lambda one: one.what == "truth",
        ),
        (
            "harmless difference in all 15 columns at once, D 0.02 and 0.05", "", "at most 1 in 10,000 evaluations",
            lambda one: one.what in ("0.02", "0.05"),
        ),
        (
            "harmless difference, census of 2015 and 2018", "", "at most 1 in 10,000 evaluations",
            lambda one: one.what == "census",
        ),
    ):  # fmt: skip
        mine = list(filter(chosen, results))
        if not mine:
            yield Row(what, before, goal, "", None)
            continue
        alerts, evaluations = sum(one.alerts.total() for one in mine), sum(one.evaluations for one in mine)
        yield _rate_row(what, before, goal, alerts, evaluations, _by_rule(mine))
    mine = [one for one in results if one.what == "calm"]
    if mine:
        alerts, evaluations = sum(one.critical.total() for one in mine), sum(one.evaluations for one in mine)
        what = "no drift, every feature critical: the window's own rule beside the scales"
        yield _rate_row(what, "", "(none; 1 in 10,000 is compared with)", alerts, evaluations)


def _rate_row(what: str, before: str, goal: str, alerts: int, evaluations: int, more: str = "") -> Row:
    """A rate is reached where its upper limit is; it is not where the rate itself is larger."""
    reached = most(alerts, evaluations) <= MOST
    shown = reached or alerts / evaluations > MOST
    return Row(what, before, goal, _rate(alerts, evaluations) + more, reached, shown)


def _by_rule(found: Sequence[Calm]) -> str:
    rules: Counter[str] = sum((one.alerts for one in found), Counter())
    return "".join(f"; {rule} {n}" for rule, n in sorted(rules.items()))


def _delay_rows(found: Measured) -> Iterator[Row]:
    by_key = delays_of(found)
    for what, words, sizes, before, goals, ends in (
        ("delay of +1 sd at {}", "mean +1 sd", (500, 2_000, 10_000), "14 / 16 / 17 panes", (8, 2, 1), False),
        ("delay of +0.5 sd at {}", "mean +0.5 sd", (2_000, 10_000), "27 / 32", (12, 3), False),
        ("delay of 20 % of a category at {}", "mix 20 %", (2_000, 10_000), "43 / 40", (5, 2), False),
        ("delay of labels 10 % wrong at {}", "labels 10 %", (10_000,), "16", (5,), False),
        ("resolved after the end of +1 sd at {}", "mean +1 sd", (2_000, 10_000), "about a window", (20, 5), True),
    ):
        values = [
            [panes for one in by_key.get((words, n, False), ()) for panes in (one.ends if ends else one.delays)]
            for n in sizes
        ]
        goal = f"at most {' / '.join(map(str, goals))}{' panes' if len(goals) > 1 else ''}"
        name = what.format(" / ".join(f"{n:,}" for n in sizes)) + " rows a window"
        if not all(values):
            yield Row(name, before, goal, "", None)
            continue
        reached = all(median(each) <= limit for each, limit in zip(values, goals, strict=True))
        yield Row(name, before, goal, " / ".join(map(middle, values)), reached)


def _thin_rows(found: Measured) -> Iterator[Row]:
    results = found.of("thin", Thin)
    for words, name, limit in (
        ("amount x 100", "80 predictions an hour, defaults, amount x 100", 60),
        ("a column null for 12 hours", "the same, a column null for 12 hours", 120),
    ):
        minutes = sorted(value for one in results if one.words == words for value in one.minutes)
        goal = f"within {limit // 60} hour{'s' if limit > 60 else ''}"
        if not minutes:
            yield Row(name, "never", goal, "", None)
            continue
        over = [value for one in results if one.words == words for value in one.over]
        ended = f"; resolved {middle(over)} min after its end" if over else ""
        said = f"after {middle(minutes)} min, at most {minutes[-1]:g} ({len(minutes)} streams){ended}"
        yield Row(name, "never", goal, said, minutes[-1] <= limit)


def _other_rows(found: Measured) -> Iterator[Row]:
    traffic = found.of("traffic", tuple)
    name, goal = "traffic alerts on 28 healthy days and nights", "0"
    if traffic:
        evaluations, wrong = (sum(one[i] for one in traffic) for i in (0, 1))
        yield Row(name, "26", goal, f"{wrong} in {len(traffic)} streams ({evaluations:,} evaluations)", not wrong)
    else:
        yield Row(name, "26", goal, "", None)
    cost = found.of("cost", Costs)
    name, goal = "CPU of judging all scales of 10,000 x 15", "at most 15 ms for all of them"
    said = f"{cost[0].scales:.1f} ms, and {cost[0].window:.1f} ms for the window" if cost else ""
    yield Row(name, "9.5 ms for one window", goal, said, cost[0].scales <= 15.0 if cost else None)


def _flight_rows(found: Measured) -> Iterator[Row]:
    results = dict[str, list[Any]]()
    for name, one in found.of("flights", tuple):
        results.setdefault(name, []).append(one)
    weeks: list[Weeks] = [*results.get("calm_weeks", ()), *results.get("calm_metrics", ())]
    planted: dict[str, Planted] = {one.words: one for one in results.get("planted", ())}
    judged, alerts = "flights, eight calm weeks, defaults: judged", "the same: alerts of any rule"
    if len(weeks) == 2:
        fired: Counter[str] = sum((one.alerts for one in weeks), Counter())
        names = ", ".join(f"{name} {n}" for name, n in sorted(fired.items()))
        said = f"{weeks[0].first:.1f} h after the first row"
        yield Row(judged, "never", "from the first day on", said, 0.0 <= weeks[0].first <= 24.0)
        said = f"{fired.total()} ({names})" if fired else "0"
        yield Row(alerts, "none", "at most 3 (seasons once among them)", said, fired.total() <= 3)
    else:
        yield Row(judged, "never", "from the first day on", "", None)
        yield Row(alerts, "none", "at most 3 (seasons once among them)", "", None)
    yield _faults(
        "flights from 1 May: distance in km, air_time in hours, hour in UTC, dep_delay in seconds, with their cause",
        "within 3 hours each", [planted.get(words) for words in CAUSES], lambda one: one.named, 3.0,
    )  # fmt: skip
    others = ("dep_delay clipped at 0", "a fifth of distance 0")
    yield _faults(
        "flights: dep_delay clipped at 0, a fifth of distances 0", "within 16 hours",
        [planted.get(words) for words in others], lambda one: one.fired, 16.0,
    )  # fmt: skip


def _faults(
    name: str, goal: str, planted: Sequence[Planted | None], hours: Callable[[Planted], float], limit: float
) -> Row:
    known = [one for one in planted if one is not None]
    if len(known) < len(planted):
        return Row(name, "never", goal, "", None)
    said = "; ".join(f"{one.words}: {_hours(one)}" for one in known)
    return Row(name, "never", goal, said, all(hours(one) <= limit for one in known))


def _hours(one: Planted) -> str:
    if one.words not in CAUSES or one.fired == inf:
        return f"{one.fired:.1f} h" if one.fired < inf else "never"
    named = f"{one.named:.1f} h" if one.named < inf else "never"
    return f"{one.fired:.1f} h, cause named {named}" if one.named > one.fired else named
