"""The bound on dead letters: above a share of unreadable records something is wrong with more than the records.

A bad deployment of a producer should stop the stream, and not be rerouted as a whole. The decision is made by
offsets alone, so a replay decides the same, however its runs are cut.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from app.ingest.decoding import Rejected


class DeadLetterLimit:
    """The bound of one partition of one topic: of `window` offsets in a row at most `share` may be unreadable.

    `recent` are the offsets of those that were, ascending, as far back as they matter. Records that had been in the
    log by `accepted_until` (milliseconds since the epoch, by the broker's clock) are not counted: somebody has looked
    at them.
    """

    def __init__(
        self, share: float, window: int, recent: Sequence[int] = (), accepted_until: int | None = None
    ) -> None:
        self._most = int(share * window + 1e-9)
        self._window = window
        self._accepted_until = accepted_until
        self.recent: tuple[int, ...] = () if accepted_until is not None else tuple(recent)

    def crossed(self, rejected: Sequence[Rejected], next_offset: int) -> Rejected | None:
        """Take a run's rejected records; answers the first with which there are too many. `next_offset`: the run's."""
        unreadable = {one.record.offset: one for one in rejected if not one.readable}
        if not unreadable:
            return None
        if self._accepted_until is not None:
            unreadable = {o: one for o, one in unreadable.items() if one.record.timestamp > self._accepted_until}
        offsets = np.array(sorted({*self.recent, *unreadable}), np.int64)
        self.recent = tuple(offsets[offsets >= next_offset - self._window].tolist())
        ends, begins = offsets[self._most :], offsets[: max(len(offsets) - self._most, 0)]
        too_many = ends[ends - begins < self._window].tolist()
        return next((unreadable[offset] for offset in too_many if offset in unreadable), None)
