"""Performance over the newest panes whose truth has come, at every scale.

A metric is found that is worse by the threshold, and significantly beyond a margin.

Truth may come days after its prediction. So the spans are the newest 1, 2, 4, ... panes that have truth, however old.
Shares (accuracy, precision, recall, and F1 by way of tp / (tp + fp + fn)) are tested by the binomial law, which is
valid for any number of rows. Other metrics are taken as normal with the deviation of their own interval, from
`performance.min_samples` rows on. A rise of a skewed error is found too rarely by this, not too often.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

import numpy as np
from scipy import special

from app.core.config.monitoring import Monitoring
from app.core.evaluation.degradation import changes, limit_of, scale_of
from app.core.evaluation.intervals import z_of
from app.core.evaluation.performance import LOSSES, judged, metrics_of, shares_of
from app.core.evaluation.results import PaneMetricFinding, PaneMetricScales
from app.core.evaluation.tested import BEYOND, LIKELY_CALM, MARGIN, SURE_CALM, SUSPECT
from app.core.panes.outcomes import OutcomeLayout
from app.core.panes.pane import Pane, merge
from app.core.reference.profile import Profile
from app.core.scales.levels import at_margin, levels_of, metric_level
from app.core.scales.metric_tests import NormalTest, ShareTest
from app.core.scales.onset import onset_of_metric
from app.core.scales.suffixes import spans_of
from topics.results import MetricChange

USUAL_COVERAGE = 0.5
"""Minimum share of predictions with truth in a span, relative to that of all known predictions.

