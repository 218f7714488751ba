"""Truth before a window: outcome panes added up by blocks, so that days of truth are judged at little cost."""

from __future__ import annotations

from dataclasses import dataclass
from zlib import crc32

from app.core.panes.pane import Pane, merge
from app.core.panes.slices import Slices, rows_of


@dataclass(frozen=True, slots=True, eq=False)
class TruthBlock:
    """Consecutive panes. `panes`: how many have truth; `oldest`: the oldest of these; `outcomes`: their sum.

    `first`: the oldest pane with any rows, or the pane after the block. `predictions`: those of all panes from the
    oldest with truth on; `before`: those of the panes before it (in a block without truth: of all panes). `source`: a
    number that identifies the partials of the outcomes.
    """

    panes: int
    oldest: int
    first: int
    outcomes: Pane
    predictions: int
    before: int
    source: int

    @property
    def n(self) -> int:
        """Return the number of predictions of all its panes."""
        return self.predictions + self.before


class TruthBlocks:
    """The sums of whole blocks of outcome panes, each computed once.

    `panes`: the number of a window's panes; a block has about as many.
    """

    def __init__(self, panes: int, size: int, sums: int) -> None:
        self.length = 1 << (max(panes, 1) - 1).bit_length()
        self.size, self.sums = size, sums
        self._made: dict[int, TruthBlock] = {}

    def changed(self, pane: int) -> None:
        """Note that a pane's predictions or truth have changed."""
        self._made.pop(pane // self.length, None)

    def block(self, number: int, inputs: Slices, outcomes: Slices) -> TruthBlock:
        """Return the block of the panes from `number` times the length on."""
        if number not in self._made:
            self._made[number] = self._of(range(number * self.length, (number + 1) * self.length), inputs, outcomes)
        return self._made[number]

    def _of(self, panes: range, inputs: Slices, outcomes: Slices) -> TruthBlock:
        with_truth = [pane for pane in panes if rows_of(outcomes, pane)]
        oldest = with_truth[0] if with_truth else panes.stop
        return TruthBlock(
            panes=len(with_truth),
            oldest=oldest,
            first=next((pane for pane in panes if rows_of(inputs, pane) or rows_of(outcomes, pane)), panes.stop),
            outcomes=merge((outcomes[p].sum(self.size, self.sums) for p in with_truth), self.size, self.sums),
            predictions=sum(rows_of(inputs, pane) for pane in range(oldest, panes.stop)),
            before=sum(rows_of(inputs, pane) for pane in range(panes.start, oldest)),
            source=crc32(repr([(pane, outcomes[pane].revisions()) for pane in with_truth]).encode()),
        )
