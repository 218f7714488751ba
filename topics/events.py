"""The events of Driftline, as they travel on the wire (JSON, one event a record)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Raw, Struct

Scalar = str | float | bool | None
Timestamp = Annotated[datetime, Meta(tz=True)] | float
"""RFC 3339 with a zone, or seconds since the epoch."""

Name = Annotated[str, Meta(min_length=1, max_length=200)]


class Event(Struct, frozen=True, kw_only=True, omit_defaults=False):
    """Base of every event: immutable, keyword-only."""


class PredictionEvent(Event, frozen=True, kw_only=True):
    """One prediction, as it was made. `prediction_id` is the record's key."""

    prediction_id: Name
    model: Name
    model_version: Name
    timestamp: Timestamp
    features: dict[str, Scalar]
    prediction: str | float | bool
    probability: float | dict[str, float] | None = None
    metadata: dict[str, Scalar] | None = None


class FeedbackEvent(Event, frozen=True, kw_only=True):
    """The truth about one prediction, usually late. A later one corrects an earlier one."""

    prediction_id: Name
    actual: str | float | bool
    timestamp: Timestamp | None = None
    metadata: dict[str, Scalar] | None = None


class Heartbeat(Event, frozen=True, kw_only=True):
    """Says that no prediction older than `timestamp` will follow, so that panes can close.

    Sent to every partition of `predictions`, with the record header `driftline: heartbeat`.
    """

    model: Name
    model_version: Name
    timestamp: Timestamp


class ModelEvent(Event, frozen=True, kw_only=True):
    """A registered model version: its reference profile and its monitoring configuration.

    `profile` is an `app.core.profile.Profile`, `monitoring` an `app.core.config.Monitoring`.
    """

    model: Name
    model_version: Name
    profile: Raw
    monitoring: Raw
    registered_at: datetime


class CategoryCounts(Event, frozen=True, kw_only=True):
    """How often each unexpected name was seen (diagnostics, capped)."""

    column: str
    names: dict[str, int]


class PanePartial(Event, frozen=True, kw_only=True, tag="pane", tag_field="type"):
    """All that one source partition has counted in one pane so far (a total, not an increment).

    `indices`, `counts` and `sums` are little-endian int32, int64 and int64 arrays: a sparse count
    vector and its fixed-point sums, laid out by the profile named `profile_id`. A partial with a higher
    `revision` (the recovery it comes from, then the source records applied) replaces one with a lower.
    """

    model: str
    model_version: str
    profile_id: str
    kind: Literal["input", "outcome"]
    pane_start: float
    partition: int
    revision: int
    n: int
    indices: bytes
    counts: bytes
    sums: bytes
    names: tuple[CategoryCounts, ...] = ()


class Progress(Event, frozen=True, kw_only=True, tag="progress", tag_field="type"):
    """How far one source partition has come with one model version, in event time.

    `event_time` is the newest timestamp seen; `idle` means that nothing has arrived for a while, so the
    partition no longer holds the watermark back. What is older than `settled` can no longer change (None:
    everything can). The counters are totals since the first record. `behind`: by how many seconds the newest
    timestamp was older than the broker's: few where the model is served live, many where files are replayed.
    """

    model: str
    model_version: str
    profile_id: str
    partition: int
    revision: int
    event_time: float
    idle: bool
    settled: float | None
    predictions: int
    feedback: int
    duplicates: int
    late: int
    expired: int
    behind: float | None = None


class Shape(Event, frozen=True, kw_only=True):
    """A column's two distributions in a few points, for a picture.

    Numeric: `at` ascends, `reference` and `current` are the shares at or below each point (both step functions).
    Categorical: `at` are category names, the others their shares.
    """

    at: tuple[float | str, ...]
    reference: tuple[float, ...]
    current: tuple[float, ...]


class FeatureDrift(Event, frozen=True, kw_only=True):
    """One feature's comparison with its reference.

    `p_value` is None where the test could not be made; `effect` says whether the statistic reaches its
    `threshold`; `significant` is the decision after Benjamini-Hochberg; `drifted` needs both. `missing` are rows
    without a value; `reference_missing` is their share in the reference, `missing_rises` says that the window's is
    above it by more than chance. `reference_unseen` is the share of unseen categories that the reference lets expect
    (its categories that occur once, Good 1953), `unseen_rises` the same for it. `shape`: both distributions in a few
    points, None without values.
    """

    name: str
    kind: Literal["numeric", "categorical"]
    test: str
    statistic: float | None
    p_value: float | None
    threshold: float
    effect: bool
    significant: bool
    drifted: bool
    n: int
    missing: int
    invalid: int
    unseen: int
    out_of_range: int
    error_bound: float
    reference: str
    current: str
    direction: str
    unseen_names: dict[str, int]
    reference_missing: float = 0.0
    missing_rises: bool = False
    reference_unseen: float = 0.0
    unseen_rises: bool = False
    shape: Shape | None = None


