"""Usual effects of each column at each span of time: only a larger effect counts as a change.

Rows of a real stream are neither independent nor level: the hour of the day differs from the reference in every hour,
and a storm delays a whole day. The tests of `app.core.scales` take rows as independent; by themselves they would call
both drift. So a column's effect is compared with its effects at the same span of time without any change.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from app.core.evaluation.results import Fault
from app.core.evaluation.tested import MARGIN
from app.core.reference.layout import Floats
from app.core.reference.usual import ReferenceUsual


@dataclass(frozen=True, slots=True)
class UsualEffects:
    """The effects that columns have without any change, in newest panes of some length.

    `spans`: lengths in seconds, ascending. `effects`: by fault and column, the largest usual effect at each of the
    spans, less what the sampling of independent rows brings. For `distribution` this is the KS statistic of numbers
    and the Jensen-Shannon distance of categories, both against the reference. For `missing`, `unseen` and `type` it
    is the rise of the share of rows above the share that the reference leads one to expect. All are between 0 and 1.

    A column or a fault without an entry has no usual effect: its rows are independent and level. `drops`: by metric,
    its usual drop as a share of its scale, at each of the spans.
    """

    spans: tuple[float, ...] = ()
    effects: Mapping[Fault, Mapping[str, tuple[float, ...]]] = field(default_factory=dict)
    drops: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def at(self, fault: Fault, columns: Sequence[str], seconds: Sequence[float]) -> Floats:
        """Return the usual effects of columns at spans of these lengths in seconds (spans x columns).

        Between two spans of `spans` the larger one of their effects is returned, outside of them that of the nearest.
        """
        known = self.effects.get(fault)
        if not self.spans or not known:
            return np.zeros((len(seconds), len(columns)))
        last = len(self.spans) - 1
        below = np.searchsorted(self.spans, seconds, side="right") - 1
        above = np.searchsorted(self.spans, seconds, side="left")
        nothing = (0.0,) * len(self.spans)
        effects = np.array([known.get(name, nothing) for name in columns], np.float64).reshape(len(columns), last + 1)
        return np.maximum(effects[:, below.clip(0, last)], effects[:, above.clip(0, last)]).T

    def drop(self, metric: str, seconds: float) -> float:
        """Return the usual drop of a metric at a span (seconds): the larger one of the nearest spans that are known."""
        drops = self.drops.get(metric)
        if not drops:
            return 0.0
        above = bisect_left(self.spans, seconds)
        below = bisect_right(self.spans, seconds) - 1
        return max(drops[min(above, len(drops) - 1)], drops[max(below, 0)])


NONE_USUAL = UsualEffects()
"""Usual effects where nothing is known: rows are taken as independent and level."""


def floors(floor: float | Floats, usual: Floats) -> Floats:
    """Return the effects from which on columns are found: beyond the usual one by a margin, and never below `floor`."""
    return np.asarray(np.maximum(floor, usual + MARGIN * floor), np.float64)


def margins(floor: float, usual: Floats) -> Floats:
    """Return the true effects that are never found, however many rows there are: usual, or harmless."""
    return np.asarray(np.maximum(MARGIN * floor, usual), np.float64)


def shows_an_end(floor: float, usual: Floats) -> NDArray[np.bool_]:
    """Return where a small effect shows that a fault has ended: not where the usual effect is as large."""
    return np.asarray(usual <= floor)


@lru_cache(maxsize=64)
def effects_of(usual: ReferenceUsual | None) -> UsualEffects:
    """Return the usual effects learned from a reference (see `app.core.usual`), in the form that the tests need."""
    if usual is None:
        return NONE_USUAL
    return UsualEffects(
        spans=usual.spans,
        effects={
            "distribution": {column.name: column.distribution for column in usual.columns},
            "missing": {column.name: column.missing for column in usual.columns},
            "unseen": {column.name: column.unseen for column in usual.columns if column.unseen},
        },
        drops={metric.name: metric.drop for metric in usual.metrics},
    )
