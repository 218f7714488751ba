"""How often traffic is alerted on healthy days and nights, and how soon a stop and a drop are found.

    python -m benchmarks.daynight

Predictions are drawn (Poisson) from curves of 28 days: noon ten times the night, by the logarithm or by the number
itself a sine; an office's hours; hours without any. Weekends have half, two holidays two fifths; half of the streams
have slow noise of 15 % beside. They go through the real judgement of traffic (`app.core.traffic`) at each pane's end.
Then from an hour of the tenth day on all, two thirds or half of the predictions are missing. Prints tables.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from math import inf, log
from multiprocessing import Pool

import numpy as np
from numpy.typing import NDArray

from app.core.config.monitoring import Monitoring, Windows
from app.core.evaluation.results import Traffic
from app.core.scales.levels import traffic_level
from app.core.traffic.history import TrafficHistory, slot_of
from app.core.traffic.judging import TrafficSeen, spans, traffic_of

Floats = NDArray[np.float64]
CURVES = ("log sine", "sine", "office", "none at night")
LEFT = {"stop": 0.0, "a third left": 1 / 3, "half left": 0.5}
HOURS = (2, 8, 11, 14, 17, 20)
RATES = (40, 400, 10_000)
DAYS, CHANGED = 28, 9
NOISES = (0.0, 0.15)
LONGEST = 6
"""Hours after a change that are judged."""


def curve(kind: str, days: int, pane: float, mean: float, noise: float, rng: np.random.Generator) -> Floats:
    """Expected predictions of each pane; `mean`: in an hour, over all."""
    hours = (np.arange(round(days * 86_400 / pane)) + 0.5) * pane / 3600
    angle = np.cos(2 * np.pi * (hours - 1) / 24)
    hour = hours % 24
    shapes: dict[str, Floats] = {
        "log sine": 10 ** ((1 - angle) / 2),
        "sine": 1 - 9 / 11 * angle,
        "office": np.where((hour >= 8) & (hour < 18), 10.0, 1.0),
        "none at night": np.where((hour >= 5) & (hour < 22.5), 1.0, 0.0),
    }
    day = (hours // 24).astype(np.int64)
    rate = shapes[kind] * np.where(day % 7 >= 5, 0.5, 1.0) * np.where(np.isin(day, (10, 17)), 0.4, 1.0)
    if noise:
        keep, wander = np.exp(-pane / 7200), np.zeros(len(rate))
        for i, step in enumerate(rng.normal(0.0, noise * np.sqrt(1 - keep**2), len(rate) - 1), 1):
            wander[i] = keep * wander[i - 1] + step
        rate = rate * np.exp(wander)
    scaled: Floats = rate / rate.mean() * mean * pane / 3600
    return scaled


def judged(
    counts: NDArray[np.int64], monitoring: Monitoring, first: int, every: int = 1
) -> Iterator[tuple[int, Traffic]]:
    """What is found at the panes' ends, from one on, by their number."""
    pane, panes = monitoring.windows.pane, monitoring.windows.panes
    history, level = TrafficHistory(slot_of(pane)), traffic_level(monitoring, len(spans(panes, pane)) + 1)
    begun = False
    for i, n in enumerate(counts.tolist()):
        history.add(i * pane, n)
        begun = begun or n > 0
        if begun and i >= first and i % every == 0:
            newest, end = counts[max(0, i + 1 - 12 * panes) : i + 1], (i + 1) * pane
            seen = TrafficSeen(newest, panes, pane, end, history.until(end, lambda at: 0))
            if newest.any():
                yield i, traffic_of(seen, monitoring.alerting.volume_drop, level)


def fires(one: Traffic) -> bool:
    """Whether the rule `traffic` is breached."""
    stopped = one.missed is not None and one.missed >= -log(one.chance) and one.silent > one.pause
    return one.sufficient and (stopped or (one.volume is not None and one.volume.found))


