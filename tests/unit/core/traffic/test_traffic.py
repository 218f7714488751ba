"""Day and night: traffic against simulated curves, and what is known of yesterday after a restart."""

from __future__ import annotations

from dataclasses import replace
from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binom

from agents.windows.pane_retention import Notes, PanePartition, forgotten_name, keys_to_delete, resume
from app.core.config.monitoring import Monitoring, Windows
from app.core.evaluation.results import Traffic
from app.core.join.state import MICROSECONDS
from app.core.panes.pane import Pane
from app.core.scales.levels import traffic_level
from app.core.traffic.history import TrafficHistory, slot_of
from app.core.traffic.judging import TrafficSeen, spans, traffic_of
from app.core.windows.model_windows import ModelWindows, Totals
from tests.support.profiles import PROFILE

HALF_HOURS = Monitoring(windows=Windows(pane=1800, panes=48))
MINUTES = Monitoring(windows=Windows(pane=60, panes=60))
Counts = NDArray[np.int64]


def rates(
    days: int, pane: float, mean: float, *, weekend: float = 0.6, holidays: tuple[int, ...] = ()
) -> NDArray[np.float64]:
    """Predictions in a pane: ten times as many at noon as at night, by the logarithm a sine."""
    hours = (np.arange(round(days * 86_400 / pane)) + 0.5) * pane / 3600
    curve = 10.0 ** ((1 - np.cos(2 * np.pi * (hours - 1) / 24)) / 2)
    day = hours // 24
    curve *= np.where(day % 7 >= 5, weekend, 1.0) * np.where(np.isin(day, holidays), 0.4, 1.0)
    rate: NDArray[np.float64] = curve / curve.mean() * mean * pane / 3600
    return rate


def judged(counts: Counts, monitoring: Monitoring, start: int = 0) -> list[Traffic]:
    """What is found at each pane's end, from one on."""
    pane, panes = monitoring.windows.pane, monitoring.windows.panes
    history, found = TrafficHistory(slot_of(pane)), []
    level = traffic_level(monitoring, len(spans(panes, pane)) + 1)
    for i, n in enumerate(counts.tolist()):
        history.add(i * pane, n)
        if i >= start:
            newest = counts[max(0, i + 1 - 12 * panes) : i + 1]
            seen = TrafficSeen(newest, panes, pane, (i + 1) * pane, history.until((i + 1) * pane, lambda at: 0))
            found.append(traffic_of(seen, monitoring.alerting.volume_drop, level))
    return found


def fires(one: Traffic) -> bool:
    stopped = one.missed is not None and one.missed >= -log(one.chance) and one.silent > one.pause
    return one.sufficient and (stopped or (one.volume is not None and one.volume.found))


@pytest.mark.parametrize("mean", [40, 5_000])
def test_four_weeks_of_days_and_nights_fire_nothing(mean: float) -> None:
    rng = np.random.default_rng(1)
    counts = rng.poisson(rates(28, 1800, mean, holidays=(10, 17)))
    assert not any(map(fires, judged(counts, HALF_HOURS)))


def test_hours_without_any_prediction_are_a_night_from_the_first_one_on() -> None:
    rng = np.random.default_rng(2)
    hours = np.arange(20, 8 * 48) / 2 % 24
    counts = rng.poisson(np.where((hours >= 5) & (hours < 22.5), 25.0, 0.0))
    assert not any(map(fires, judged(counts, HALF_HOURS)))


def test_a_stop_and_a_halving_are_found_by_day() -> None:
    """A stop within the pane by day and within two hours at night; half of 10,000 an hour within two panes."""
    rng = np.random.default_rng(3)
    for mean, hour, left, most in ((80, 12, 0.0, 1), (80, 2, 0.0, 4), (10_000, 14, 0.5, 2), (400, 14, 0.33, 2)):
        rate, first = rates(10, 1800, mean), 9 * 48 + hour * 2
        rate[first:] *= left
        found = judged(rng.poisson(rate)[: first + most], HALF_HOURS, first)
        assert any(map(fires, found)), (mean, hour, left)


def test_a_stop_of_80_an_hour_is_found_within_a_quarter_of_an_hour_of_minutes() -> None:
    rng = np.random.default_rng(4)
    counts = rng.poisson(rates(2, 60, 80))
    counts[1440 + 12 * 60 :] = 0
    assert any(map(fires, judged(counts[: 1440 + 12 * 60 + 15], MINUTES, 1440 + 12 * 60)))


