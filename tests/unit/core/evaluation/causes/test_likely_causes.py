"""The likely cause where some panes are from before the change, and of hours in a part of a day."""

from __future__ import annotations

import numpy as np
import pytest

from app.core.evaluation.causes import cause_of
from app.core.panes.pane import Pane, merge
from app.core.scales.likely import Clock, clock_of, likely_cause
from app.core.scales.suffixes import suffixes_of
from tests.support.columns import Values
from tests.support.flights import LAYOUT, flights, summed

END, DAY = 10_000, 96
"""Panes of a quarter of an hour."""
PLACES = {slots.column.name: place for place, slots in enumerate(LAYOUT.slots)}


def stream(columns: list[dict[str, Values]]) -> dict[int, Pane]:
    return {END - len(columns) + 1 + i: summed(LAYOUT, rows) for i, rows in enumerate(columns)}


def morning(seed: int, n: int) -> dict[str, Values]:
    """Flights of which hardly any is late."""
    rng = np.random.default_rng(seed)
    late = np.where(rng.random(n) < 0.1, rng.gamma(0.7, 60.0, n), rng.normal(-4.0, 3.0, n))
    return {**flights(seed, n), "dep_delay": np.round(late).astype(np.float64)}


def test_a_unit_is_named_though_the_panes_that_show_it_begin_before_it() -> None:
    """Delays in seconds leave the reference but for a few, beside which the older ones are many."""
    rows = [morning(seed, 10) for seed in range(15)]
    rows[1:] = [{**one, "dep_delay": np.asarray(one["dep_delay"], np.float64) * 60.0} for one in rows[1:]]
    panes, place = stream(rows), PLACES["dep_delay"]
    shown = merge(panes.values(), LAYOUT.size, LAYOUT.sums)
    assert cause_of(LAYOUT, shown, place) is None
    found = likely_cause(LAYOUT, shown, place, panes, END, 14, None)
    assert found is not None
    assert (found.kind, found.factor) == ("unit", 60.0)
    assert likely_cause(LAYOUT, shown, place, panes, END, 15, None) is None  # no fewer panes: nothing else to look at


def hours(first: int, panes: int, moved: int, seed: int) -> list[dict[str, Values]]:
    """Panes of ten rows that begin at a quarter of an hour of the day, with the hour that a clock shows."""
    rows = []
    for quarter in range(first, first + panes):
        one = dict(flights(seed + quarter, 10))
        one["hour"] = np.full(10, float((quarter // 4 + moved) % 24))
        rows.append(one)
    return rows


@pytest.mark.parametrize(("moved", "words"), [(4, "+ 4 of 24 hours"), (-2, "- 2 of 24 hours"), (0, None)])
def test_hours_by_another_clock_are_named_beside_those_of_yesterday(moved: int, words: str | None) -> None:
    """From ten to noon, where neither those hours nor others say anything beside all of a day."""
    columns = [*hours(40, DAY, 0, 1), *hours(40, 8, moved, 1_000)]
    panes, place = stream(columns), PLACES["hour"]
    suffixes = suffixes_of(panes, END, (1, 2, 4, 8, 96), LAYOUT.size)
    clock = clock_of(suffixes, 900.0)
    assert clock == Clock(4, DAY)
    shown = merge((panes[END - i] for i in range(8)), LAYOUT.size, LAYOUT.sums)
    alone = cause_of(LAYOUT, shown, place)
    found = likely_cause(LAYOUT, shown, place, panes, END, 8, clock)
    assert found == alone if words is None else (found and found.words.split(" (")[0] == words)
    assert likely_cause(LAYOUT, shown, place, panes, END, 8, None) == alone
    assert likely_cause(LAYOUT, shown, PLACES["distance"], panes, END, 8, clock) is None


def test_without_a_yesterday_or_enough_rows_nothing_is_said_of_hours() -> None:
    columns = hours(40, 8, 4, 1_000)
    panes, place = stream(columns), PLACES["hour"]
    shown = merge(panes.values(), LAYOUT.size, LAYOUT.sums)
    assert likely_cause(LAYOUT, shown, place, panes, END, 8, Clock(4, DAY)) == cause_of(LAYOUT, shown, place)
    assert clock_of(suffixes_of(panes, END, (1, 2), LAYOUT.size), 900.0) is None
    assert clock_of(suffixes_of(panes, END, (1, 8), LAYOUT.size), 86_400.0) is None