Stream = tuple[Monitoring, float, str, float, int]
"""Settings, predictions an hour, the curve, its noise, and which so-manieth pane's end is judged."""
Change = tuple[Monitoring, float, str]
"""Settings, predictions an hour, and what changes."""


def breaches(task: Stream) -> tuple[int, int]:
    """Return how many evaluations of a healthy stream there were, and how many were breaches."""
    monitoring, mean, kind, noise, every = task
    rng = np.random.default_rng([round(mean), len(kind), round(noise * 100)])
    counts = rng.poisson(curve(kind, DAYS, monitoring.windows.pane, mean, noise, rng))
    found = [fires(one) for _, one in judged(counts, monitoring, 0, every)]
    return len(found), sum(found)


def delays(task: Change) -> list[float]:
    """Return the minutes until a change is found, by the hour in which it begins; inf: not within LONGEST hours."""
    monitoring, mean, words = task
    pane, found = monitoring.windows.pane, list[float]()
    for hour in HOURS:
        rng = np.random.default_rng([round(mean), hour])
        rate = curve("log sine", CHANGED + 2, pane, mean, 0.0, rng)
        first = round((CHANGED * 24 + hour) * 3600 / pane)
        rate[first:] *= LEFT[words]
        last = first + round(LONGEST * 3600 / pane)
        counts = rng.poisson(rate)[:last]
        at = next((i for i, one in judged(counts, monitoring, first) if fires(one)), None)
        found.append(inf if at is None else (at - first + 1) * pane / 60)
    return found


def healthy(settings: Sequence[tuple[Monitoring, int]], rates: Sequence[float], kinds: Sequence[str]) -> list[Stream]:
    """Return the healthy streams: with each setting and its step, at each rate, each of the curves, without and with
    noise.
    """
    return [
        (monitoring, mean, kind, noise, every)
        for monitoring, every in settings
        for mean in rates
        for kind in kinds
        for noise in NOISES
    ]


HALF_HOURS = Monitoring(windows=Windows(pane=1800, panes=48))
MINUTES = Monitoring(windows=Windows(pane=60, panes=60))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one rate and two curves, to see that it runs")
    parser.add_argument("--jobs", type=int, default=2, help="processes (%(default)s)")
    options = parser.parse_args(arguments)
    started = time.monotonic()
    rates = (400,) if options.quick else RATES
    streams = healthy([(HALF_HOURS, 1)], rates, CURVES[:2] if options.quick else CURVES)
    if not options.quick:
        streams += healthy([(MINUTES, 7)], rates, CURVES[:2])
    rates = rates if options.quick else (80, *RATES[1:])
    changes = [(monitoring, mean, words) for monitoring in (HALF_HOURS, MINUTES) for mean in rates for words in LEFT]
    with Pool(options.jobs) as pool:
        print("| panes | an hour | curve | evaluations | breaches |\n|---|---|---|---|---|")
        found = pool.imap(breaches, streams)
        for (monitoring, mean, kind, _, _), one, other in zip(streams[::2], found, found, strict=False):
            evaluations, wrong = one[0] + other[0], one[1] + other[1]
            pane = monitoring.windows.pane / 60
            print(f"| {pane:g} min | {mean:,} | {kind} | {evaluations:,} | {wrong} |", flush=True)
        print(f"\n| panes | an hour | what | {' | '.join(f'at {hour}:00' for hour in HOURS)} |")
        print("|---" * (3 + len(HOURS)) + "|")
        for (monitoring, mean, words), minutes in zip(changes, pool.imap(delays, changes), strict=True):
            cells = " | ".join("-" if one == inf else f"{one:g}" for one in minutes)
            print(f"| {monitoring.windows.pane / 60:g} min | {mean:,} | {words} | {cells} |", flush=True)
    print(f"{time.monotonic() - started:.0f} s with {options.jobs} processes")


if __name__ == "__main__":
    main()
