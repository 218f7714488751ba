"""Commit bookkeeping by runs: which offset of a partition may be committed."""

from __future__ import annotations

from collections import deque


class CommitLedger:
    """Runs delivered from one partition and not yet committed, in delivery order.

    A run is named by the offset of its last record. Gaps between runs (compaction, transaction markers) need no
    tracking: only runs that were delivered are waited for.
    """

    def __init__(self) -> None:
        self._open: deque[int] = deque()
        self._acked: set[int] = set()

    def __len__(self) -> int:
        return len(self._open)

    @property
    def unfinished(self) -> int:
        """Runs that are with the agents."""
        return len(self._open) - len(self._acked)

    def delivered(self, last: int) -> None:
        """Note a run handed to the agents. Delivered again while still open: it counts once."""
        if not self._open or last > self._open[-1]:
            self._open.append(last)

    def acked(self, last: int) -> bool:
        """Note a run finished, in any order; answers whether it was open."""
        if last in self._acked or last not in self._open:
            return False
        self._acked.add(last)
        return True

    def committable(self) -> int | None:
        """The next offset to read after the oldest unbroken row of finished runs; None when none is finished.

        What it answers for is forgotten: it answers once.
        """
        last: int | None = None
        while self._open and self._open[0] in self._acked:
            last = self._open.popleft()
            self._acked.discard(last)
        return None if last is None else last + 1
