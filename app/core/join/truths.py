"""Truths as a prediction's row keeps them, and their conversion back for a version whose prediction comes later.

A row has the truth as its own model reads it: a label's code, or a number. Another version may read the same truth
otherwise (its labels are 0 and 1, not false and true). So the kind of the original value is stored with the code.
Where the two do not give back the original, the truth itself is kept (`JoinState.kept`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from app.core.join.state import MICROSECONDS, NEVER, CompiledModel, TruthOf, Waiting
from app.core.panes.inputs import Scalar
from app.core.reference.layout import Floats

TEXT, WHOLE, NUMBER, BOOLEAN, OTHER, DEFAULT = 1, 2, 3, 4, 5, 6
"""Kinds of truth. OTHER cannot be restored from a row. 0 is no truth; DEFAULT is a default truth without feedback."""
LIMITED, KIND = 8, 7
"""The bit of a row's kind for a truth that is for its own model alone; the bits of the kind itself."""
_KINDS: dict[type, int] = {str: TEXT, int: WHOLE, float: NUMBER, bool: BOOLEAN}
_EXACT = 2.0**53
UNTIMED = 1
"""The whole second of feedback without a time; it is in time for every prediction since 1970."""


def is_told(kinds: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return whether each row has a truth that came as feedback."""
    return np.asarray((kinds > 0) & (kinds != DEFAULT))


def whole_seconds(time: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return times (microseconds) rounded up to whole seconds, still in microseconds; NEVER stays."""
    return np.where(time == NEVER, NEVER, np.maximum(-(-time // MICROSECONDS), UNTIMED) * MICROSECONDS)


def seconds_told(time: NDArray[np.int64]) -> NDArray[np.uint32]:
    """Return times (whole seconds, in microseconds) in a row's form: 32 bits of seconds, which reach to 2106."""
    return (np.maximum(time, UNTIMED * MICROSECONDS) // MICROSECONDS).astype(np.uint32)


def waiting_of(value: Scalar, told: int, model: str) -> Waiting:
    """Return a row's truth as waiting feedback. `model`: the one that it is limited to."""
    return (TruthOf(value, NEVER if told == UNTIMED else told * MICROSECONDS, model),)


def with_later(waiting: Waiting, later: TruthOf) -> Waiting:
    """Add later feedback; keep all that may yet be the last in time of some prediction."""
    earlier = tuple(one for one in waiting if one.time < later.time or later.model not in ("", one.model))
    if earlier and earlier[-1].model == later.model:
        last = earlier[-1].actual
        if type(last) is type(later.actual) and last == later.actual:
            return earlier
    return (*earlier, later)


def kinds_of(
    watched: CompiledModel, values: Sequence[Scalar], read: Floats, unknown: Mapping[int, str]
) -> NDArray[np.uint8]:
    """Return the kind of each truth. `read`: the model's reading of it; `unknown`: spellings of labels by code."""
    types = set(map(type, values))
    if watched.outcomes.k == 0 and types == {float}:
        return np.full(len(values), NUMBER, np.uint8)
    if watched.outcomes.k == 0 and types == {int}:
        return np.where(np.abs(read) < _EXACT, WHOLE, OTHER).astype(np.uint8)
    if types == {str} and watched.outcomes.k and watched.labels.keys() >= set(values):
        return np.full(len(values), TEXT, np.uint8)
    if len(types) > 1:
        kinds = [_kind(watched, value, code, unknown) for value, code in zip(values, read.tolist(), strict=True)]
        return np.array(kinds, np.uint8)
    codes = dict(zip(values, read.tolist(), strict=True))
    found = {value: _kind(watched, value, code, unknown) for value, code in codes.items()}
    if len(set(found.values())) == 1:
        return np.full(len(values), next(iter(found.values())), np.uint8)
    return np.fromiter(map(found.__getitem__, values), np.uint8, len(values))


def _kind(watched: CompiledModel, value: Scalar, read: float, unknown: Mapping[int, str]) -> int:
    kind = _KINDS.get(type(value), OTHER)
    again = value_of(watched, read, kind, unknown)
    return kind if type(again) is type(value) and again == value else OTHER


def value_of(watched: CompiledModel, read: float, kind: int, unknown: Mapping[int, str]) -> Scalar:
    """Return the original truth; None where a row's reading and kind do not determine it."""
    if kind in (OTHER, DEFAULT):
        return None
    if watched.outcomes.k == 0:
        return _number_again(read, kind)
    code = int(read)
    labels = watched.profile.labels
    name = labels[code] if 0 <= code < len(labels) else unknown.get(code)
    if name is None or kind == TEXT:
        return name
    if kind == BOOLEAN:
        booleans = watched.profile.prediction.reading.booleans
        return booleans.index(name) == 1 if name in booleans else None
    as_number: Callable[[str], Scalar] = int if kind == WHOLE else float
    try:
        return as_number(name)
    except ValueError:
        return None


def _number_again(read: float, kind: int) -> Scalar:
    if kind == NUMBER:
        return read
    return int(read) if kind == WHOLE and abs(read) < _EXACT else None
