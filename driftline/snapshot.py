"""Copy of an event until the sender encodes it: later changes by the caller do not affect it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

EVENT_BYTES = 150
"""Approximate bytes of an event without its texts and members."""
MEMBER_BYTES = 32
"""Approximate bytes of a member's name and number."""

SETTLED: set[type] = {str, int, float, bool, type(None), datetime}
"""Types whose values do not change; further types are added when they occur."""
MOST_TYPES = 1000
"""Limit of SETTLED, since types can be created at run time without end."""


def snapshot(event: dict[str, object]) -> bool:
    """Copy the mappings in `event`, in place, so that the event can be encoded later in another thread.

    Written for speed, since the caller waits. Returns False where a copy is not enough: a value can change (an array of
    one value, a tensor), or is no value at all. Such an event must be encoded at once.
    """
    for name, value in event.items():
        kind = type(value)
        if kind is dict:
            event[name] = members = value.copy()  # type: ignore[attr-defined]  # a dict, as the line above says
            if not are_settled(members.values()):
                return False
        elif kind not in SETTLED and not _is_settled(kind):
            return False
    return True


def are_settled(values: Iterable[object]) -> bool:
    """Return whether values do not change."""
    return SETTLED.issuperset(map(type, values)) or all(map(_is_settled, map(type, values)))


def weight(values: Iterable[object]) -> int:
    """Estimate the bytes of an event's JSON from its values. Only the lengths of dicts and texts are used."""
    size = EVENT_BYTES
    for value in values:
        if type(value) is dict:
            texts = [one for one in value.values() if type(one) is str]
            size += MEMBER_BYTES * len(value) + sum(map(len, texts))
        elif type(value) is str:
            size += len(value)
    return size


def _is_settled(kind: type) -> bool:
    """Return whether values of a type do not change: they have a hash, and no items that can be set (a tensor has)."""
    if kind in SETTLED:
        return True
    settled = getattr(kind, "__hash__", None) is not None and not hasattr(kind, "__setitem__")
    if settled and len(SETTLED) < MOST_TYPES:
        SETTLED.add(kind)
    return settled
