"""How often any rule fires on data that does not change, or harmlessly: every pane's end of many streams.

Most evaluations can set off nothing. They are found by the real tests (`app.core.scales.columns.families`) over the
newest panes of many evaluations at once, and by the effects of the window's columns: where no column is found at any
scale, and so few of the window's columns have an effect above their floor that no rule can be breached by them, nothing
fires. The others, and the two before and after each, go through the real windows, rules and lifecycle.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np
from numpy.typing import NDArray

from app.core.config.monitoring import Alerting, Monitoring
from app.core.evaluation.divergence import LN2, divergence_terms
from app.core.evaluation.tested import effective
from app.core.panes.pane import Pane
from app.core.reference.layout import Layout
from app.core.scales.columns import Family, families
from app.core.scales.levels import levels_of
from app.core.scales.suffixes import Suffixes, spans_of, suffixes_of
from benchmarks.model_stream import ModelStream, Rules, rows_of
from benchmarks.populations import (
    Population,
    Shift,
    Watched,
    census_years,
    compiled,
    different,
    made_up,
    watched,
)
from topics.events import DriftReport

PANES = 60
REFERENCE = 5_000
TOGETHER = 20_000
"""Rows of windows whose newest panes are tested at once (24 windows at most: more is no quicker)."""
NEAR = 2
"""Evaluations before and after one in which a rule may be breached that are judged too: a rule fires after two."""
MOST_OF = 0.7
"""Of what sampling is expected to bring to a distance of categories, how much is certain to be taken from it."""

Bools = NDArray[np.bool_]


@dataclass
class Calm:
    """One stream: its evaluations, and the alerts by rule with the defaults and with every feature critical.

    `found`: evaluations in which the newest panes show something.
    """

    what: str
    features: int
    n: int
    evaluations: int
    found: int = 0
    alerts: Counter[str] = field(default_factory=Counter)
    critical: Counter[str] = field(default_factory=Counter)


@cache
def _populations(what: str, features: int) -> tuple[Population, Shift | None, Population | None]:
    """The population of the reference, and what comes later: a shift of it, or another one."""
    if what == "census":
        return (*census_years()[:1], None, census_years()[1])
    distance = float(what) if what != "calm" else 0.0
    return made_up(features), different(distance) if distance else None, None


def calm(task: tuple[str, int, int, int, int]) -> Calm:
    """Judge one stream of one reference: what ("calm", "census" or a distance), features, rows, seed, evaluations."""
    what, features, n, seed, evaluations = task
    rng = np.random.default_rng([seed, n, features, *what.encode()])
    population, shift, other = _populations(what, features)
    reference = watched(population, REFERENCE, rng)
    source = reference
    if shift is not None or other is not None:
        source = compiled(other or shift(population, rng), reference.layout.profile)  # type: ignore[misc]
    monitoring = Monitoring()
    reach = max(PANES, -(-monitoring.drift.min_samples * PANES // n))
    drawn = [
        (source, rng.integers(source.population.n, size=rows_of(pane, n, PANES))) for pane in range(reach + evaluations)
    ]
    found = Calm(what, len(population.features), n, evaluations)
    suspicious = set(suspicious_of(reference.layout, drawn, range(reach, len(drawn)), reach, monitoring))
    _judged(found, reference, drawn, suspicious, reach)
    return found


Drawn = Sequence[tuple[Watched, NDArray[np.int64]]]
"""What each pane's rows are drawn from, and which of its rows."""


def _panes(drawn: Drawn) -> dict[int, Pane]:
    panes = {}
    for number, (source, rows) in enumerate(drawn):
        slots, counts = np.unique(source.inputs[rows], return_counts=True)
        panes[number] = Pane(len(rows), slots.astype(np.int32), counts.astype(np.int64), np.zeros(0, np.int64))
    return panes


