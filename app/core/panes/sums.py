"""Counts of the panes of one kind up to the last checkpoint, each pane packed into a few bytes."""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.core.panes.grouping import few_together
from app.core.panes.packing import steps_of, widths_of
from app.core.panes.pane import SPARSE, Names, Pane, add_names, add_sparse, merge

PaneKey = tuple[int, int]
"""Key of a pane: model number, pane number."""

MOST_UNSUMMED = 1 << 20
"""Maximum counts of restored deltas that are kept before they are summed up."""
MOST_OPEN = 2_000
"""Maximum number of open panes of one kind, besides OPEN_OF_A_MODEL of each model."""
MOST_OPEN_COUNTS = 1 << 17
"""Maximum number of counts of open panes, of 12 bytes each, besides OPEN_COUNTS_OF_A_MODEL of each model."""
OPEN_OF_A_MODEL = 2
"""Panes of a model that its traffic is in: one that begins, and one that ends."""
OPEN_COUNTS_OF_A_MODEL = 1_000
LARGE = int(np.iinfo(np.int16).max)
"""Largest count that is stored in the narrowest type that fits all of a pane; larger counts are stored separately."""

_HEADER = struct.Struct("<qIIBB")
"""Header of a packed pane: predictions, indices, large counts, bytes of a step, bytes of a count."""
_KINDS: dict[int, Any] = {1: np.dtype("i1"), 2: np.dtype("<i2"), 4: np.dtype("<i4")}
_SHIFT = 32


@dataclass(frozen=True, slots=True)
class PaneShape:
    """Width of a pane: its slots, the last `limbs` of which are exact sums, and its fixed-point sums."""

    size: int
    sums: int
    limbs: int = 0


