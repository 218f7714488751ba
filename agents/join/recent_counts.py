"""Counts of the newest records of one partition: set aside, of an unregistered model, or without a prediction."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection
from dataclasses import dataclass, field

from app.ingest.decoding import Rejected

SETTLED = 60.0
"""Seconds after which feedback without a prediction counts as unmatched: predictions may come a little later."""
TOGETHER = 1.0
"""Seconds of feedback that are kept as one block, which limits the number of ids that wait."""
RECENT_MS = 600_000
"""Age in milliseconds at which records no longer count: a few records must not keep an alert firing."""
FEWEST = 5
"""Least number of records set aside at which a crossed threshold is reported at once."""


@dataclass(frozen=True, slots=True)
class NotCountedThresholds:
    """Thresholds of a partition: shares of the newest `window` records set aside, unregistered, or unmatched."""

    window: int = 1000
    dead: float = 0.5
    unregistered: float = 0.01
    unmatched: float = 0.5


USUAL = NotCountedThresholds()


@dataclass(slots=True)
class RecentRecords:
    """Newest records of one model version (or those that name none) in one partition of one topic."""

    window: int
    blocks: deque[tuple[int, int, int, int]] = field(default_factory=deque)
    recent: int = 0
    dead: int = 0
    unregistered: int = 0
    n: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    names: Counter[str] = field(default_factory=Counter)
    last: Rejected | None = None
    since: float = 0.0

    def add(self, n: int, dead: int, unregistered: int, recorded: int) -> None:
        """Take the counts of a batch whose last record the broker took at `recorded` (milliseconds)."""
        self.n += n
        self.blocks.append((n, dead, unregistered, recorded))
        self.recent, self.dead, self.unregistered = self.recent + n, self.dead + dead, self.unregistered + unregistered
        while self.recent - self.blocks[0][0] >= self.window or self.blocks[0][3] < recorded - RECENT_MS:
            gone = self.blocks.popleft()
            self.recent, self.dead = self.recent - gone[0], self.dead - gone[1]
            self.unregistered -= gone[2]

    def is_beyond(self, most: NotCountedThresholds) -> bool:
        """Return whether too many of the newest records are not counted."""
        n = max(self.recent, 1)
        dead = self.dead >= FEWEST and self.dead / n > most.dead
        return dead or (self.unregistered >= FEWEST and self.unregistered / n > most.unregistered)


@dataclass(slots=True)
class UnmatchedFeedback:
    """Newest feedback of one partition, with the ids that had no prediction when they came."""

    window: int
    blocks: deque[tuple[float, int, list[bytes]]] = field(default_factory=deque)

    def wants(self, now: float) -> bool:
        """Return whether a batch is to be added: `window` records of each second are enough."""
        return not self.blocks or now - self.blocks[-1][0] >= TOGETHER or self.blocks[-1][1] < self.window

    def add(self, now: float, n: int, ids: list[bytes]) -> None:
        """Take a batch of `n` records, of which `ids` (those of its last `window` records) had no prediction."""
        n = min(n, self.window)
        if self.blocks and now - self.blocks[-1][0] < TOGETHER:
            at, held, before = self.blocks[-1]
            self.blocks[-1] = (at, held + n, before + ids)
        else:
            self.blocks.append((now, n, ids))
        held = sum(n for _, n, _ in self.blocks)
        while len(self.blocks) > 1 and held - self.blocks[0][1] >= self.window:
            if not self._settled(self.blocks[1][0], now):
                break
            held -= self.blocks.popleft()[1]

    def count(self, now: float, waiting: Collection[bytes]) -> tuple[int, int]:
        """Return the number of settled records, and how many of them still have no prediction."""
        settled = [(n, ids) for at, n, ids in self.blocks if self._settled(at, now)]
        return sum(n for n, _ in settled), sum(key in waiting for _, ids in settled for key in ids)

    def _settled(self, at: float, now: float) -> bool:
        return now - at >= SETTLED