def suspicious_of(
    layout: Layout, drawn: Drawn, ends: Sequence[int], reach: int, monitoring: Monitoring
) -> Iterator[int]:
    """Yield the ends in which a rule may be breached, with the defaults or with critical features.

    `reach`: the panes of a window, more than usual where it is thin.
    """
    panes, spans = _panes(drawn), spans_of(PANES, reach)
    levels = levels_of(monitoring, len(spans), len(layout.slots))
    assert levels is not None
    together = max(1, min(24, TOGETHER * PANES // sum(panes[end].n for end in ends[:PANES])))
    for first in range(0, len(ends), together):
        some = ends[first : first + together]
        each = [suffixes_of(panes, end, spans, layout.size) for end in some]
        suffixes = Suffixes(
            spans * len(some),
            np.concatenate([one.n for one in each]),
            tuple(indices for one in each for indices in one.indices),
            tuple(counts for one in each for counts in one.counts),
        )
        seconds = [span * monitoring.windows.pane for span in suffixes.spans]
        tested = list(families(layout, suffixes, seconds, monitoring, levels))
        window = np.arange(len(some)) * len(spans) + len(spans) - 1
        there = np.zeros(len(some), np.bool_)
        for family in tested:
            there |= family.tested.found.any(axis=1).reshape(len(some), len(spans)).any(axis=1)
            there |= _window_may(layout, suffixes, family, window)
        yield from np.array(some)[there].tolist()


def _window_may(layout: Layout, suffixes: Suffixes, family: Family, window: NDArray[np.int64]) -> Bools:
    """Whether a column's effect in the windows may be above its floor.

    The distance of categories is without most of what sampling brings, as `app.core.usual.distances` has it.
    """
    effect = family.tested.effect[window]
    if family.fault == "distribution":
        for i, place in enumerate(family.places.tolist()):
            slots = layout.slots[place]
            if slots.column.kind != "numeric":
                counts = suffixes.part(slots.offset, slots.offset + slots.missing)[window]
                n = counts.sum(axis=1)
                terms = divergence_terms(
                    counts / np.maximum(n, 1.0)[:, None], np.broadcast_to(slots.shares, counts.shape), 1, 1
                )
                rows = effective(n, np.array(float(slots.total)))[:, None]
                sampling = np.minimum(slots.shares, (1.0 - slots.shares) / (8.0 * LN2 * np.maximum(rows, 1.0)))
                effect[:, i] = np.sqrt(np.maximum(terms.sum(axis=1) - MOST_OF * sampling.sum(axis=1), 0.0))
    return np.asarray((effect >= family.threshold).any(axis=1))


def _judged(found: Calm, reference: Watched, drawn: Drawn, suspicious: set[int], first: int) -> None:
    """Count what fires at the ends that are suspicious, with the defaults and with every feature critical."""
    if not suspicious:
        return
    critical = Monitoring(alerting=Alerting(critical_features=tuple(reference.population.features)))
    stream = ModelStream(reference, Monitoring())
    settings = ((Rules(Monitoring()), found.alerts), (Rules(critical), found.critical))
    near = {end + away for end in suspicious for away in range(-NEAR, NEAR + 1)}
    for number, (source, rows) in enumerate(drawn):
        stream.add(source, rows)
        if number < first or number not in near:
            stream.skip()
            continue
        reports = stream.judge()
        found.found += any(isinstance(one, DriftReport) and one.scales and one.scales.found for one in reports)
        for rules, alerts in settings:
            alerts.update(one.rule for one in rules.take(reports) if one.status == "firing")


def with_truth(task: tuple[int, int, int]) -> Calm:
    """Judge one stream whose predictions have their truth at once, by every rule: rows, seed, evaluations.

    It has one feature: metrics do not depend on how many there are.
    """
    n, seed, evaluations = task
    rng = np.random.default_rng([seed, n, 1])
    population = made_up(1)
    reference = watched(population, REFERENCE, rng)
    monitoring = Monitoring()
    stream, rules, found = ModelStream(reference, monitoring, truth=True), Rules(monitoring), Calm("truth", 1, n, 0)
    first = max(PANES, -(-monitoring.drift.min_samples * PANES // n))
    for pane in range(first + evaluations):
        stream.add(reference, rng.integers(population.n, size=rows_of(pane, n, PANES)))
        if pane < first:
            stream.skip()
            continue
        found.evaluations += 1
        found.alerts.update(one.rule for one in rules.take(stream.judge()) if one.status == "firing")
    return found
