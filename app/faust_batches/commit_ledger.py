"""Bookkeeping of commits by batches: the offset of a partition that may be committed."""

from __future__ import annotations

from collections import deque


class CommitLedger:
    """Batches delivered from one partition and not yet committed, in delivery order.

    A batch is named by the offset of its last record. Gaps between batches (compaction, transaction markers) need no
    tracking: only batches that were delivered are waited for.
    """

    def __init__(self) -> None:
        self._open: deque[int] = deque()
        self._acked: set[int] = set()

    def __len__(self) -> int:
        return len(self._open)

    @property
    def unfinished(self) -> int:
        """Return the number of batches that the agents have."""
        return len(self._open) - len(self._acked)

    def delivered(self, last: int) -> None:
        """Note a batch given to the agents. A batch that is delivered again while it is open counts once."""
        if not self._open or last > self._open[-1]:
            self._open.append(last)

    def acked(self, last: int) -> bool:
        """Note a finished batch, in any order. Return whether it was open."""
        if last in self._acked or last not in self._open:
            return False
        self._acked.add(last)
        return True

    def committable(self) -> int | None:
        """Return the next offset to read after the oldest unbroken sequence of finished batches; None without one.

        These batches are forgotten: a second call does not return their offset.
        """
        last: int | None = None
        while self._open and self._open[0] in self._acked:
            last = self._open.popleft()
            self._acked.discard(last)
        return None if last is None else last + 1
