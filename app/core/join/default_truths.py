"""Default truths: a prediction without feedback gets its truth by waiting, where only one kind of truth is reported.

A row without feedback whose pane ended `after` ago, by the event time of its model in the partition, has the default
truth. This is a function of the records read, as the join's state is: it is given at each checkpoint, and again after
a restart. Feedback that comes later replaces it as it replaces earlier feedback.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from app.core.join import truths
from app.core.join.feedback import count_outcomes
from app.core.join.state import NEVER, Joined, JoinState
from app.core.panes.grouping import by_group

_NO_PANE = -(1 << 62)


def give_default_truths(state: JoinState) -> None:
    """Give the rows that have waited long enough their default truth, and count them.

    To be called only before a checkpoint.
    """
    last = _last_panes(state)
    if last is None:
        return
    rows = state.rows
    waited = (rows["joined"] == 0) & (rows["pane"] <= last[np.maximum(rows["model"], -1)])
    silent: NDArray[np.int32] = np.flatnonzero(waited).astype(np.int32)
    if not len(silent):
        return
    truth = np.empty(len(silent))
    for model, picked in by_group(rows["model"][silent]):
        truth[picked] = state.watched[model].default_truth
    kinds, told = np.full(len(silent), truths.DEFAULT, np.uint8), np.zeros(len(silent), np.uint32)
    rows.join(silent, truth, kinds, told)
    state.joined_since.append(Joined(rows["ordinal"][silent].astype(np.uint32), truth, kinds, told))
    count_outcomes(state, silent, truth, +1)


def _last_panes(state: JoinState) -> NDArray[np.int64] | None:
    """Return by model the newest pane whose silence is a truth; None if this is unchanged and no row is new.

    The last place is for rows whose profile is not watched any more.
    """
    last = np.full(len(state.watched) + 1, _NO_PANE, np.int64)
    for model, tally in state.tallies.items():
        watched = state.watched[model]
        if watched.default_truth is not None and tally.event_time > NEVER:
            last[model] = (tally.event_time - watched.silence) // watched.pane - 1
    if (last == _NO_PANE).all():
        return None
    seen = (last.tobytes(), state.rows.next_ordinal)
    if seen == state.silent_until:
        return None
    state.silent_until = seen
    return last
