"""Columns like those of a day's flights, and their panes."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from app.core.panes.pane import Pane
from app.core.reference.layout import FIXED_POINT, Layout
from tests.support.columns import Values, layout_for, pane_of

Floats = NDArray[np.float64]


def flights(seed: int, n: int) -> dict[str, Values]:
    """Distances of a hundred routes in miles, whole hours by day, delays in whole minutes with a long tail."""
    routes = np.random.default_rng(0)
    miles, busy = np.round(routes.gamma(2.0, 520.0, 100) + 80), routes.dirichlet(np.ones(100))
    rng = np.random.default_rng(seed)
    early, late = rng.normal(-4.0, 3.0, n), rng.gamma(0.7, 60.0, n)
    carriers = rng.choice(["UA", "B6", "DL", "EV"], n, p=[0.4, 0.3, 0.2, 0.1]).tolist()
    distance = rng.choice(miles, n, p=busy)
    return {
        "distance": distance,
        "air_time": np.round(distance / 7.5 + 20 + rng.normal(0, 8, n)).clip(20),
        "hour": rng.choice(np.arange(5, 24.0), n, p=_hours()),
        "dep_delay": np.round(np.where(rng.random(n) < 0.35, late, early)),
        "temp": rng.normal(55.0, 12.0, n),
        "carrier": carriers,
    }  # fmt: skip


def _hours() -> Floats:
    weights = np.array([2, 7, 7, 8, 7, 5, 5, 6, 6, 6, 8, 8, 9, 8, 8, 6, 4, 2, 1.0])
    return np.asarray(weights / weights.sum())


LAYOUT = layout_for(flights(1, 20_000))


def summed(layout: Layout, columns: dict[str, Values]) -> Pane:
    """A pane with its sums, recounted plainly."""
    pane, sums = pane_of(layout, columns), np.zeros(layout.sums, np.int64)
    for number, place in enumerate(layout.numeric):
        column = layout.slots[place].column
        values = columns.get(column.name)
        if isinstance(values, np.ndarray):
            z = (values[np.isfinite(values)] - column.centre) / column.scale
            sums[2 * number], sums[2 * number + 1] = round(z.sum() * FIXED_POINT), round((z * z).sum() * FIXED_POINT)
    new = Counter(name for name in columns.get("carrier", ()) if name not in {"UA", "B6", "DL", "EV", None})
    return replace(pane, sums=sums, names={"carrier": dict(new.most_common(50))} if new else {})
