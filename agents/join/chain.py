"""The saved deltas of a source partition: each begins where the one before it ends."""

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
    """The chain of one partition, as it is in the store.

    `saved`: where the last delta ends. `ordinal`: of the first row that is in none. `epoch`: the number of the recovery
    that this owner goes on from. `orphans`: entries that are not of the chain. `unreadable`: as it is saved.
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
        """Return the oldest deltas that hold only what was forgotten before the last checkpoint, and where each ends.

        To be called before the next delta is taken of `state`: feedback that still waits in them is put into it. They
        are dropped with the next delta. Dropped any earlier, a recovery would take what is left of their panes for the
        whole.
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
        """Write once whose the partition is: what an earlier owner writes from now on is not taken for ours."""
        if not self._announced:
            self.store.add_owner(self.partition, self.epoch, self.saved)
            self._announced = True

    def append(self, delta: JoinDelta, next_ordinal: int, unreadable: Recent, spent: Mapping[str, Offsets]) -> None:
        """Write a delta and what goes with it; drop the orphans before, the `spent` ones behind."""
        while self.orphans:
            self.store.remove(self.orphans.pop())
        self.keys.append(self.store.add_delta(self.partition, self.saved, replace(delta, epoch=self.epoch)))
        if unreadable != self.unreadable:
            self.unreadable = unreadable
            self.store.set_unreadable(self.partition, unreadable)
        self.saved, self.ordinal = delta.to_offsets, next_ordinal
        if spent:  # written before: a front that is missing for another reason is a loss
            self.store.set_front(self.partition, list(spent.values())[-1])
        for key in spent:
            self.store.remove(key)
        del self.keys[: len(spent)]

    def reach_back(self, state: JoinState, model: int) -> None:
        """Bring back a model's panes of inputs that were forgotten; from now on they are kept for the retention.

        Their deltas are saved as long: `collect_spent` goes by the retention.
        """
        tally, watched = state.tally(model), state.watched[model]
        oldest = max(tally.swept, tally.event_time - watched.retention) // watched.pane
        newest = tally.event_time // watched.pane
        missing = {number for number in range(oldest, newest + 1) if (model, number) not in state.inputs}
        for key in self.keys:
            join_delta.restore_inputs(state, self.store.delta(key), model, missing)
        state.reaching_back.add(model)
