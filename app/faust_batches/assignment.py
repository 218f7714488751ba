"""Assignment of partitions to the members of a group: balanced, with as few moves as that allows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping


def share(held: Mapping[str, Iterable[int]], partitions: int) -> dict[str, set[int]]:
    """Divide partitions 0 to `partitions` - 1 among members. `held`: the partitions of each member until now.

    Every member gets as many partitions as any other, or one less. A member keeps its partitions up to that number.
    Only excess partitions, and those without a member, move. The same input gives the same result, whatever the order
    of members.
    """
    kept = _without_doubles({member: set(held[member]) & set(range(partitions)) for member in sorted(held)})
    least, more = divmod(partitions, len(kept))
    by_need = sorted(kept, key=lambda member: (-len(kept[member]), member))
    room = {member: least + (place < more) for place, member in enumerate(by_need)}
    shares = {member: set(sorted(had)[: room[member]]) for member, had in kept.items()}
    moving = sorted(set(range(partitions)).difference(*shares.values()))
    for member in reversed(by_need):  # the members with the fewest first
        wanted = room[member] - len(shares[member])
        shares[member].update(moving[:wanted])
        del moving[:wanted]
    return shares


def _without_doubles(held: Mapping[str, set[int]]) -> dict[str, set[int]]:
    """Leave each partition that several members claim to the member with the fewest."""
    claims = Counter(partition for had in held.values() for partition in had)
    kept = {member: {partition for partition in had if claims[partition] == 1} for member, had in held.items()}
    for partition in sorted(partition for partition, n in claims.items() if n > 1):
        claimants = [member for member, had in held.items() if partition in had]
        kept[min(claimants, key=lambda member: (len(kept[member]), member))].add(partition)
    return kept
