"""Results of judging a window: the reports of the stream, field by field, without their envelope."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from topics.results import Cause, ClassMetrics, FeatureDrift, MetricChange, Volume

CauseKind = Literal[
    "unit", "shift", "factor", "clipped", "filled", "constant", "missing", "type", "new category", "spelling",
    "category gone", "mix",
]  # fmt: skip


def cause(kind: CauseKind, words: str, factor: float | None = None, offset: float | None = None) -> Cause:
    """Return a cause of a known kind. In events `kind` is any text: an older release reads reports of a newer one."""
    return Cause(kind, words, factor, offset)


Fault = Literal["distribution", "missing", "unseen", "type"]
"""Faults of a column: the distribution of its values, missing values, unseen categories, values of a wrong type."""


@dataclass(frozen=True, slots=True)
class PaneFinding:
    """A column that is found in the newest panes: an effect at or above its floor, significant beyond half of it.

    `panes`: how many of the newest panes show the fault best, with n rows; `shortest`: the fewest in which it is
    found. `effect_size` is the KS statistic, the Jensen-Shannon distance of its categories divided into two, or the
    rise of a share. `p_value`: the chance of this effect if the true effect were half of `threshold`.

    `since_panes`: how many of the newest panes are changed, most likely; `earliest_panes` and `latest_panes` are its
    bounds. `column`: the comparison over the `panes`, for the fault `distribution`. `usual`: the usual effect over so
    many panes; `threshold` is beyond it.

    `slow`: the column moves slowly, as a season does (see `app.core.scales.slow`), by `moved` since the reference.
    For a mean this is in standard deviations of the reference, otherwise the effect. It moves by `rate` a day.
    `lasting`: the column is found in the longest span too. `cause`: the likely cause of the column's change in the
    `panes`.
    """

    name: str
    fault: Fault
    panes: int
    shortest: int
    n: int
    effect_size: float
    threshold: float
    p_value: float
    since_panes: int
    earliest_panes: int
    latest_panes: int
    column: FeatureDrift | None = None
    usual: float = 0.0
    slow: bool = False
    lasting: bool = True
    moved: float | None = None
    rate: float | None = None
    cause: Cause | None = None


@dataclass(frozen=True, slots=True)
class PaneDrift:
    """The fewest of the newest panes in which the data as a whole have drifted, with n rows."""

    panes: int
    n: int
    drift_share: float
    drifted_features: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PaneScales:
    """Results of the evaluation of the newest panes, in addition to the window.

    `spans`: the numbers of panes that were judged. `chance`: the chance of a false alarm in this evaluation. `found`:
    columns, in the order of the profile. `calm`: by fault, the columns that are shown to be below their floors, with
    the number of newest panes that shows it; findings of longer spans are resolved by this. `quiet`: by fault,
    columns for which this is likely and not yet sure. `suspected`: columns that are neither found nor as usual.

    For the data as a whole: `data_drift` is None where too few features are found at one scale. `data_suspected`:
    enough are found or suspected. `data_calm`: too few can be beyond their floors. `data_quiet`: this is likely.

    `drifted`: the data as a whole have drifted, or prediction or probability are found to have. `detectable`: the
    smallest KS statistic that would be found in the longest span; None where not even the largest would be. `needed`:
    rows that the longest span lacks until a change of half of a column's rows would be found (see `too_few.py`).
    """

    spans: tuple[int, ...]
    chance: float
    found: tuple[PaneFinding, ...] = ()
    calm: dict[str, dict[str, int]] = field(default_factory=dict)
    quiet: dict[str, tuple[str, ...]] = field(default_factory=dict)
    suspected: dict[str, tuple[str, ...]] = field(default_factory=dict)
    data_drift: PaneDrift | None = None
    data_suspected: bool = False
    data_quiet: bool = False
    data_calm: bool = False
    drifted: bool = False
    detectable: float | None = None
    needed: int = 0


@dataclass(frozen=True, slots=True)
class DriftDecision:
    """Decision on the drift of the inputs and the predictions of a window of n rows.

    `missing_share`: the share of the feature values that are missing or of the wrong type. `unjudged_share`: the
    share of those of the wrong type, or missing beyond the reference's own share. `scales`: the results of the newest
    panes by themselves, None where they were not judged. `needed`: predictions that the window lacks. `needed_panes`:
    the panes after which there are enough at the present rate; None if never or not known. `first_panes`: the same
    for `scales.needed`.
    """

    n: int
    sufficient: bool
    drift_detected: bool
    drift_share: float
    drift_threshold: float
    drifted_features: tuple[str, ...]
    prediction_drift: bool
    features: tuple[FeatureDrift, ...]
    prediction: FeatureDrift | None
    probability: FeatureDrift | None
    missing_share: float
    unknown_features: dict[str, int]
    unjudged_share: float = 0.0
    scales: PaneScales | None = None
    needed: int = 0
    needed_panes: int | None = None
    first_panes: int | None = None


@dataclass(frozen=True, slots=True)
class PaneMetricFinding:
    """A metric that is worse over the newest panes with truth: by its threshold, and significant beyond half of it.

    `panes`: how many of the newest panes with truth show the drop best, with n rows that can be judged; `shortest`:
    the fewest. `effect_size`: the relative drop; `p_value`: the chance of this drop if the true drop were half of
    `threshold`. `since_panes`: how many panes ago the drop began, most likely; `earliest_panes` and `latest_panes`
    are its bounds. `end_panes` is the newest pane with truth (1: the window's last one). `metric`: the comparison
    over the `panes`.
    """

    name: str
    panes: int
    shortest: int
    n: int
    effect_size: float
    threshold: float
    p_value: float
    since_panes: int
    earliest_panes: int
    latest_panes: int
    end_panes: int
    metric: MetricChange


@dataclass(frozen=True, slots=True)
class PaneMetricScales:
    """Results for the metrics over the newest panes with truth, as far as it was known when the report was made.

    `spans`: the numbers of panes with truth that were judged. `truths`: rows with truth in the longest span, whose
    panes are from `start_panes` to `end_panes` ago. `calm`: metrics that are shown to be within their thresholds, by
    the fewest panes that show this; `quiet`: those for which this is likely; `suspected`: those that are neither
    found nor as usual. `reason`: why no span was judged.
    """

    spans: tuple[int, ...]
    truths: int
    start_panes: int
    end_panes: int
    found: tuple[PaneMetricFinding, ...] = ()
    calm: dict[str, int] = field(default_factory=dict)
    quiet: tuple[str, ...] = ()
    suspected: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class PerformanceDecision:
    """Decision on the model's performance in a window of n rows, `feedback` of which have their truth.

    Estimated metrics are marked one by one; they enter neither `degraded` nor `degraded_metrics`. `not_judged`: rows
    with truth that enter no metric, by reason; `not_scored`: rows that enter none of the metrics of a probability.
    `unknown_actuals` and `unknown_predictions`: labels that the reference does not have, with their rows; these rows
    are judged. Where `judged` is false no metric was compared with a baseline, and `reason` says why.

    `needed`: rows with truth that the newest ones lack until all metrics are judged. `needed_panes`: the panes after
    which there are enough at the rate at which truth comes; None where this is not known. `show`: the metrics that
    are named first.
    """

    n: int
    sufficient: bool
    feedback: int
    coverage: float
    degraded: bool
    degraded_metrics: tuple[str, ...]
    metrics: tuple[MetricChange, ...]
    estimated: tuple[MetricChange, ...]
    confusion: tuple[tuple[int, ...], ...]
    labels: tuple[str, ...]
    classes: tuple[ClassMetrics, ...] = ()
    not_judged: dict[str, int] = field(default_factory=dict)
    not_scored: dict[str, int] = field(default_factory=dict)
    unknown_actuals: dict[str, int] = field(default_factory=dict)
    unknown_predictions: dict[str, int] = field(default_factory=dict)
    judged: bool = True
    reason: str = ""
    scales: PaneMetricScales | None = None
    show: tuple[str, ...] = ()
    needed: int = 0
    needed_panes: int | None = None


@dataclass(frozen=True, slots=True)
class Traffic:
    """Numbers of predictions in each pane of a window, oldest first, with the usual numbers (see `TrafficReport`)."""

    counts: tuple[int, ...]
    silent: int
    usual: float
    sufficient: bool
    coverage: float
    days: tuple[int, ...] = ()
    missed: float | None = None
    pause: int = 0
    chance: float = 0.0
    volume: Volume | None = None