class PaneSums:
    """Totals of panes by model and pane. The cost of adding depends on the added counts and their panes' totals.

    The panes that were added to last stay open, since most are added to again. The panes that were not added to for
    the longest time are packed first.
    """

    def __init__(self, shape_of: Callable[[int], PaneShape]) -> None:
        """Create without panes. `shape_of`: the shape of a model's panes."""
        self._shape_of = shape_of
        self._packed: dict[int, dict[int, bytes]] = {}
        """Packed panes by model and number; the bytes are empty where a pane is open."""
        self._open: dict[PaneKey, Pane] = {}
        self._open_counts = 0
        self._names: dict[PaneKey, Names] = {}
        self._unsummed: list[tuple[PaneKey, Pane]] = []
        self._unsummed_counts = 0

    def __len__(self) -> int:
        self._sum_up()
        return sum(map(len, self._packed.values()))

    def __iter__(self) -> Iterator[PaneKey]:
        self._sum_up()
        return iter([(model, pane) for model, panes in self._packed.items() for pane in panes])

    def __contains__(self, key: PaneKey) -> bool:
        self._sum_up()
        return key[1] in self._packed.get(key[0], ())

    def __getitem__(self, key: PaneKey) -> Pane:
        """Return a pane's total."""
        self._sum_up()
        return self._unpack(key)

    def panes(self, model: int) -> Collection[int]:
        """Return the panes of a model, in no order."""
        self._sum_up()
        return self._packed.get(model, {}).keys()

    @property
    def nbytes(self) -> int:
        """Return the bytes that the totals take, packed or open."""
        packed = sum(len(packed) for panes in self._packed.values() for packed in panes.values())
        return packed + sum(p.indices.nbytes + p.counts.nbytes + p.sums.nbytes for p in self._open.values())

    def restore(self, key: PaneKey, delta: Pane) -> None:
        """Add a delta; many are summed up at once."""
        self._unsummed.append((key, delta))
        self._unsummed_counts += len(delta.indices)
        if self._unsummed_counts >= MOST_UNSUMMED:
            self._sum_up()

    def _sum_up(self) -> None:
        if self._unsummed:
            deltas, self._unsummed, self._unsummed_counts = self._unsummed, [], 0
            self._close(self._add(deltas))

    def add(self, deltas: Mapping[PaneKey, Pane]) -> dict[PaneKey, Pane]:
        """Add a delta to each of some panes. Return their totals."""
        self._sum_up()
        totals = self._add(deltas.items())
        for key, total in totals.items():
            self._drop_open(key)
            self._packed.setdefault(key[0], {})[key[1]] = b""
            # copied: the array that it is a part of may be large, and would stay in memory
            self._open[key] = Pane(total.n, total.indices.copy(), total.counts.copy(), total.sums, total.names)
            self._open_counts += len(total.indices)
        most, most_counts = self._most_open()
        if len(self._open) > most or self._open_counts > most_counts:
            self._close(self._oldest_open(most // 2, most_counts // 2))
        return totals

    def _most_open(self) -> tuple[int, int]:
        """Return how many panes, with how many counts, may stay open."""
        models = len(self._packed)
        return MOST_OPEN + OPEN_OF_A_MODEL * models, MOST_OPEN_COUNTS + OPEN_COUNTS_OF_A_MODEL * models

    def _oldest_open(self, most: int, most_counts: int) -> dict[PaneKey, Pane]:
        """Return the open panes to be packed, so that so many, with so many counts, stay open."""
        panes, counts = len(self._open), self._open_counts
        oldest = {}
        for key, pane in self._open.items():
            if panes <= most and counts <= most_counts:
                break
            oldest[key] = pane
            panes, counts = panes - 1, counts - len(pane.indices)
        return oldest

    def _close(self, totals: Mapping[PaneKey, Pane]) -> None:
        """Pack panes."""
        for key, packed in zip(totals, _pack(list(totals.values())), strict=True):
            self._packed.setdefault(key[0], {})[key[1]] = packed
            self._drop_open(key)

    def _drop_open(self, key: PaneKey) -> None:
        pane = self._open.pop(key, None)
        if pane is not None:
            self._open_counts -= len(pane.indices)

    def _add(self, deltas: Iterable[tuple[PaneKey, Pane]]) -> dict[PaneKey, Pane]:
        parts: dict[PaneKey, list[Pane]] = {}
        for key, delta in deltas:
            if key in parts:
                parts[key].append(delta)
            elif key[1] in self._packed.get(key[0], ()):
                parts[key] = [self._unpack(key), delta]
            else:
                parts[key] = [delta]
        totals = self._summed(parts)
        self._names.update({key: total.names for key, total in totals.items() if total.names})
        return totals

    def _summed(self, parts: Mapping[PaneKey, Sequence[Pane]]) -> dict[PaneKey, Pane]:
        """Return the sum of each pane's parts: one by one where they are wide, all others together."""
        totals: dict[PaneKey, Pane] = {}
        together: list[PaneKey] = []
        for key, panes in parts.items():
            shape = self._shape_of(key[0])
            if len(panes) == 1:
                totals[key] = panes[0]
            elif sum(len(pane.indices) for pane in panes) * SPARSE > shape.size:
                totals[key] = merge(panes, shape.size, shape.sums)
            else:
                totals[key] = panes[0]  # keeps the order; replaced by the sum below
                together.append(key)
        summands = [parts[key] for key in together]
        for few in few_together([sum(len(pane.indices) for pane in panes) for panes in summands]):
            totals.update(zip(together[few], _sum_of_each(summands[few]), strict=True))
        return totals

    def _unpack(self, key: PaneKey) -> Pane:
        packed = self._packed[key[0]][key[1]]
        if not packed:
            return self._open[key]
        n, length, large, step, count = _HEADER.unpack_from(packed)
        at = _HEADER.size
        steps = np.frombuffer(packed, _KINDS[step], length, at)
        at += step * length
        counts = np.frombuffer(packed, _KINDS[count], length, at).astype(np.int64)
        at += count * length
        if large:
            places = np.frombuffer(packed, "<i4", large, at)
            counts[places] = np.frombuffer(packed, "<i8", large, at + 4 * large)
            at += 12 * large
        sums = np.frombuffer(packed, "<i8", offset=at)
        return Pane(n, np.cumsum(steps, dtype=np.int32), counts, sums, self._names.get(key, {}))

    def forget(self, model: int, newest: int, changing: Callable[[PaneKey], bool]) -> None:
        """Drop a model's panes up to the newest one, except those that are `changing`."""
        self._sum_up()
        panes = self._packed.get(model, {})
        for pane in [pane for pane in panes if pane <= newest and not changing((model, pane))]:
            del panes[pane]
            self._names.pop((model, pane), None)
            self._drop_open((model, pane))


def _sum_of_each(parts: Sequence[Sequence[Pane]]) -> list[Pane]:
    """Return the sum of each sequence of panes, by one sort over all of them."""
    flat = [pane for panes in parts for pane in panes]
    lengths = np.fromiter((len(pane.indices) for pane in flat), np.int64, len(flat))
    number = np.repeat(np.arange(len(parts), dtype=np.int64), [len(panes) for panes in parts])
    codes = (np.repeat(number, lengths) << _SHIFT) + np.concatenate([pane.indices for pane in flat])
    codes, counts = add_sparse(codes, np.concatenate([pane.counts for pane in flat]))
    bounds = np.searchsorted(codes, np.arange(len(parts) + 1, dtype=np.int64) << _SHIFT).tolist()
    indices = (codes & ((1 << _SHIFT) - 1)).astype(np.int32)
    found = []
    for i, panes in enumerate(parts):
        part = slice(bounds[i], bounds[i + 1])
        sums = panes[0].sums
        for pane in panes[1:]:
            sums = sums + pane.sums
        found.append(Pane(sum(pane.n for pane in panes), indices[part], counts[part], sums, _names_of(panes)))
    return found


def _names_of(panes: Sequence[Pane]) -> Names:
    names: Names = {}
    for pane in panes:
        if pane.names:
            add_names(names, pane.names)
    return names


def _pack(panes: Sequence[Pane]) -> list[bytes]:
    """Return panes as bytes: their steps from index to index and their counts, most of which are small."""
    lengths = [len(pane.indices) for pane in panes]
    return [packed for few in few_together(lengths) for packed in _pack_few(panes[few])]


def _pack_few(panes: Sequence[Pane]) -> list[bytes]:
    lengths = np.fromiter((len(pane.indices) for pane in panes), np.int64, len(panes))
    starts = np.cumsum(lengths) - lengths
    counts = np.concatenate([pane.counts for pane in panes])
    steps = steps_of(np.concatenate([pane.indices for pane in panes]), lengths)
    places = np.flatnonzero(np.abs(counts) > LARGE)
    small = counts.copy()
    small[places] = 0
    narrow_steps = {kind: steps.astype(dtype).tobytes() for kind, dtype in _KINDS.items()}
    narrow_counts = {kind: small.astype(dtype).tobytes() for kind, dtype in _KINDS.items()}
    larges = np.diff(np.searchsorted(places, [*starts.tolist(), len(counts)])).tolist()
    places, large_counts = (places - np.repeat(starts, larges)).astype("<i4"), counts[places]
    packed, at = [], 0
    widths = zip(widths_of(steps, lengths), widths_of(small, lengths), strict=True)
    for pane, start, n, large, (step, count) in zip(
        panes, starts.tolist(), lengths.tolist(), larges, widths, strict=True
    ):
        parts = [
            _HEADER.pack(pane.n, n, large, step, count),
            narrow_steps[step][step * start : step * (start + n)],
            narrow_counts[count][count * start : count * (start + n)],
        ]
        if large:
            parts += [places[at : at + large].tobytes(), large_counts[at : at + large].tobytes()]
            at += large
        packed.append(b"".join([*parts, pane.sums.tobytes()]))
    return packed