A span with less is not judged, since the first truth to come is not representative (only errors may have been
reported by then).
"""


@dataclass(frozen=True, slots=True)
class TruthPane:
    """A pane with truth, `age` panes ago (1: the newest). `predictions`: from this pane on to the newest with truth.

    It may also be several `panes` with truth together, of which the oldest is `age` panes ago.
    """

    age: int
    outcomes: Pane
    predictions: int
    panes: int = 1


@dataclass(frozen=True, slots=True)
class _At:
    """A metric over one span: `worse` in units of its threshold, and its chances at the margin and at the floor.

    `age`: the age of the span's oldest pane. `nothing`: its chance if the metric is no worse at all. `beyond`: the
    chance that sampling brings such a drop if the true one is the usual one.
    """

    panes: int
    age: int
    change: MetricChange
    n: int
    worse: float
    nothing: float
    p_value: float
    calm: float
    beyond: float

    def found(self, level: float, harmless: float) -> bool:
        """Return whether the metric is worse: by its threshold, surely, beyond the margin, and by more than usual.

        `level`: the level for a metric that is no worse; `harmless`: for one that is worse by the margin.
        """
        return self.worse > 1.0 and self.nothing < level and self.p_value < harmless and self.beyond < BEYOND

    @property
    def suspicious(self) -> bool:
        """Return whether the metric is not as usual, found or not."""
        return self.p_value < SUSPECT and self.beyond < BEYOND


def judges_metrics(profile: Profile, monitoring: Monitoring) -> bool:
    """Return whether any metric is judged over the newest panes with truth."""
    switched_off = levels_of(monitoring, 1, 1) is None or monitoring.performance.policy != "decision"
    return not switched_off and bool(profile.baseline)


def judge_metrics(
    profile: Profile, layout: OutcomeLayout, panes: Sequence[TruthPane], coverage: float, monitoring: Monitoring
) -> PaneMetricScales | None:
    """Judge the metrics over the newest panes with truth, newest first; None where this is switched off.

    `coverage`: the share of all known predictions that have truth.
    """
    if not panes or not judges_metrics(profile, monitoring):
        return None
    lengths = list(accumulate(one.panes for one in panes))
    wanted = dict.fromkeys(bisect_left(lengths, span) + 1 for span in spans_of(lengths[-1]))
    spans = [span for span in wanted if _covered(panes, span, coverage)]
    level, harmless = metric_level(monitoring, len(spans), len(profile.baseline)), at_margin(monitoring, len(spans))
    by_name: dict[str, list[_At]] = {}
    total, done = Pane.empty(layout.sums), 0
    for span in spans:
        total = merge((total, *(one.outcomes for one in panes[done:span])), layout.size, layout.sums)
        done = span
        length = lengths[span - 1], panes[span - 1].age
        seconds = (panes[span - 1].age - panes[0].age + 1) * monitoring.windows.pane
        for at in _tested(profile, layout, total, length, monitoring, seconds):
            by_name.setdefault(at.change.name, []).append(at)
    beyond, calm, quiet, suspected = dict[str, list[_At]](), dict[str, int](), list[str](), list[str]()
    for name, tested in by_name.items():
        surely, likely = (_first_calm(tested, chance) for chance in (_CALM, _QUIET))
        there = [at for at in tested if at.found(level, harmless) and (likely is None or at.panes < likely)]
        if there:
            beyond[name] = there
        elif any(at.suspicious and (surely is None or at.panes < surely) for at in tested):
            suspected.append(name)
        elif surely is not None:
            calm[name] = surely
        elif likely is not None:
            quiet.append(name)
    oldest = panes[spans[-1] - 1] if spans else None
    return PaneMetricScales(
        spans=tuple(lengths[span - 1] for span in spans),
        truths=sum(one.outcomes.n for one in panes[: spans[-1]]) if spans else 0,
        start_panes=0 if oldest is None else oldest.age,
        end_panes=panes[0].age if spans else 0,
        found=_findings(profile, layout, beyond, panes, monitoring),
        calm=calm, quiet=tuple(quiet), suspected=tuple(suspected),
        reason="" if spans else "too little of the truth of the newest panes has come",
    )  # fmt: skip


_CALM, _QUIET = float(special.ndtr(-SURE_CALM)), float(special.ndtr(-LIKELY_CALM))


def _covered(panes: Sequence[TruthPane], span: int, coverage: float) -> bool:
    truths = sum(one.outcomes.n for one in panes[:span])
    return truths >= USUAL_COVERAGE * coverage * panes[span - 1].predictions


def _first_calm(tested: Sequence[_At], chance: float) -> int | None:
    """Return the shortest span that shows the metric to be within its threshold, except for this chance."""
    return next((at.panes for at in tested if at.calm < chance), None)


def _findings(
    profile: Profile,
    layout: OutcomeLayout,
    beyond: Mapping[str, Sequence[_At]],
    panes: Sequence[TruthPane],
    monitoring: Monitoring,
) -> tuple[PaneMetricFinding, ...]:
    """Return the metrics that are found, each by the span that separates best, with its change point."""
    if not beyond:
        return ()
    longest = [pane for pane in panes if pane.age <= max(there[-1].age for there in beyond.values())]
    confidence = monitoring.performance.confidence
    alone = [{one.name: one.value for one in metrics_of(layout, pane.outcomes, confidence)} for pane in longest]
    rows = np.array([float(judged(layout, pane.outcomes)) for pane in longest])
    ages = [pane.age for pane in longest]
    found = list[PaneMetricFinding]()
    for name, there in beyond.items():
        best = min(there, key=lambda at: (at.p_value, at.panes))
        change, length = best.change, sum(age <= there[-1].age for age in ages)
        baseline = profile.baseline[name]
        values = np.array([value if (value := each.get(name)) is not None else np.nan for each in alone[:length]])
        deviation = 0.0 if change.low is None or change.high is None else (change.high - change.low) / 2.0
        spread = deviation / z_of(confidence) * best.n**0.5
        after = baseline if change.value is None else change.value
        onset = onset_of_metric(values, rows[:length], ages[:length], baseline, after, spread)
        found.append(
            PaneMetricFinding(
                name=name,
                panes=best.panes,
                shortest=there[0].panes,
                n=best.n,
                effect_size=change.relative or 0.0,
                threshold=change.threshold,
                p_value=best.p_value,
                since_panes=onset.since,
                earliest_panes=onset.earliest,
                latest_panes=onset.latest,
                end_panes=panes[0].age,
                metric=replace(change, degraded=True, judged=True, reason=""),
            )
        )
    return tuple(found)


def _tested(
    profile: Profile,
    layout: OutcomeLayout,
    total: Pane,
    length: tuple[int, int],
    monitoring: Monitoring,
    seconds: float,
) -> Iterator[_At]:
    """Test each metric of a span, whose `length` is its number of panes with truth and the age of the oldest."""
    rows = judged(layout, total)
    metrics = metrics_of(layout, total, monitoring.performance.confidence)
    shares = shares_of(layout, total)
    for metric, change in zip(
        metrics, changes(profile, metrics, profile.baseline, rows, monitoring.performance, seconds), strict=True
    ):
        baseline = profile.baseline.get(metric.name)
        scale = None if baseline is None else scale_of(metric.name, baseline, profile.prediction.scale)
        if baseline is None or scale is None or metric.value is None or change.relative is None:
            continue
        harmful = limit_of(monitoring.performance, metric.name, 0.0)
        allowed, margin = harmful * scale, MARGIN * harmful * scale
        beyond_usual = max(margin, change.usual * scale)
        worse = change.relative / change.threshold if change.threshold > 0.0 else np.inf * np.sign(change.relative)
        if metric.name in shares:
            test = ShareTest(metric.name, *shares[metric.name], baseline, rows, profile.n)
            nothing, p_value, beyond = test.lower(0.0), test.lower(margin), test.lower(beyond_usual)
            calm = test.higher(allowed)
        elif rows < monitoring.performance.min_samples or metric.interval is None:
            continue
        else:
            towards = metric.value - metric.interval[0] if metric.name in LOSSES else metric.interval[1] - metric.value
            deviation = towards / z_of(monitoring.performance.confidence) * np.sqrt(1.0 + rows / max(profile.n, 1))
            normal = NormalTest(change.relative * scale, float(deviation), metric.error_bound)
            nothing, p_value, beyond = normal.more(0.0), normal.more(margin), normal.more(beyond_usual)
            calm = normal.less(allowed)
        # if the usual drop is as large, a small drop does not show that a fault has ended
        calm = calm if change.usual <= harmful else 1.0
        yield _At(*length, change, rows, float(worse), nothing, p_value, calm, beyond)
