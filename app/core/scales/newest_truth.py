"""Selection of the panes with the newest truth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from zlib import crc32

from app.core.config.monitoring import Monitoring
from app.core.join.state import NEVER
from app.core.panes.slices import Slices, rows_of
from app.core.scales.metrics import TruthPane
from app.core.scales.reach import older
from app.core.scales.truth_blocks import TruthBlock, TruthBlocks

MOST_KEPT = 10_000
"""Predictions that are kept for truth older than the time that truth is waited for."""
ENOUGH = 10_000
"""Rows with truth that are enough to show a metric to be worse by hardly more than its threshold."""


@dataclass(frozen=True, slots=True)
class Truth:
    """The newest panes with truth, newest first. `source`: a number that identifies their partials."""

    panes: list[TruthPane]
    source: int
    _end: int = 0
    _limit: _Limit | None = None

    @property
    def needed(self) -> int:
        """Return the oldest pane that this truth needs, or that a later end's truth needs."""
        if not self.panes or self._limit is None:
            return self._end
        oldest = self._end - self.panes[-1].age + 1
        start = oldest // self._limit.length * self._limit.length
        needed = start if self._limit.beyond < start else max(start, self._limit.oldest)
        return min(needed, oldest)


NO_TRUTH = Truth([], 0)
"""Stands for the truth where no metric is judged by it."""


def newest_truth(
    blocks: TruthBlocks,
    inputs: Slices,
    outcomes: Slices,
    end: int,
    late: int,
    forgotten: int,
    monitoring: Monitoring,
    *,
    newest: int | None = None,
) -> Truth:
    """Return the newest panes with truth up to an end: as many as a window has, and enough for the needed rows.

    Before these come whole blocks of panes, until there are ENOUGH rows. Before the last `late` panes only those are
    used since which no more than MOST_KEPT predictions came: no others are kept. `forgotten`: the newest pane that
    was dropped. `newest`: the newest pane whose truth is used, where this is not the end.
    """
    limit = _Limit(blocks, inputs, outcomes, end, late, forgotten, monitoring)
    panes, sources, rows = list[TruthPane](), list[object](), 0
    start = end if newest is None else min(newest, end)
    for one, source in _entries(blocks, inputs, outcomes, (start, end), limit, monitoring):
        panes.append(one)
        sources.append(source)
        rows += one.outcomes.n
        if rows >= max(ENOUGH, monitoring.performance.min_samples) and len(panes) >= monitoring.windows.panes:
            break
    return Truth(panes, crc32(repr(sources).encode()), end, limit)


class _Limit:
    """Limit of kept truth: panes that are waited for, or since which at most MOST_KEPT predictions came."""

    def __init__(
        self,
        blocks: TruthBlocks,
        inputs: Slices,
        outcomes: Slices,
        end: int,
        late: int,
        forgotten: int,
        monitoring: Monitoring,
    ) -> None:
        self._blocks, self._inputs, self._outcomes = blocks, inputs, outcomes
        self._end, self._late, self._forgotten = end, late, forgotten
        self.length = blocks.length
        self.first = end - monitoring.windows.most_truth + 1
        self._kept: tuple[int, int] | None = None

    @property
    def oldest(self) -> int:
        """Return the oldest pane from which to the end there are no more than MOST_KEPT predictions."""
        return self._both[0]

    @property
    def beyond(self) -> int:
        """Return the pane before that one, with which there are more; NEVER where there is none."""
        return self._both[1]

    @property
    def _both(self) -> tuple[int, int]:
        if self._kept is None:
            self._kept = self._counted()
        return self._kept

    def _counted(self) -> tuple[int, int]:
        """Count predictions from the end back; whole blocks at once where this does not exceed MOST_KEPT.

        Return `oldest` and `beyond`.
        """
        rows, oldest, pane = 0, self._end + 1, self._end
        last = max(self.first, min(self._inputs, default=self.first))
        while pane >= last:
            start = pane - self.length + 1
            if start >= last and start % self.length == 0:
                block = self._blocks.block(start // self.length, self._inputs, self._outcomes)
                if rows + block.n <= MOST_KEPT:
                    rows, oldest, pane = rows + block.n, block.first if block.n else oldest, start - 1
                    continue
            more = rows_of(self._inputs, pane)
            rows += more
            if rows > MOST_KEPT:
                return oldest, pane
            oldest, pane = pane if more else oldest, pane - 1
        return oldest, NEVER

    def has(self, pane: int) -> bool:
        """Return whether a pane, and all after it, are kept."""
        return pane >= self.first and (pane > self._end - self._late or pane >= self.oldest)

    def has_block(self, start: int, block: TruthBlock) -> bool:
        """Return whether all of a block is kept. Panes beyond the limit may already be dropped, or not yet."""
        return start > self._forgotten and self.has(block.first)


def _entries(
    blocks: TruthBlocks,
    inputs: Slices,
    outcomes: Slices,
    ends: tuple[int, int],
    limit: _Limit,
    monitoring: Monitoring,
) -> Iterator[tuple[TruthPane, object]]:
    """Yield the newest panes with truth one by one, then whole blocks; with the partials of each.

    `ends`: the newest pane that is looked at, and the one from which ages are counted.
    """
    newest, end = ends
    rows, count, predictions, after = 0, 0, 0, end + 1
    for pane, more in older(outcomes, newest, limit.first - 1):
        if not limit.has(pane):
            return
        enough = count >= monitoring.windows.panes and rows >= monitoring.performance.min_samples
        if enough and pane // blocks.length < after // blocks.length:
            break
        predictions += rows_of(inputs, pane)
        for between in range(pane + 1, after if count else pane + 1):
            predictions += rows_of(inputs, between)
        total = outcomes[pane].sum(blocks.size, blocks.sums)
        yield TruthPane(end - pane + 1, total, predictions), (pane, outcomes[pane].revisions())
        rows, count, after = rows + more, count + 1, pane
    else:
        return
    number = after // blocks.length - 1
    pending = sum(rows_of(inputs, between) for between in range((number + 1) * blocks.length, after))
    last = max(min(outcomes, default=end), limit.first) // blocks.length
    while number >= last:
        block = blocks.block(number, inputs, outcomes)
        if not limit.has_block(number * blocks.length, block):
            return
        if block.panes:
            predictions += pending + block.predictions
            pending = 0
            yield TruthPane(end - block.oldest + 1, block.outcomes, predictions, block.panes), block.source
        pending += block.before
        number -= 1
