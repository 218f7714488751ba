"""How soon faults are found of a model with few predictions, by the defaults."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from app.core.config.monitoring import Monitoring
from benchmarks.model_stream import ModelStream, Rules
from benchmarks.populations import Shift, compiled, made_up, missing, multiplied, watched

RATE = 80
"""Predictions an hour (their number in a pane is Poisson's)."""
BEFORE = 24 * 60
"""Panes before a fault, of a minute."""
LONG = 12 * 60
JUDGED_BEFORE = 5
FAULTS: dict[str, tuple[str, Shift]] = {
    "amount x 100": ("x1", multiplied("x1", 100.0)),
    "a column null for 12 hours": ("x0", missing("x0")),
}
"""x1 is log-normal, as amounts are; x0 has no missing value in the reference."""
OVER = 3 * 60
"""Panes after a fault's end that are judged."""


@dataclass
class Thin:
    """One fault: minutes to each stream's first alert that names the column, inf where there is none.

    `over`: minutes from the fault's end to the resolution, where that was waited for.
    """

    words: str
    minutes: list[float] = field(default_factory=list)
    over: list[float] = field(default_factory=list)
    before: int = 0


def thin(task: tuple[str, int, int, bool]) -> Thin:
    """Plant a fault in so many streams from a seed on; `whole`: up to its end, else to the alert."""
    words, seed, streams, whole = task
    name, shift = FAULTS[words]
    population, monitoring = made_up(15), Monitoring()
    rng = np.random.default_rng([seed, *words.encode()])
    found = Thin(words)
    for _ in range(streams):
        calm = watched(population, 5_000, rng)
        later = compiled(shift(population, rng), calm.layout.profile)
        stream, rules = ModelStream(calm, monitoring), Rules(monitoring)
        fired, over = np.inf, np.inf
        for pane in range(BEFORE + LONG + OVER):
            source = later if BEFORE <= pane < BEFORE + LONG else calm
            n = int(rng.poisson(RATE / 60))
            stream.add(source, rng.integers(population.n, size=n))
            if pane < BEFORE - JUDGED_BEFORE or (fired < np.inf and pane < BEFORE + LONG - JUDGED_BEFORE):
                stream.skip()
                continue
            reports = stream.judge()
            for one in rules.take(reports):
                if pane < BEFORE:
                    found.before += one.status == "firing"
                elif one.status == "firing" and one.subject in (name, "missing"):
                    fired = min(fired, pane - BEFORE + 1)
                elif pane >= BEFORE + LONG:
                    over = pane - BEFORE - LONG + 1
            if (fired < np.inf and not whole) or (over < np.inf and pane - BEFORE - LONG > over + 20):
                break
        found.minutes.append(fired)
        if whole:
            found.over.append(over)
    return found
