"""River's detectors beside the decision at one rate of false alarms, on the same kinds of rows.

The rate is that of `decision.false_alarms` "1 per week": one evaluation in about 10,000, over the 17 columns of a model
with 15 features. So each column's detector may alarm falsely once in so many times 17 evaluations. River's read each
row, and an alarm counts at the end of its pane, as the decision's do. A category is read as 0 and 1 of the one that
grows, and labels as the errors, which is what they would be told beforehand; the decision is told neither.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, inf
from typing import Any

import numpy as np

from app.core.config.monitoring import DecisionSettings
from benchmarks.populations import made_up
from benchmarks.scales import CRITICAL, LONG, PANES, Delays, shifted

RATE = "1 per week"
PER_EVALUATION = 60.0 / (7 * 86_400.0)
COLUMNS = 17
SIZES = (500, 2_000, 10_000)
WORDS = ("mean +0.12 sd", "mean +0.5 sd", "mean +1 sd", "mix 20 %", "labels 10 %")
MOST_SECONDS = 1_800.0


@dataclass
class Beside:
    """One detector at one window size: its parameter (None where none has the rate), and panes until its alarms."""

    detector: str
    words: str
    n: int
    parameter: float | None
    delays: list[float]


class NotRun(Exception):
    """It cannot be run here, and why."""


def ours(task: tuple[str, int, int, int]) -> Delays:
    """The decision at the same rate: words, rows, streams and a seed."""
    words, n, streams, seed = task
    return shifted(words, n, streams, replace(CRITICAL, decision=DecisionSettings(RATE)), seed)


def river(task: tuple[str, int, float, str]) -> tuple[str, list[Beside]]:
    """River's version and detectors: the python of its environment, streams, a share of the rows, which series.

    Raises NotRun.
    """
    python, streams, share, kind = task
    asked = {
        "series": [one for one in _series() if one["kind"] == kind],
        "rates": {n: PER_EVALUATION / (COLUMNS * n / PANES) for n in SIZES},
        "streams": streams, "share": share, "most_panes": LONG,
    }  # fmt: skip
    command = [python, "-W", "ignore", "-m", "benchmarks.river_detectors", json.dumps(asked)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=MOST_SECONDS,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotRun(f"river: {error}") from error
    if done.returncode:
        raise NotRun(f"river: {(done.stderr.strip().splitlines() or ['it does not say why'])[-1]}")
    said = json.loads(done.stdout.strip().splitlines()[-1])
    return said["version"], [_beside(one) for one in said["found"]]


KINDS = ("number", "category", "errors")


def _series() -> Sequence[dict[str, Any]]:
    """What changes, as River's detectors read it."""
    population = made_up(15)
    column = population.features["x8"]
    assert isinstance(column, list)
    share = sorted((column.count(name) / population.n for name in set(column)), reverse=True)[1]
    wrong = float(np.mean(population.actual != population.prediction))
    return (
        {"kind": "number", "before": 0.0, "after": {"mean +0.12 sd": 0.12, "mean +0.5 sd": 0.5, "mean +1 sd": 1.0}},
        {"kind": "category", "before": share, "after": {"mix 20 %": 0.2 + 0.8 * share}},
        {"kind": "errors", "before": wrong, "after": {"labels 10 %": wrong + 0.1 * (1.0 - 2.0 * wrong)}},
    )


def _beside(one: dict[str, Any]) -> Beside:
    delays = [inf if rows is None else float(ceil(rows * PANES / one["n"])) for rows in one["rows"]]
    return Beside(one["detector"], one["words"], one["n"], one["parameter"], delays)
