"""Reports: the findings about the windows of a model version, and the workers' reports about themselves."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Literal, TypeVar

import msgspec
from msgspec import field

from topics.events.base import Event, Moment
from topics.results import Cause, ClassMetrics, FeatureDrift, MetricChange, Volume

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


class ScaleFinding(Event, frozen=True, kw_only=True):
    """A column that is found in the newest panes: an effect at or above its floor, significant beyond half of it.

    `fault`: its distribution, its missing values, unseen categories, or values of the wrong type. `panes`: how many of
    the newest panes show it best, from `start` on, with n rows; `shortest`: the fewest in which it is found.
    `effect_size` is the KS statistic, the Jensen-Shannon distance of its categories divided into two, or the rise of a
    share. `p_value`: the probability of such an effect if the true effect were half of `threshold`. `since`: the change
    point, as the end of the first pane that is changed; it lies between `earliest` and `latest`. `since_panes`,
    `earliest_panes` and `latest_panes`: how many of the newest panes are changed. `column`: the comparison over the
    `panes`, where the distribution is meant. `usual`: the effect that comes and goes by itself in so many panes;
    `threshold` is beyond it. `slow`: the column moves slowly, as a season does, by `moved` since the reference, and by
    `rate` a day. `moved` is in standard deviations of the reference for a mean, else in units of the effect. `lasting`:
    it is found in the longest span too; a slow one that is not lasting fires no alert. `cause`: the most likely cause
    of the change in the `panes`.
    """

    name: str
    fault: Literal["distribution", "missing", "unseen", "type"]
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
    start: Moment | None = None
    since: Moment | None = None
    earliest: Moment | None = None
    latest: Moment | None = None
    usual: float = 0.0
    slow: bool = False
    lasting: bool = True
    moved: float | None = None
    rate: float | None = None
    cause: Cause | None = None


class DriftAtScale(Event, frozen=True, kw_only=True):
    """The fewest of the newest panes, from `start` on, in which the data as a whole have drifted, with n rows."""

    panes: int
    n: int
    drift_share: float
    drifted_features: tuple[str, ...]
    start: Moment | None = None


class Scales(Event, frozen=True, kw_only=True):
    """Findings of the newest panes, in addition to those of the window.

    `spans`: the numbers of panes that were evaluated; `chance`: the probability of a false alarm in this evaluation.
    `found`: columns, in the order of the profile. `calm`: by fault, columns that are shown to be below their floors,
    with the number of newest panes that show it; findings of longer spans are resolved. `quiet`: by fault, columns of
    which that is likely and not yet certain. `suspected`: columns that are not found, and not as usual either.

    `data_drift`: the drift of the data as a whole; null where too few features are found at one scale.
    `data_suspected`: enough features are found or suspected. `data_calm`: too few can be beyond their floors;
    `data_quiet`: that is likely. `drifted`: the data as a whole, the prediction or the probability have drifted.
    `detectable`: the smallest KS statistic that would be found in the longest span; null where not even the largest
    would be. `needed`: predictions that are lacking until a change of half of a column's rows would be found.
    """

    spans: tuple[int, ...]
    chance: float
    found: tuple[ScaleFinding, ...] = ()
    calm: dict[str, dict[str, int]] = field(default_factory=dict)
    quiet: dict[str, tuple[str, ...]] = field(default_factory=dict)
    suspected: dict[str, tuple[str, ...]] = field(default_factory=dict)
    data_drift: DriftAtScale | None = None
    data_suspected: bool = False
    data_quiet: bool = False
    data_calm: bool = False
    drifted: bool = False
    detectable: float | None = None
    needed: int = 0


class JudgedFrom(Event, frozen=True, kw_only=True):
    """Span from which a column is judged, in seconds; null: in none, since the column varies too much by itself.

    `after`: the shortest spans in which a change of 20 %, 50 % and 90 % of its rows is found; null: in none.
    """

    name: str
    judged_from: float | None
    after: tuple[float | None, ...]


class Usual(Event, frozen=True, kw_only=True):
    """Usual effects by which the window was judged, and their source.

    `from`: `reference` (the windows of the reference itself), `live` (the first weeks of the stream, where the
    reference has no times) or `learning`. While it is `learning`, the usual effects are not known, and any effect above
    its floor is found. `since` and `until`: the time from which they were learned. During learning, `until` is the
    expected end if predictions come on each day (null before the first prediction). `days`: whole days with predictions
    so far, of those that it `needs`; null for a reference. `columns`: for each column, the times in which changes are
    found.
    """

    source: Literal["reference", "live", "learning"] = field(name="from")
    since: Moment | None = None
    until: Moment | None = None
    days: int | None = None
    needs: int | None = None
    columns: tuple[JudgedFrom, ...] = ()


class Report(Event, frozen=True, kw_only=True):
    """Common fields of every report: the model version, the window and the revision.

    `left_out`: number of records of the model version that no window counts, by reason, since the first record:
    predictions in a drift report, feedback in a performance report.
    """

    model: str
    model_version: str
    profile_id: str
    window_start: Moment
    window_end: Moment
    revision: int
    n: int
    sufficient: bool
    emitted_at: Moment
    left_out: dict[str, int] = field(default_factory=dict)


class ReferenceSpan(Event, frozen=True, kw_only=True):
    """Rows with which a window was compared, where the reference moves: `n` predictions of this span of time.

    `error`: the largest error of a statistic that comes of counting these rows at the values of the registered
    reference, as KS statistic; for categories the share of rows in unknown ones, which are left out.
    """

    since: Moment
    until: Moment
    n: int
    error: float


class DriftReport(Report, frozen=True, kw_only=True, tag="drift", tag_field="kind"):
    """Inputs and predictions of one window against the reference.

    `missing_share`: share of the feature values that are missing or of the wrong type. `unjudged_share`: share of those
    of the wrong type, or missing beyond the reference's own share. `scales`: findings of the newest panes, null where
    they are not evaluated. `needed`: predictions that the window lacks. `expected`: when there are enough at the
    present rate, null where that is never, or not known; `expected_first`: the same for `scales.needed`.
    `not_judged_since`: the end of the newest window that was judged, or the start of the first one, where this window
    says nothing (see docs/decision.md); else null. `usual`: the usual effects for the window, null where they are not
    used (policy `threshold`). `reference`: the rows that the window was compared with, where the reference moves; null
    for the registered reference.
    """

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
    scales: Scales | None = None
    needed: int = 0
    expected: Moment | None = None
    expected_first: Moment | None = None
    not_judged_since: Moment | None = None
    usual: Usual | None = None
    reference: ReferenceSpan | None = None


class MetricFinding(Event, frozen=True, kw_only=True):
    """A metric that is worse over the newest panes with feedback: by its threshold, significant beyond half of it.

    `panes`: how many of the newest panes with feedback show it best, with n rows that can be judged; `shortest`: the
    fewest. `effect_size`: the relative drop; `p_value`: the probability of such a drop if the true drop were half of
    `threshold`. `since`: its most likely beginning, as the end of the first pane that shows it; it lies between
    `earliest` and `latest`. `end`: the end of the newest pane with feedback. `since_panes`, `earliest_panes`,
    `latest_panes` and `end_panes`: how many panes ago that was (1: the window's last one). `metric`: the comparison
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
    since: Moment | None = None
    earliest: Moment | None = None
    latest: Moment | None = None
    end: Moment | None = None


class MetricScales(Event, frozen=True, kw_only=True):
    """Findings about the metrics in the newest panes with feedback, as far as it was known when the report was made.

    `spans`: the numbers of panes with feedback that were evaluated. `truths`: rows with feedback in the longest span,
    whose panes are from `start` (`start_panes` ago) to `end` (`end_panes` ago). `calm`: metrics that are shown to be
    within their thresholds, by the fewest panes that show it. `quiet`: metrics of which that is likely. `suspected`:
    metrics that are neither found nor as usual. `reason`: why no span was evaluated.
    """

    spans: tuple[int, ...]
    truths: int
    start_panes: int
    end_panes: int
    found: tuple[MetricFinding, ...] = ()
    calm: dict[str, int] = field(default_factory=dict)
    quiet: tuple[str, ...] = ()
    suspected: tuple[str, ...] = ()
    reason: str = ""
    start: Moment | None = None
    end: Moment | None = None


class PerformanceReport(Report, frozen=True, kw_only=True, tag="performance", tag_field="kind"):
    """Realised and estimated performance of one window; `coverage` is the share with feedback.

    `classes`: the metrics of each class of a multiclass model. `estimated` is empty where no estimate is defined.
    `not_judged`: rows with feedback that enter no metric, by reason; `not_scored`: rows that enter none of the metrics
    of a probability. `unknown_actuals` and `unknown_predictions`: labels that the reference does not have, with their
    rows (the most frequent ones, the rest under `other`). A row with such labels is right where both are the same.
    Where `judged` is false no metric was compared with a baseline, and `reason` says why. `scales`: findings of the
    newest panes with feedback, null where they are not evaluated. `show`: the metrics that messages name first
    (`performance.show`). `needed`: rows with feedback that the newest panes lack until all metrics are judged.
    `expected`: when there are enough at the rate at which feedback comes, null where that is not known.
    """

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
    scales: MetricScales | None = None
    show: tuple[str, ...] = ()
    needed: int = 0
    expected: Moment | None = None


class TrafficReport(Report, frozen=True, kw_only=True, tag="traffic", tag_field="kind"):
    """Amount of predictions and feedback of a model version that is served live; published also without any.

    `counts`: predictions in each pane of the window, oldest first. `silent`: panes since the last one with any.
    `usual`: the mean of a pane over the two windows before that. `sufficient`: a whole window's panes are known.
    `coverage`: the share with feedback in the window before this one; `usual_coverage`: its slow mean. Feedback last
    came `feedback_silent` panes ago; the longest of its last `feedback_gaps` pauses was `feedback_longest` panes.
    `missed`: how many predictions would have come in the silent panes, by the same hours of so many `days` ago; where
    no such day is known, by a tenth of the rate before. `pause`: panes of the longest pause shortly before. `chance`:
    the largest p-value at which traffic is found to have stopped or dropped. `volume`: null before a whole window's
    panes are known. `recent_too_late` and `recent_joined`: feedback of the last windows that came after the retention
    of its prediction, and that was joined; both numbers fade. The others are totals since the first record. `too_late`:
    feedback that came too late, as far as it is known to be of this model (feedback names none). `waiting`: feedback
    whose prediction has not come, of any model of these partitions.
    """

    counts: tuple[int, ...]
    silent: int
    usual: float
    coverage: float
    usual_coverage: float
    feedback_silent: int
    feedback_longest: int
    feedback_gaps: int
    feedback: int
    duplicates: int
    late: int
    expired: int
    waiting: int = 0
    days: tuple[int, ...] = ()
    missed: float | None = None
    pause: int = 0
    chance: float = 0.0
    volume: Volume | None = None
    too_late: int = 0
    recent_too_late: float = 0.0
    recent_joined: float = 0.0


class PartitionStanding(Event, frozen=True, kw_only=True):
    """State of one source partition, as its worker sees it, over the time of a report.

    `n`: records read. `lag`: records still to be read, by topic. `behind_seconds` is as in the report, None where it is
    not known yet. `dead_letters`: their number.
    """

    n: int
    lag: dict[str, int]
    behind_seconds: float | None
    dead_letters: int


class MonitorReport(Report, frozen=True, kw_only=True, tag="monitor", tag_field="kind"):
    """Report of a worker about itself, by the wall clock; model `driftline`, the version is the consumer group.

    `worker`: its host and process (`host:1234`). `n`: records read. `lag`: records still to be read, by topic.
    `behind_seconds`: the age of the oldest record that was read last while others waited. `dead_letters`: their number
    by reason. `partitions`: each source partition that it is assigned now. Alerts are about these partitions, so that a
    worker that takes a partition over continues the alert, or resolves it. `drains`: the worker joins the rest of an
    earlier prefix, and judges nothing.
    """

    worker: str
    lag: dict[str, int]
    behind_seconds: float
    dead_letters: dict[str, int]
    partitions: dict[str, PartitionStanding] = field(default_factory=dict)
    drains: bool = False


class IntakeReport(Report, frozen=True, kw_only=True, tag="intake", tag_field="kind"):
    """Records of one partition of `predictions` or `feedback` that were not counted, by the wall clock.

    The report is of one registered model version; of the model `driftline` and the consumer group, where records name
    none that is registered. `n`: records since the report before. Of these, `dead_letters` were set aside, by reason,
    and `unregistered` name a model version that is not registered ("model version"). Of the newest `recent` records
    `recent_dead` were set aside and `recent_unregistered` name no registered model version. Of the newest `settled`
    records of feedback, each at least a minute old, `unmatched` have no prediction. The thresholds are the shares above
    which these are too many. `last_reason` and `last_offset` are of the newest record that was set aside.
    """

    topic: str
    partition: int
    dead_letters: dict[str, int]
    unregistered: dict[str, int]
    recent: int
    recent_dead: int
    recent_unregistered: int
    settled: int
    unmatched: int
    threshold: float
    unregistered_threshold: float
    unmatched_threshold: float
    last_reason: str = ""
    last_offset: int | None = None


R = TypeVar("R", bound=Report)


def report_from(kind: type[R], found: DataclassInstance, /, **more: object) -> R:
    """Return the report with a result's fields by name, and `more`, which takes precedence.

    Raises msgspec.ValidationError where a field is missing or of another type.
    """
    by_name = {field.name: getattr(found, field.name) for field in dataclasses.fields(found)}
    return msgspec.convert({**by_name, **more}, kind, from_attributes=True)


AnyReport = DriftReport | PerformanceReport | TrafficReport | MonitorReport | IntakeReport
