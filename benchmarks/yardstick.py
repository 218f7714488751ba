"""How quick the machine is just now: the CPU time of a fixed small piece of work, taken beside what is measured.

A shared machine is quicker or slower for minutes at a time. What is measured in one minute can be compared to what is
measured in another once each is counted in the CPU time that the same work took in its own minute.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import numpy as np

from benchmarks.events import predictions

EVERY = 0.05
"""Seconds between two looks: about 3 % of a core."""
LINES = 150


class Yardstick:
    """Looks from a thread of its own until it is stopped. CPU time of a thread does not count its waits."""

    def __init__(self) -> None:
        self._values = next(predictions(LINES)).values
        self._edges = np.linspace(-4.0, 4.0, 200)
        self._numbers = np.random.default_rng(1).normal(size=20_000)
        self.looks: list[tuple[float, float]] = []
        """When each was, and the CPU seconds that it took."""
        self._stopped = threading.Event()

    def between(self, start: float, end: float) -> float:
        """The mean CPU seconds of a piece of work between two moments of the wall clock."""
        return float(np.mean([cpu for at, cpu in self.looks if start <= at <= end]))

    @property
    def mean(self) -> float:
        """The mean of all looks."""
        return self.between(-math.inf, math.inf)

    def _look(self) -> None:
        started = time.thread_time()
        for value in self._values:
            msgspec.json.decode(value)
        np.bincount(np.searchsorted(self._edges, self._numbers))
        self.looks.append((time.time(), time.thread_time() - started))

    def _run(self) -> None:
        while not self._stopped.wait(EVERY):
            self._look()

    @contextmanager
    def beside(self) -> Iterator[None]:
        """Look as long as the block lasts."""
        thread = threading.Thread(target=self._run, name="yardstick", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stopped.set()
            thread.join()