class Report(Event, frozen=True, kw_only=True):
    """What every report says first: which window of which model version, and its revision."""

    model: str
    model_version: str
    profile_id: str
    window_start: datetime
    window_end: datetime
    revision: int
    n: int
    sufficient: bool
    emitted_at: datetime


class DriftReport(Report, frozen=True, kw_only=True, tag="drift", tag_field="kind"):
    """Inputs and predictions of one window against the reference."""

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


class MetricChange(Event, frozen=True, kw_only=True):
    """One metric of one window against its baseline; `relative` is the drop as a share of the baseline.

    `low` and `high` bound the value with 95 % confidence; `degraded` needs a drop beyond the threshold
    that the interval also excludes.
    """

    name: str
    value: float | None
    baseline: float | None
    absolute: float | None
    relative: float | None
    low: float | None
    high: float | None
    threshold: float
    error_bound: float
    degraded: bool


class PerformanceReport(Report, frozen=True, kw_only=True, tag="performance", tag_field="kind"):
    """Realised and estimated performance of one window; `coverage` is the share with feedback."""

    feedback: int
    coverage: float
    degraded: bool
    degraded_metrics: tuple[str, ...]
    metrics: tuple[MetricChange, ...]
    estimated: tuple[MetricChange, ...]
    confusion: tuple[tuple[int, ...], ...]
    labels: tuple[str, ...]


class TrafficReport(Report, frozen=True, kw_only=True, tag="traffic", tag_field="kind"):
    """How many predictions and how much feedback came, of a model version that is served live; also without any.

    `counts`: predictions in each pane of the window, oldest first. `silent`: panes since the last one with any;
    `usual`: the mean of a pane over the two windows before that. `sufficient`: a whole window's panes are known.
    `coverage`: the share with feedback in the window before this one, `usual_coverage` its slow mean. Feedback last
    came `feedback_silent` panes ago; the longest of its last `feedback_gaps` pauses was `feedback_longest` panes.
    The others are totals since the first record.
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


class MonitorReport(Report, frozen=True, kw_only=True, tag="monitor", tag_field="kind"):
    """A worker of itself, by the wall clock; model `driftline`, the version is the consumer group.

    `n`: records read. `lag`: records still to be read, by topic; `behind_seconds`: the age of the oldest record
    that was read last while others waited. `dead_letters`: by reason.
    """

    worker: str
    lag: dict[str, int]
    behind_seconds: float
    dead_letters: dict[str, int]


Level = Literal["info", "warning", "error", "critical"]
AlertStatus = Literal["firing", "resolved"]


class AlertEvent(Event, frozen=True, kw_only=True):
    """One transition of one alert. `alert_id` names the transition, `fingerprint` the alert."""

    alert_id: str
    fingerprint: str
    status: AlertStatus
    level: Level
    rule: str
    title: str
    message: str
    labels: dict[str, str]
    started_at: datetime
    ended_at: datetime | None
    evidence: dict[str, object]
    links: dict[str, str]
    emitted_at: datetime


class DeliveryEvent(Event, frozen=True, kw_only=True):
    """One alert told through one channel, or not; `reason` says why it was to be told then.

    The alerts of one notification have one event each, with the same `notification_id`.
    """

    alert_id: str
    fingerprint: str
    channel: str
    outcome: Literal["delivered", "failed"]
    attempts: int
    detail: str
    delivered_at: datetime
    notification_id: str = ""
    reason: str = ""


class UndeliveredEvent(Event, frozen=True, kw_only=True):
    """A notification that was given up, whole, so that it can be sent again, and why.

    `notification` is an `app.alerting.notification.Notification`. A record without a value takes it back.
    """

    notification: Raw
    notification_id: str
    channel: str
    reason: str
    attempts: int
    since: datetime
    failed_at: datetime


class Hours(Event, frozen=True, kw_only=True):
    """Hours of the week by the clock of a time zone: `weekdays` (`mon`…`sun`), from `start` until before `end`.

    An `end` at or before `start` is on the next day.
    """

    weekdays: tuple[str, ...]
    start: str
    end: str
    zone: str


class SilenceEvent(Event, frozen=True, kw_only=True):
    """Alerts that all `matchers` match are not told from `starts_at` until before `ends_at`.

    Matchers are written `label=value`, `!=`, `=~` or `!~`. With `hours` only then: a maintenance window, which may
    have no end.
    """

    silence_id: Name
    matchers: tuple[str, ...]
    starts_at: Annotated[datetime, Meta(tz=True)]
    ends_at: Annotated[datetime, Meta(tz=True)] | None
    created_at: Annotated[datetime, Meta(tz=True)]
    created_by: str
    comment: str
    hours: Hours | None = None


def to_epoch(value: Timestamp) -> float:
    """Seconds since the epoch of either form of timestamp."""
    return value.timestamp() if isinstance(value, datetime) else float(value)


AnyReport = DriftReport | PerformanceReport | TrafficReport | MonitorReport
PaneEvent = PanePartial | Progress
__all__ = [name for name, value in globals().items() if isinstance(value, type) and issubclass(value, msgspec.Struct)]
