"""Labels and truths as numbers: one function for the reference, the stream and a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from app.core.panes.pane import LONGEST_NAME
from app.core.values.cell import Cell
from app.core.values.reading import PLAIN, Reading, names, numbers

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

MISSING = -1
"""The code of a missing label."""
INVALID = -2
"""The code of a value that cannot be a label, or of a regression's prediction that is no number."""
BUCKETS = 8192
"""Number of hash buckets for labels that the reference does not have: two in one bucket count as one label."""


def label_codes(
    known: Mapping[str, int], values: Sequence[Cell], reading: Reading = PLAIN
) -> tuple[Integers, dict[int, str]]:
    """Return the code of each label, and the spelling of each code that is not among the k `known` (coded 0 to k-1).

    `reading`: how the reference spells labels. An unknown label has a code from k on, the same wherever and whenever
    it occurs; a missing one is MISSING.
    """
    spelled: Sequence[Cell] = values
    if not set(map(type, values)) <= {str} or not known.keys() >= set(values):
        spelled = names(values, reading)
    codes = np.fromiter((known.get(value, INVALID) for value in spelled), np.int64, len(spelled))  # type: ignore[arg-type]
    unknown: dict[int, str] = {}
    for i in np.flatnonzero(codes == INVALID).tolist():
        value = spelled[i]
        if value is None:
            codes[i] = MISSING
            continue
        name = str(value)[:LONGEST_NAME]
        codes[i] = code = len(known) + bucket_of(name)
        unknown.setdefault(code, name)
    return codes, unknown


def bucket_of(name: str) -> int:
    """Return the bucket of an unknown label, from 0 to BUCKETS-1."""
    return crc32(name.encode("utf-8", "surrogatepass")) % BUCKETS


def truths_of(values: Sequence[Cell], reading: Reading = PLAIN) -> Floats:
    """Return truths of a regression: NaN where there is none, infinite where it is no finite number."""
    if set(map(type, values)) <= {float}:
        return np.asarray(values, np.float64)
    floats, invalid = numbers(values, reading)
    floats[invalid] = np.inf
    return floats