def test_until_a_day_is_known_a_tenth_may_be_the_night() -> None:
    rng = np.random.default_rng(5)
    steady = rng.poisson(600, 600)
    for left, wanted in ((0.5, False), (0.12, False), (0.03, True)):
        counts = np.append(steady, rng.poisson(600 * left, 10))
        assert any(map(fires, judged(counts, MINUTES, 600))) == wanted, left
    silent = np.append(steady, np.zeros(2, np.int64))
    assert any(map(fires, judged(silent, MINUTES, 600)))


def test_batches_with_pauses_between_are_no_stop_and_no_drop() -> None:
    rng = np.random.default_rng(6)
    batches = np.where(np.arange(2 * 1440) % 10 == 0, rng.poisson(3000, 2 * 1440), 0)
    assert not any(map(fires, judged(batches, MINUTES, 60)))


def test_a_drop_without_a_known_day_is_as_likely_as_the_binomial_says() -> None:
    steady = np.full(60, 400)
    counts = np.append(steady, 5)
    volume = judged(counts, MINUTES, 60)[0].volume
    assert volume is not None
    assert volume.found
    assert (volume.panes, volume.recent) == (1, 5)
    assert volume.expected == pytest.approx(40.0)
    assert volume.p_value == pytest.approx(binom.cdf(5, 5 + 3200, 40.0 / 3240.0))


@given(st.lists(st.tuples(st.integers(0, 2000), st.integers(1, 9)), max_size=40), st.integers(0, 2000))
def test_a_history_counts_what_came_between_two_times(panes: list[tuple[int, int]], split: int) -> None:
    history, pane = TrafficHistory(slot_of(60)), 60.0
    for number, n in panes:
        history.add(number * pane, n)
    known = TrafficHistory.unpacked(history.packed())
    assert known.packed() == history.packed()
    inside = [(number, n) for number, n in panes if number <= split]
    later = [(number, n) for number, n in panes if number > split]
    slot = history.slot
    arrived = known.until((split + 1) * pane, lambda at: sum(n for p, n in later if p * pane // slot == at // slot))
    assert arrived.between(0.0, (split + 1) * pane) == sum(n for _, n in inside)


KEY = ("m", "1", PROFILE.profile_id)
NOTES = Notes({})
HOURS = Monitoring(windows=Windows(pane=3600, panes=2, allowance=0, longest=7200, retention=7200))


class Stream:
    """Panes of one model, as the topic keeps them, and the worker that reads them."""

    def __init__(self) -> None:
        self.log: dict[int, int] = {}
        self.table: dict[str, bytes] = {}
        self.revision = 0
        self.restart()

    def restart(self) -> None:
        """Another worker reads all that the topic has; `table` says what was forgotten."""
        self.windows = ModelWindows(PROFILE, HOURS, 1, 0.0)
        self.part = PanePartition()
        self.part.models[KEY] = self.windows
        if forgotten_name(KEY) in self.table:
            resume(self.windows, self.table[forgotten_name(KEY)])
        for pane, n in self.log.items():
            self.take(pane, n)

    def take(self, pane: int, n: int) -> None:
        """A pane's total so far."""
        self.revision += 1
        counted = replace(Pane.empty(self.windows.layout.sums), n=n)
        self.windows.add("input", pane, 0, self.revision, counted)
        self.log[pane] = n

    def close(self, pane: int, *, forget: bool) -> tuple[Traffic | None, int]:
        """What is found at a pane's end, and how many panes are held then."""
        self.windows.arrived(0, 0, Totals())
        self.windows.progress(
            0, self.revision, (pane + 1) * 3600 * MICROSECONDS, pane * 3600 * MICROSECONDS, idle=False
        )
        assert pane in self.windows.due(1e9)
        found = self.windows._traffic(pane)
        self.windows.changed.clear()
        if forget:
            for key in keys_to_delete(self.part, NOTES, self.table, lambda key: PROFILE):
                kind, start, _ = key.decode().split("/")[-3:]
                assert kind == "input"
                del self.log[round(float(start)) // 3600]
        return found, len(self.log)


@pytest.mark.slow
def test_yesterday_is_known_after_its_panes_are_forgotten_and_after_restarts() -> None:
    rng = np.random.default_rng(7)
    counts = rng.poisson(rates(10, 3600, 200))
    keeping, forgetting = Stream(), Stream()
    seen = set()
    for i, n in enumerate(counts.tolist()):
        pane = 490_000 + i
        for stream in (keeping, forgetting):
            stream.take(pane, n // 2)
            stream.take(pane, n)  # the same pane's newer total
        (whole, _), (short, held) = keeping.close(pane, forget=False), forgetting.close(pane, forget=True)
        assert whole == short
        assert held <= 30
        seen.add(() if short is None else short.days)
        if rng.random() < 0.3:
            forgetting.restart()
    assert seen == {(), (1,), (1, 7)}
