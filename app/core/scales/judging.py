"""Evaluation of the newest panes of a model version at every scale."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.core.config.monitoring import Monitoring
from app.core.evaluation.decision import found_columns
from app.core.evaluation.drift import Strength
from app.core.evaluation.results import PaneDrift, PaneFinding, PaneScales
from app.core.evaluation.too_few import HALF
from app.core.panes.pane import Pane, merge
from app.core.reference.layout import Integers, Layout
from app.core.scales.blocks import NOTHING_OLDER, Older
from app.core.scales.columns import Family, families, marked_of
from app.core.scales.levels import levels_of
from app.core.scales.likely import clock_of, likely_cause
from app.core.scales.numbers import detectable, rows_to_find
from app.core.scales.onset import onset_of
from app.core.scales.slow import slow_of
from app.core.scales.suffixes import Suffixes, spans_of, suffixes_of
from topics.results import FeatureDrift

Bools = NDArray[np.bool_]
NEVER = 1 << 40
"""Number of panes that stands for none."""


def judge_scales(
    layout: Layout,
    panes: Mapping[int, Pane],
    end: int,
    monitoring: Monitoring,
    *,
    most: int | None = None,
    only: Sequence[int] | None = None,
    older: Older = NOTHING_OLDER,
    seconds: Sequence[float] | None = None,
) -> PaneScales | None:
    """Judge the newest panes at every scale; None where this is switched off.

    `panes`: by number, the newest is `end`. `most`: the longest span, where it exceeds the window. `only`: judge
    these spans alone, at the level that they have among all of them. `older`: panes before these, with the longer
    spans that they are enough for. `seconds`: the lengths of the spans, where these differ from their panes'.
    """
    all_spans = tuple(sorted({*spans_of(monitoring.windows.panes, most), *older.spans}))
    panes = {**older.panes, **panes} if older.panes else panes
    spans = all_spans if only is None else tuple(only)
    levels = levels_of(monitoring, len(all_spans), len(layout.slots))
    if levels is None:
        return None
    suffixes = suffixes_of(panes, end, spans, layout.size)
    lasting = [min(span, older.held) * monitoring.windows.pane for span in spans] if seconds is None else seconds
    found = [_outcome(family, spans) for family in families(layout, suffixes, lasting, monitoring, levels)]
    clear = monitoring.drift.share * monitoring.alerting.data_drift.hysteresis
    calm, quiet = [one.is_calm for one in found], [one.is_quiet & ~one.is_calm for one in found]
    unclear = [one.is_unclear for one in found]
    data_drift = _data_drift(layout, found, suffixes, monitoring)
    rows = int(suffixes.n[-1])
    fewest = rows_to_find(HALF, layout.profile.n, monitoring.drift, levels)
    return PaneScales(
        spans=spans,
        chance=levels.evaluation,
        found=tuple(_findings(layout, found, panes, end, suffixes, monitoring)),
        drifted=data_drift is not None or any(_outputs(layout, one) for one in found),
        calm=_calm(layout, found),
        quiet=_names(layout, found, quiet),
        suspected=_names(layout, found, unclear),
        data_drift=data_drift,
        data_suspected=_drifted(layout, found, suffixes, monitoring, suspected=True) is not None,
        data_quiet=_few(layout, found, [one.is_quiet for one in found], clear),
        data_calm=_few(layout, found, calm, clear),
        detectable=detectable(rows, layout.profile.n, monitoring.drift, levels),
        needed=0 if fewest is None else max(0, fewest - rows),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Outcome:
    """Results of a family at all scales. Numbers of panes by column, NEVER where there is none.

    `at`: where a column is found (scales x columns), except for spans longer than one that is likely to be calm:
    those contain panes from before it became calm. `suspected`: the same for columns that are at least suspected,
    except for spans longer than one that is surely calm. `shortest`: the fewest panes in which a column is found.
    `calm` and `quiet`: the fewest that show the column surely and likely calm, with nothing suspected in fewer.
    """

    family: Family
    at: Bools
    suspected: Bools
    shortest: Integers
    calm: Integers
    quiet: Integers

    @property
    def is_calm(self) -> Bools:
        return np.asarray(self.calm < NEVER)

    @property
    def is_quiet(self) -> Bools:
        return np.asarray(self.quiet < NEVER)

    @property
    def is_unclear(self) -> Bools:
        return np.asarray(self.suspected.any(axis=0) & ~self.at.any(axis=0))


def _outcome(family: Family, spans: Sequence[int]) -> _Outcome:
    lengths = np.asarray(spans, np.int64)
    tested = family.tested
    calm, quiet = _first(tested.calm, lengths), _first(tested.quiet, lengths)
    at = tested.found & (lengths[:, None] < quiet)
    suspicious = tested.suspicious
    suspected = suspicious & (lengths[:, None] < calm)
    calm = np.where(suspected.any(axis=0), NEVER, calm)
    quiet = np.where((suspicious & (lengths[:, None] < quiet)).any(axis=0), NEVER, quiet)
    return _Outcome(family, at, suspected, _first(at, lengths), calm, quiet)


def _first(yes: Bools, lengths: Integers) -> Integers:
    return np.where(yes.any(axis=0), lengths[yes.argmax(axis=0)], NEVER)


def _calm(layout: Layout, found: Sequence[_Outcome]) -> dict[str, dict[str, int]]:
    calm: dict[str, dict[str, int]] = defaultdict(dict)
    for one in found:
        columns = np.flatnonzero(one.is_calm)
        names = [layout.slots[i].column.name for i in one.family.places[columns].tolist()]
        calm[one.family.fault] |= dict(zip(names, one.calm[columns].tolist(), strict=True))
    return {fault: names for fault, names in calm.items() if names}


def _names(layout: Layout, found: Sequence[_Outcome], wanted: Sequence[Bools]) -> dict[str, tuple[str, ...]]:
    names: dict[str, tuple[str, ...]] = {}
    for one, columns in zip(found, wanted, strict=True):
        more = [layout.slots[i].column.name for i in one.family.places[columns].tolist()]
        names[one.family.fault] = (*names.get(one.family.fault, ()), *more)
    return {fault: columns for fault, columns in names.items() if columns}


def _data_drift(
    layout: Layout, found: Sequence[_Outcome], suffixes: Suffixes, monitoring: Monitoring
) -> PaneDrift | None:
    """Return the drift at the shortest scale at which enough of the features are found; None without one."""
    drifted = _drifted(layout, found, suffixes, monitoring, suspected=False)
    if drifted is None:
        return None
    scale, places = drifted
    names = tuple(layout.slots[i].column.name for i in places)
    return PaneDrift(suffixes.spans[scale], int(suffixes.n[scale]), len(names) / len(layout.features), names)


def _drifted(
    layout: Layout, found: Sequence[_Outcome], suffixes: Suffixes, monitoring: Monitoring, *, suspected: bool
) -> tuple[int, list[int]] | None:
    """Return the first scale at which enough of the features are found (or suspected), and these features' places."""
    features = len(layout.features)
    if not features:
        return None
    for scale in range(len(suffixes.spans)):
        places = sorted(
            int(place)
            for one in found
            if one.family.fault == "distribution"
            for place in one.family.places[(one.suspected if suspected else one.at)[scale]]
            if place < features
        )
        if places and len(places) / features >= monitoring.drift.share:
            return scale, places
    return None


