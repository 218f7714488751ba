"""Decoding of one model version's features into columns."""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from msgspec.structs import astuple

from app.core.panes.inputs import NUMBERS, Scalar, Values
from app.core.reference.layout import Floats
from app.core.reference.profile import ColumnProfile
from app.ingest.decoding import LinesDecoder

_NO_FIELD = re.compile(r'["\\\x00-\x1f]')
"""Characters that msgspec does not accept in a field's name."""

MANY = 512
"""Number of rows from which a numeric column becomes an array. Fewer rows are joined with those of other models."""
MAX_KNOWN_UNKNOWN = 100
"""Largest number of unknown features in the fast decoder. With more, every batch is decoded by name."""


def floats_of(column: Sequence[float | None]) -> Floats:
    """Return numbers as an array, NaN for None."""
    try:
        return np.frombuffer(struct.pack(f"{len(column)}d", *column))  # three times as fast as numpy
    except struct.error:  # None is among them
        return np.array(column, np.float64)


class FeatureColumns:
    """Columns of one batch's features, in the profile's order, with the unknown features and the rejected rows."""

    __slots__ = ("columns", "rejected", "unknown")

    def __init__(self, columns: list[Values], unknown: list[tuple[int, str]], rejected: dict[int, str]):
        self.columns = columns
        self.unknown = unknown
        self.rejected = rejected


class FeaturesDecoder:
    """Decoder of feature objects, through a struct that is made for the model.

    The decoder adapts to unknown names, and to numeric features with other values than numbers. Where a feature's name
    cannot be a field's name, there is no struct (None), and all features are decoded by name.
    """

    struct: type | None

    def __init__(self, features: Sequence[ColumnProfile], ignored: Sequence[str] = ()) -> None:
        """Make a decoder. `ignored`: names that are no features, and are not reported as unknown either."""
        self._ignored = frozenset(ignored)
        self._names = tuple(column.name for column in features)
        self._numeric = {column.name for column in features if column.kind == "numeric"}
        self._extra: tuple[str, ...] = ()
        self._by_name: LinesDecoder[dict[str, Scalar]] = LinesDecoder(dict[str, Scalar])
        self._compile()

    def _compile(self) -> None:
        self.struct = None
        if any(map(_NO_FIELD.search, self._names)):
            return
        fields: list[tuple[str, Any, Any]] = [
            (f"f{i}", float | None if name in self._numeric else Scalar, None) for i, name in enumerate(self._names)
        ]
        fields += [(f"x{i}", Scalar | msgspec.UnsetType, msgspec.UNSET) for i in range(len(self._extra))]
        wire = dict(zip([name for name, _, _ in fields], (*self._names, *self._extra), strict=True))
        self.struct = msgspec.defstruct("Features", fields, rename=wire, forbid_unknown_fields=True, gc=False)
        self._by_struct: LinesDecoder[Any] = LinesDecoder(self.struct)

    def decode(self, documents: Sequence[msgspec.Raw]) -> FeatureColumns:
        """Return the columns of all documents. Rejected documents (by position) have None in every column."""
        structs = None if self.struct is None else self._by_struct.decode_values(documents)
        return self._decode_by_name(documents) if structs is None else self.columns_of(structs)

    def columns_of(self, structs: Sequence[Any]) -> FeatureColumns:
        """Return the columns of objects that were decoded to `struct`."""
        if not structs:
            return FeatureColumns([() for _ in self._names], [], {})
        found: list[Sequence[Any]] = list(zip(*map(astuple, structs), strict=True)) if self._names else []
        unknown = [
            (row, name)
            for name, column in zip(self._extra, found[len(self._names) :], strict=True)
            for row, value in enumerate(column)
            if value is not msgspec.UNSET and name not in self._ignored
        ]
        columns: list[Values] = [*found[: len(self._names)]]
        if len(structs) >= MANY:
            columns = [
                floats_of(column) if name in self._numeric else column
                for name, column in zip(self._names, found, strict=False)
            ]
        return FeatureColumns(columns, unknown, {})

    def _decode_by_name(self, documents: Sequence[msgspec.Raw]) -> FeatureColumns:
        rows: list[dict[str, Scalar]] = []
        rejected: dict[int, str] = {}
        for i, document in enumerate(documents):
            found = self._by_name.decode_one(document)
            if isinstance(found, str):
                words = found.replace("`[...]`", "`features`").replace("`$[...]`", "`features`")
                rejected[i] = words if "`features`" in words else f"{words} - at `features`"
                found = {}
            rows.append(found)
        known = set(self._names)
        others = [(row, name) for row, found in enumerate(rows) for name in found if name not in known]
        unknown = [(row, name) for row, name in others if name not in self._ignored]
        columns: list[Values] = [[row.get(name) for row in rows] for name in self._names]
        self._learn({name for _, name in others}, columns)
        return FeatureColumns(columns, unknown, rejected)

    def _learn(self, unknown: set[str], columns: Sequence[Values]) -> None:
        nameable = {name for name in unknown if not _NO_FIELD.search(name)}
        fresh = sorted(nameable - set(self._extra))[: MAX_KNOWN_UNKNOWN - len(self._extra)]
        loose = {
            name
            for name, column in zip(self._names, columns, strict=True)
            if name in self._numeric and not set(map(type, column)) <= NUMBERS
        }
        if fresh or loose:
            self._extra = (*self._extra, *fresh)
            self._numeric -= loose
            self._compile()
