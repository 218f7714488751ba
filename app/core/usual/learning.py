"""Learning of the usual effects of a reference whose rows have times."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from app.core.reference.layout import Layout, Slots
from app.core.reference.usual import ColumnUsual, Floats, ReferenceUsual
from app.core.usual.bound import usual_bound
from app.core.usual.distances import js_distances, ks_distances, missing_rises, unseen_rises
from app.core.usual.spans import FEWEST_WINDOWS, Integers, RowWindows, in_order, learned_spans, row_windows

Values = NDArray[np.generic] | Sequence[str | None]


def learn(layout: Layout, columns: Sequence[Values], times: Floats, spans: tuple[float, ...]) -> ReferenceUsual | None:
    """Learn from a reference how far its windows differ from the rest; None where its times are not sufficient.

    `columns`: in the layout's order, numbers as arrays (NaN where missing), categories as their names (None where
    missing). `times`: epoch seconds, NaN where a row has none. `spans`: the lengths in seconds that the stream
    judges.
    """
    order = in_order(times)
    ordered = times[order]
    if not len(ordered) or ordered[-1] <= ordered[0]:
        return None
    lengths = learned_spans(spans, float(ordered[-1] - ordered[0]))
    found = [(span, one) for span in lengths if (one := row_windows(ordered, span)).side_by_side >= FEWEST_WINDOWS]
    if not found:
        return None
    windows = [one for _, one in found]
    learned = tuple(
        _column(slots, slots_of(slots, values)[order], windows)
        for slots, values in zip(layout.slots, columns, strict=False)
    )
    return ReferenceUsual(
        since=float(ordered[0]),
        until=float(ordered[-1]),
        rows=len(ordered),
        spans=tuple(span for span, _ in found),
        windows=tuple(int(one.side_by_side) for one in windows),
        columns=learned,
    )


def slots_of(slots: Slots, values: Values) -> Integers:
    """Return the slot of each value of a reference, from the column's own start."""
    if isinstance(values, np.ndarray):
        return slots.numeric(np.asarray(values, np.float64))
    codes = slots.codes
    found = (slots.missing if value is None else codes.get(value, slots.unseen) for value in values)
    return np.fromiter(found, np.int64, len(values))


def _column(slots: Slots, codes: Integers, found: Sequence[RowWindows]) -> ColumnUsual:
    numeric = slots.column.kind == "numeric"
    distances = ks_distances if numeric else js_distances
    return ColumnUsual(
        name=slots.column.name,
        distribution=tuple(_bound(distances(slots, codes, windows), windows) for windows in found),
        missing=tuple(_bound(missing_rises(slots, codes, windows), windows) for windows in found),
        unseen=() if numeric else tuple(_bound(unseen_rises(slots, codes, windows), windows) for windows in found),
    )


def _bound(effects: Floats, windows: RowWindows) -> float:
    return round(usual_bound(effects, windows.side_by_side), 4)
