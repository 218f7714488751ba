"""Which member of a group has which partitions: balanced, and as few of them moved as that allows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping


def share(held: Mapping[str, Iterable[int]], partitions: int) -> dict[str, set[int]]:
    """Divide partitions 0 to `partitions` - 1 among members. `held`: what each member has had until now.

    Every member gets as many as any other, or one less. What a member had it keeps, up to that number; only what
    is beyond it, and what nobody had, moves. The same input gives the same result, whatever the order of members.
    """
    kept = _without_doubles({member: set(held[member]) & set(range(partitions)) for member in sorted(held)})
    least, more = divmod(partitions, len(kept))
    by_need = sorted(kept, key=lambda member: (-len(kept[member]), member))
    room = {member: least + (place < more) for place, member in enumerate(by_need)}
    shares = {member: set(sorted(had)[: room[member]]) for member, had in kept.items()}
    moving = sorted(set(range(partitions)).difference(*shares.values()))
    for member in reversed(by_need):  # those with the fewest first
        wanted = room[member] - len(shares[member])
        shares[member].update(moving[:wanted])
        del moving[:wanted]
    return shares


def _without_doubles(held: Mapping[str, set[int]]) -> dict[str, set[int]]:
    """Of what several say that they have, leave each to the one that has the fewest."""
    claims = Counter(partition for had in held.values() for partition in had)
    kept = {member: {partition for partition in had if claims[partition] == 1} for member, had in held.items()}
    for partition in sorted(partition for partition, n in claims.items() if n > 1):
        claimants = [member for member, had in held.items() if partition in had]
        kept[min(claimants, key=lambda member: (len(kept[member]), member))].add(partition)
    return kept
