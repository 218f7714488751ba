"""One model version's features, decoded into columns."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

import msgspec
from msgspec.structs import astuple

from app.core.counting import Scalar
from app.ingest.decoding import LinesDecoder

MAX_KNOWN_UNKNOWN = 100
"""Unknown features that get a place in the fast decoder; beyond them every run is decoded by name."""


class FeatureColumns:
    """Columns of one run's features, in the profile's order, and what was unknown among them."""

    __slots__ = ("columns", "rejected", "unknown")

    def __init__(self, columns: list[Sequence[Scalar]], unknown: list[tuple[int, str]], rejected: dict[int, str]):
        self.columns = columns
        self.unknown = unknown
        self.rejected = rejected


class FeaturesDecoder:
    """Decodes feature objects through a struct made for the model; learns the unknown names it meets."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = tuple(names)
        self._extra: tuple[str, ...] = ()
        self._by_name: LinesDecoder[dict[str, Scalar]] = LinesDecoder(dict[str, Scalar])
        self._by_struct = self._compile()

    def _compile(self) -> LinesDecoder[Any]:
        fields: list[tuple[str, Any, Any]] = [(f"f{i}", Scalar, None) for i in range(len(self._names))]
        fields += [(f"x{i}", Scalar | msgspec.UnsetType, msgspec.UNSET) for i in range(len(self._extra))]
        wire = dict(zip([name for name, _, _ in fields], (*self._names, *self._extra), strict=True))
        struct = msgspec.defstruct("Features", fields, rename=wire, forbid_unknown_fields=True, gc=False)
        return LinesDecoder(struct)

    def decode(self, documents: Sequence[msgspec.Raw]) -> FeatureColumns:
        """Columns of all documents. Rejected ones (by position) have None in every column."""
        if not documents:
            return FeatureColumns([() for _ in self._names], [], {})
        structs = self._by_struct.decode(documents)
        if structs is None:
            return self._decode_by_name(documents)
        columns: list[Sequence[Any]] = list(zip(*map(astuple, structs), strict=True)) if self._names else []
        unknown = [
            (row, name)
            for name, column in zip(self._extra, columns[len(self._names) :], strict=True)
            for row, value in enumerate(column)
            if value is not msgspec.UNSET
        ]
        return FeatureColumns(columns[: len(self._names)], unknown, {})

    def _decode_by_name(self, documents: Sequence[msgspec.Raw]) -> FeatureColumns:
        rows: list[dict[str, Scalar]] = []
        rejected: dict[int, str] = {}
        for i, document in enumerate(documents):
            found = self._by_name.decode_one(document)
            if isinstance(found, str):
                rejected[i] = found.replace("`[...]`", "`features`").replace("`$[...]`", "`features`")
                found = {}
            rows.append(found)
        known = set(self._names)
        unknown = [(row, name) for row, found in enumerate(rows) for name in found if name not in known]
        self._learn({name for _, name in unknown})
        return FeatureColumns([[row.get(name) for row in rows] for name in self._names], unknown, rejected)

    def _learn(self, names: set[str]) -> None:
        fresh = sorted(names - set(self._extra))
        room = MAX_KNOWN_UNKNOWN - len(self._extra)
        if fresh and room > 0:
            self._extra = (*self._extra, *fresh[:room])
            self._by_struct = self._compile()


def pick(columns: Sequence[Sequence[Scalar]], rows: Sequence[int]) -> list[Sequence[Scalar]]:
    """The given rows of every column."""
    if len(rows) == 1:
        return [(column[rows[0]],) for column in columns]
    chosen = itemgetter(*rows) if rows else lambda column: ()
    return [chosen(column) for column in columns]
