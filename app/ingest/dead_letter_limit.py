"""Limit of the dead letters. Above this share of unreadable records, more than the records is wrong.

A bad deployment of a producer should stop the stream instead of filling the dead letters. The limit depends only on
offsets, so a replay decides the same, however its batches are cut.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from app.ingest.decoding import Rejected


class DeadLetterLimit:
    """Limit for one partition of one topic: of `window` consecutive offsets, at most `share` may be unreadable.

    `recent`: the offsets of unreadable records, ascending, as far back as they matter. Records that the broker had
    received by `accepted_until` (milliseconds since the epoch, by the broker's clock) are not counted, because an
    operator has accepted them.
    """

    def __init__(
        self, share: float, window: int, recent: Sequence[int] = (), accepted_until: int | None = None
    ) -> None:
        self._most = int(share * window + 1e-9)
        self._window = window
        self._accepted_until = accepted_until
        self.recent: tuple[int, ...] = () if accepted_until is not None else tuple(recent)

    def crossed(self, rejected: Sequence[Rejected], next_offset: int) -> Rejected | None:
        """Count a batch's rejected records. Return the first record that exceeds the limit, or None.

        `next_offset`: the offset after the batch.
        """
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
