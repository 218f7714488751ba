"""Chain of the saved deltas of a source partition: each delta begins where the one before ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from agents.join.store import JoinStore, Offsets, Recent
from app.core.join import delta as join_delta
from app.core.join import expiry
from app.core.join.delta import JoinDelta
from app.core.join.state import JoinState


@dataclass(slots=True)
class DeltaChain:
    """Chain of one partition's deltas in the store.

    `saved`: the offsets at which the last delta ends. `ordinal`: that of the first row that is in no delta. `epoch`:
    the number of this owner's recovery. `orphans`: entries outside the chain. `unreadable`: as saved.
    """

    store: JoinStore
    partition: int
    keys: list[str] = field(default_factory=list)
    saved: Offsets = (0, 0)
    ordinal: int = 0
    epoch: int = 0
    orphans: list[str] = field(default_factory=list)
    unreadable: Recent = ((), ())
    swept: dict[int, int] = field(default_factory=dict)
    _announced: bool = False
    _dropped: dict[int, int] = field(default_factory=dict)

    def collect_spent(self, state: JoinState) -> dict[str, Offsets]:
        """Return the keys of the oldest deltas that are spent, with the offsets at which each one ends.

        A delta is spent if its content was forgotten before the last checkpoint. Call this before the next delta is
        taken of `state`: feedback that still waits in spent deltas is copied into the state. Spent deltas are dropped
        with the next delta. If they were dropped earlier, a recovery would take the rest of their panes for the whole.
        """
        horizons, self.swept = self.swept, {model: tally.swept for model, tally in state.tallies.items()}
        if horizons == self._dropped:
            return {}
        self._dropped = horizons
        spent: dict[str, Offsets] = {}
        for key in self.keys:
            delta = self.store.delta(key)
            if not expiry.is_spent(delta, state, horizons):
                break
            expiry.keep_waiting(delta, state)
            spent[key] = delta.to_offsets
        return spent

    def announce(self) -> None:
        """Write once who owns the partition, so that later writes of an earlier owner are not taken for its own."""
        if not self._announced:
            self.store.add_owner(self.partition, self.epoch, self.saved)
            self._announced = True

    def append(self, delta: JoinDelta, next_ordinal: int, unreadable: Recent, spent: Mapping[str, Offsets]) -> None:
        """Write a delta and its related entries. Drop the orphans before that, and the `spent` deltas after."""
        while self.orphans:
            self.store.remove(self.orphans.pop())
        self.keys.append(self.store.add_delta(self.partition, self.saved, replace(delta, epoch=self.epoch)))
        if unreadable != self.unreadable:
            self.unreadable = unreadable
            self.store.set_unreadable(self.partition, unreadable)
        self.saved, self.ordinal = delta.to_offsets, next_ordinal
        if spent:  # the front is written first: a front that is missing for another reason is a loss
            self.store.set_front(self.partition, list(spent.values())[-1])
        for key in spent:
            self.store.remove(key)
        del self.keys[: len(spent)]

    def reach_back(self, state: JoinState, model: int) -> None:
        """Restore a model's forgotten panes of inputs. From now on they are kept for the retention.

        Their deltas are saved for as long: `collect_spent` uses the retention.
        """
        tally, watched = state.tally(model), state.watched[model]
        oldest = max(tally.swept, tally.event_time - watched.retention) // watched.pane
        newest = tally.event_time // watched.pane
        missing = {number for number in range(oldest, newest + 1) if (model, number) not in state.inputs}
        for key in self.keys:
            join_delta.restore_inputs(state, self.store.delta(key), model, missing)
        state.reaching_back.add(model)
