"""How a join's checkpoint is written, and which of the saved deltas may go."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping

import msgspec

from agents.join.partition import JoinPartition, Offsets, decode_delta, encode_delta
from app.core.join import delta as join_delta
from app.core.join import expiry
from app.core.join.delta import JoinDelta

_encoder = msgspec.msgpack.Encoder()


def save(
    table: MutableMapping[str, bytes],
    partition: int,
    source: JoinPartition,
    delta: JoinDelta,
    spent: Mapping[str, Offsets],
) -> None:
    """Write a delta and what goes with it; drop the orphans before, the `spent` ones behind."""
    while source.orphans:
        table.pop(source.orphans.pop(), None)
    key = f"{partition}/{source.saved[0]}-{source.saved[1]}/{source.epoch}"
    table[key] = encode_delta(delta)
    source.keys.append(key)
    recent = (source.limits[0].recent, source.limits[1].recent)
    if recent != source.noted:
        source.noted = recent
        table[f"unreadable/{partition}"] = _encoder.encode(recent)
    source.saved, source.ordinal = delta.to_offsets, source.state.rows.next_ordinal
    if spent:  # said before: a front that is missing for another reason is a loss
        table[f"front/{partition}"] = _encoder.encode(list(spent.values())[-1])
    for spent_key in spent:
        table.pop(spent_key, None)
    del source.keys[: len(spent)]


def spent_keys(source: JoinPartition, table: Mapping[str, bytes]) -> dict[str, Offsets]:
    """The oldest deltas, and where each ends, if they hold only what was forgotten before the last one that is saved.

    They are to be dropped. Dropped any earlier, a recovery would take what is left of their panes for the whole.
    """
    horizons, source.swept = source.swept, {model: tally.swept for model, tally in source.state.tallies.items()}
    if horizons == source.dropped:
        return {}
    source.dropped = horizons
    spent: dict[str, Offsets] = {}
    for key in source.keys:
        delta = decode_delta(table[key])
        if not expiry.is_spent(delta, source.state, horizons):
            break
        expiry.keep_waiting(delta, source.state)
        spent[key] = delta.to_offsets
    return spent


def reach_back(table: Mapping[str, bytes], source: JoinPartition, model: int) -> None:
    """Bring back a model's panes of inputs that were forgotten; from now on they are kept for the retention.

    Their deltas are saved as long: `spent_keys` goes by the retention.
    """
    state, tally, watched = source.state, source.state.tally(model), source.state.watched[model]
    oldest = max(tally.swept, tally.event_time - watched.retention) // watched.pane
    newest = tally.event_time // watched.pane
    missing = {number for number in range(oldest, newest + 1) if (model, number) not in state.inputs}
    for key in source.keys:
        join_delta.restore_inputs(state, decode_delta(table[key]), model, missing)
    state.reaching_back.add(model)
