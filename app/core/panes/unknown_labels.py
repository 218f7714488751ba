"""Names of the labels of an outcome pane that the reference does not have."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from app.core.panes.outcomes import OutcomeLayout
from app.core.panes.pane import MAX_NAMES, OTHER, Names, Pane

ACTUAL, PREDICTED = "actual", "prediction"
"""Keys under which a pane keeps its unknown labels."""


def unknown_names(layout: OutcomeLayout, pane: Pane, spelled: Mapping[int, str]) -> Names:
    """Return how often each unknown label is the truth, and how often it is predicted. `spelled`: labels by code."""
    if not layout.k:
        return {}
    names: Names = {}
    for name, where in ((ACTUAL, layout.unknown_actual), (PREDICTED, layout.unknown_predicted)):
        first, last = np.searchsorted(pane.indices, [where.start, where.stop])
        codes = (pane.indices[first:last] - where.start + layout.k).tolist()
        tally: dict[str, int] = {}
        for code, count in zip(codes, pane.counts[first:last].tolist(), strict=True):
            label = spelled.get(code, OTHER)
            tally[label] = tally.get(label, 0) + count
        if tally:
            names[name] = _largest(tally)
    return names


def _largest(tally: dict[str, int]) -> dict[str, int]:
    """Return the MAX_NAMES most frequent names, the rest under OTHER."""
    ordered = sorted(tally.items(), key=lambda item: (-item[1], item[0]))
    kept = dict(ordered[:MAX_NAMES])
    rest = sum(count for _, count in ordered[MAX_NAMES:])
    return kept | {OTHER: kept.get(OTHER, 0) + rest} if rest else kept
