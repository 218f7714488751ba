"""State that a worker keeps in a rebalance: complete tables, of which nothing is read again."""

from __future__ import annotations

from typing import Any

import faust
from faust import current_event
from faust.tables.recovery import Recovery
from faust.types import TP


class NotedTable(faust.Table):  # type: ignore[misc]
    """Table that notes the partition of each of its keys, so that the keys are removed with the partition.

    Faust's store in memory knows this only of keys that it has read from a changelog.
    """

    def on_key_set(self, key: Any, value: Any) -> None:
        """Write to the changelog, and note the partition."""
        super().on_key_set(key, value)
        event = current_event()
        assert event is not None  # Faust has raised otherwise
        self.data._key_partition[key] = event.message.partition

    def on_key_del(self, key: Any) -> None:
        """Write a tombstone to the changelog."""
        super().on_key_del(key)
        self.data._key_partition.pop(key, None)


class KeepingRecovery(Recovery):  # type: ignore[misc]
    """Recovery that reads the changelogs of new partitions only, not of partitions that have stayed.

    Agents go on with the partitions that have stayed. Their new writes must not be overwritten by earlier ones.
    """

    async def on_rebalance(
        self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP], generation_id: int = 0
    ) -> None:
        """Take an assignment. Must not be interrupted: the recovery begins with the next turn of the loop."""
        await super().on_rebalance(assigned, revoked, newly_assigned, generation_id)
        kept = self.app.consumer.kept
        for tp in [tp for tp in self.active_tps if tp.partition in kept]:
            self.active_tps.discard(tp)
            self.active_offsets.pop(tp, None)
