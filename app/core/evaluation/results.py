"""What judging a window finds: the reports of the stream, field by field, without their envelope."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from topics.results import Cause, ClassMetrics, FeatureDrift, MetricChange, Volume

CauseKind = Literal[
    "unit", "shift", "factor", "clipped", "filled", "constant", "missing", "type", "new category", "spelling",
    "category gone", "mix",
]  # fmt: skip


def cause(kind: CauseKind, words: str, factor: float | None = None, offset: float | None = None) -> Cause:
    """Return a cause of a known kind. On the wire `kind` is any text: an older release reads those of a newer one."""
    return Cause(kind, words, factor, offset)


Fault = Literal["distribution", "missing", "unseen", "type"]
"""What a column is found for: its values' distribution, missing values, unseen categories, values of a wrong type."""


@dataclass(frozen=True, slots=True)
class PaneFinding:
    """A column that is found in the newest panes: an effect at or above its floor, significant beyond half of it.

    `panes`: how many of the newest panes show it best, with n rows; `shortest`: the fewest in which it is found.
    `effect_size` is the KS statistic, the Jensen-Shannon distance of its categories divided into two, or the rise of
    a share; `p_value` the chance of that if the true effect were half of `threshold`. `since_panes`: how many of the
    newest panes are changed, most likely; `earliest_panes` and `latest_panes` bound it. `column`: the comparison over
    the `panes`, where the distribution is meant. `usual`: the effect that comes and goes by itself in so many panes;
    `threshold` is beyond it. `slow`: it moves slowly, as a season does (see `app.core.scales.slow`), by `moved` since
    the reference: of a mean in standard deviations of the reference, else as the effect; by `rate` a day. `lasting`: it
    is found in the longest span too. `cause`: what has most likely been done to the column in the `panes`.
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
    """What the newest panes show beside the window.

    `spans`: the numbers of panes that were judged; `chance`: of a false alarm in this evaluation. `found`: columns, in
    the order of the profile. `calm`: by fault, the columns whose newest panes, so many, show that they are below their
    floors; what longer spans show is over. `quiet`: by fault, columns of which that is likely and not yet sure;
    `suspected`: columns that are not found, and not as usual either.

    Of the data as a whole, `data_drift`: None where too few features are found at one scale; `data_suspected`: enough
    are found or suspected; `data_calm`: too few can be beyond their floors, `data_quiet`: that is likely.
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
    """Whether the inputs and the predictions of a window of n rows have drifted.

    `missing_share` is that of the feature values that are missing or of the wrong type, `unjudged_share` that of those
    of the wrong type or missing beyond the reference's own share. `scales`: what the newest panes show by
    themselves, None where they were not judged. `needed`: predictions that the window lacks; `needed_panes`: after so
    many panes there are enough at the present rate, None where that is never, or not known. `first_panes`: the same of
    `scales.needed`.
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
    """A metric that is worse over the newest panes with truth: by its threshold, significant beyond half of that.

    `panes`: how many of the newest panes with truth show it best, with n rows that can be judged; `shortest`: the
    fewest. `effect_size`: the relative drop; `p_value`: the chance of that if the true drop were half of `threshold`.
    `since_panes`: how many panes ago it began, most likely; `earliest_panes` and `latest_panes` bound it, and
    `end_panes` is the newest pane with truth (1: the window's last one). `metric`: the comparison over the `panes`.
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
    """What the newest panes whose truth has come show of the metrics, as far as it was known when the report was made.

    `spans`: the numbers of panes with truth that were judged; `truths`: rows with truth in the longest, whose panes are
    from `start_panes` to `end_panes` ago. `calm`: metrics that are shown to be within their thresholds, by the fewest
    panes that show it; `quiet`: those of which that is likely; `suspected`: those that are neither found nor as usual.
    `reason`: why no span was judged.
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
    """Whether the model has got worse in a window of n rows, `feedback` of them with their truth.

    Estimated metrics are marked one by one; they enter neither `degraded` nor `degraded_metrics`. `not_judged`: rows
    with truth that enter no metric, by reason; `not_scored`: rows that enter none of the metrics of a probability.
    `unknown_actuals` and `unknown_predictions`: labels that the reference does not have, with their rows; these rows
    are judged. Where `judged` is false no metric was compared with a baseline, and `reason` says why. `needed`: rows
    with truth that the newest ones lack until all metrics are judged; `needed_panes`: after so many panes there are
    enough at the rate at which truth comes, None where that is not known. `show`: the metrics that are named first.
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
    """How many predictions came in each pane of a window, oldest first, with what is usual (see `TrafficReport`)."""

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
