"""What is kept of an event until the sender encodes it: a copy that the caller's later changes do not reach."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

EVENT_BYTES = 150
"""About the bytes of an event beside its texts and members."""
MEMBER_BYTES = 32
"""About the bytes of a member's name and number."""

SETTLED: set[type] = {str, int, float, bool, type(None), datetime}
"""Types whose values do not change; types that are met are added."""
MOST_TYPES = 1000
"""Types can be made at run time without end."""


def snapshot(event: dict[str, object]) -> bool:
    """Copy the mappings in `event`, in place, so that it can be encoded later in another thread.

    Written for speed, since the caller waits for it. Returns False where a copy would not do: a value can change (an
    array of one value, a tensor), or is no value at all. Such an event must be encoded at once.
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
    """Whether values stay as they are."""
    return SETTLED.issuperset(map(type, values)) or all(map(_is_settled, map(type, values)))


def weight(values: Iterable[object]) -> int:
    """Estimate the bytes that an event of these values has as JSON. Lengths are asked of dicts and texts alone."""
    size = EVENT_BYTES
    for value in values:
        if type(value) is dict:
            texts = [one for one in value.values() if type(one) is str]
            size += MEMBER_BYTES * len(value) + sum(map(len, texts))
        elif type(value) is str:
            size += len(value)
    return size


def _is_settled(kind: type) -> bool:
    """Whether values of a type stay as they are: they have a hash, and no items that can be set (a tensor has)."""
    if kind in SETTLED:
        return True
    settled = getattr(kind, "__hash__", None) is not None and not hasattr(kind, "__setitem__")
    if settled and len(SETTLED) < MOST_TYPES:
        SETTLED.add(kind)
    return settled