def _outputs(layout: Layout, one: _Outcome) -> bool:
    """Return whether the distribution of prediction or probability is found to have changed."""
    outputs = one.family.places >= len(layout.features)
    return one.family.fault == "distribution" and bool(one.at[:, outputs].any())


def _few(layout: Layout, found: Sequence[_Outcome], calm: Sequence[Bools], share: float) -> bool:
    """Return whether at most this share of the features is not calm."""
    features = len(layout.features)
    quiet = sum(
        int((columns & (one.family.places < features)).sum())
        for one, columns in zip(found, calm, strict=True)
        if one.family.fault == "distribution"
    )
    return features > 0 and (features - quiet) / features <= share


def _findings(
    layout: Layout,
    found: Sequence[_Outcome],
    panes: Mapping[int, Pane],
    end: int,
    suffixes: Suffixes,
    monitoring: Monitoring,
) -> Iterator[PaneFinding]:
    """Yield the findings, each column at the scale that shows it best, in the layout's order."""
    there = [(one, int(column)) for one in found for column in np.flatnonzero(one.at.any(axis=0))]
    there.sort(key=lambda pair: int(pair[0].family.places[pair[1]]))
    if not there:
        return
    best = [
        int(np.where(one.at[:, column], one.family.tested.strength[:, column], -1.0).argmax()) for one, column in there
    ]
    evidence, merged = _evidence(layout, there, best, panes, end, suffixes, monitoring)
    now, clock = (end + 1) * monitoring.windows.pane, clock_of(suffixes, monitoring.windows.pane)
    aged = [(end - pane + 1, one) for pane, one in panes.items() if end - suffixes.spans[-1] < pane <= end and one.n]
    for (one, column), scale in zip(there, best, strict=True):
        family = one.family
        place = int(family.places[column])
        distribution = family.fault == "distribution"
        slow = slow_of(layout, family, column, suffixes, scale, merged[scale], now) if distribution else None
        onset = onset_of(marked_of(layout, family, column, suffixes, scale), aged, int(family.reference[column]))
        yield PaneFinding(
            name=layout.slots[place].column.name,
            fault=family.fault,
            panes=suffixes.spans[scale],
            shortest=int(one.shortest[column]),
            n=int(family.n[scale, column]),
            effect_size=float(family.tested.effect[scale, column]),
            threshold=family.limit(scale, column),
            usual=float(family.usual[scale, column]),
            p_value=float(family.tested.p_value[scale, column]),
            since_panes=onset.since,
            earliest_panes=onset.earliest,
            latest_panes=onset.latest,
            column=evidence.get(place) if distribution else None,
            slow=slow is not None,
            lasting=bool(one.at[-1, column]),
            moved=None if slow is None else slow.moved,
            rate=None if slow is None else slow.rate,
            cause=None
            if slow is not None
            else likely_cause(layout, merged[scale], place, panes, end, onset.since, clock),
        )


