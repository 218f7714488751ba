"""The CPU that judging all scales of 10,000 rows with 15 features takes, in turns with one window's decision."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from app.core.config.monitoring import Monitoring
from app.core.evaluation.decision import drift_decision
from app.core.panes.pane import Pane, merge
from app.core.scales.judging import judge_scales
from benchmarks.populations import made_up, watched

ROWS, PANES = 10_000, 60


@dataclass(frozen=True)
class Costs:
    """CPU in milliseconds, the least of several rounds."""

    scales: float
    window: float


def costs(rounds: int) -> Costs:
    """Time both in turns."""
    rng, monitoring = np.random.default_rng(0), Monitoring()
    population = made_up(15)
    reference = watched(population, 5_000, rng)
    layout = reference.layout
    panes = {}
    for pane in range(PANES):
        rows = rng.integers(population.n, size=ROWS * (pane + 1) // PANES - ROWS * pane // PANES)
        counts = np.bincount(reference.inputs[rows].ravel(), minlength=layout.size)
        panes[pane] = Pane.of(len(rows), counts, np.zeros(layout.sums, np.int64))
    total = merge(panes.values(), layout.size, layout.sums)
    taken = [
        (_cpu(lambda: judge_scales(layout, panes, PANES - 1, monitoring)),
         _cpu(lambda: drift_decision(layout, total, monitoring)))
        for _ in range(rounds)
    ]  # fmt: skip
    return Costs(min(one for one, _ in taken) * 1000, min(one for _, one in taken) * 1000)


def _cpu(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started