def _evidence(
    layout: Layout,
    there: Sequence[tuple[_Outcome, int]],
    best: Sequence[int],
    panes: Mapping[int, Pane],
    end: int,
    suffixes: Suffixes,
    monitoring: Monitoring,
) -> tuple[dict[int, FeatureDrift], dict[int, Pane]]:
    """Return the comparison of each column whose distribution is found, over the panes that show it best.

    Second come the sums of these panes, by scale.
    """
    by_scale: dict[int, dict[int, Strength]] = defaultdict(dict)
    usual: dict[int, float] = {}
    for (one, column), scale in zip(there, best, strict=True):
        if one.family.fault == "distribution":
            tested = one.family.tested
            strength = Strength(float(tested.p_value[scale, column]), float(tested.effect[scale, column]))
            by_scale[scale][int(one.family.places[column])] = strength
            usual[int(one.family.places[column])] = float(one.family.usual[scale, column])
    evidence: dict[int, FeatureDrift] = {}
    merged: dict[int, Pane] = {}
    for scale in set(best):
        first = end - suffixes.spans[scale]
        merged[scale] = merge((panes[p] for p in sorted(panes) if first < p <= end), layout.size, layout.sums)
    for scale, strengths in by_scale.items():
        evidence |= found_columns(layout, merged[scale], strengths, monitoring.drift, usual)
    return evidence, merged
