"""Monitoring configuration of one model version: windows, decision, rules. The defaults suit live traffic."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil
from typing import Literal

from app.core.config.routes import Route
from topics.levels import Level

MOST_SILENT = 10
"""Number of windows without any prediction that are judged before the model version is skipped until one comes."""
REACH = MOST_SILENT + 2
"""Windows before its end that the judgement of a window uses: the silent ones, and two before them."""
MOST_LONGEST = 365 * 86_400.0
"""Maximum seconds that a thin window reaches back. The topic `panes` itself deletes nothing sooner."""
LEAST_PATIENCE, MOST_PATIENCE = 86_400.0, 150 * 86_400.0
"""Bounds of `Windows.patience`, in seconds.

Twice the largest, and what is kept before that, fits into the retention of the topic `panes`.
"""


@dataclass(frozen=True, slots=True)
class Windows:
    """Event-time windows. All values are in seconds, except `panes`: a window is its last `panes` panes.

    `allowance`: how long a pane waits for late records before it closes. `retention`: how long a prediction waits for
    its feedback (the join window). `lateness`: how far behind the newest prediction another may still be counted
    (None: one window; never more than `retention`). `idle_after`: wall-clock seconds of silence after which a
    partition no longer holds the watermark back. `ahead`: how far a timestamp may be beyond the broker's own time for
    the record. Such a record is counted in the pane of its timestamp, and moves the event time no further than the
    broker's time. A record that is further ahead is not counted. `longest`: how far a window with fewer than
    `drift.min_samples` predictions reaches back at most. It does so pane by pane, until it has enough.
    """

    pane: float = 60.0
    panes: int = 60
    allowance: float = 5.0
    retention: float = 7 * 86_400.0
    lateness: float | None = None
    idle_after: float = 10.0
    ahead: float = 300.0
    longest: float = 30 * 86_400.0

    @property
    def most_panes(self) -> int:
        """Return the maximum number of panes of a window."""
        return max(self.panes, int(self.longest // self.pane))

    @property
    def most_truth(self) -> int:
        """Return how many panes back truth is looked for at most: feedback may come until the retention ends."""
        return max(self.most_panes, ceil(self.retention / self.pane))

    @property
    def most_late(self) -> float:
        """Return the effective lateness, in seconds."""
        return min(self.retention, self.pane * self.panes if self.lateness is None else self.lateness)

    @property
    def patience(self) -> float:
        """Return how long a prediction is kept by the broker's clock where event time does not advance, in seconds.

        The time is at least the retention by event time, and at least as long as windows without predictions are
        judged. It is limited to `MOST_PATIENCE`.
        """
        return min(max(self.retention, REACH * self.panes * self.pane, LEAST_PATIENCE), MOST_PATIENCE)


@dataclass(frozen=True, slots=True)
class DriftThresholds:
    """Conditions under which a column has drifted.

    `policy: threshold` is the plain rule (p < alpha or distance > threshold). Effects: `numerical_effect` of the KS
    statistic, `categorical` of the Jensen-Shannon distance without what sampling alone brings (policy `threshold`: of
    the distance itself).
    """

    policy: Literal["decision", "threshold"] = "decision"
    alpha: float = 0.05
    numerical_effect: float = 0.1
    categorical: float = 0.1
    share: float = 0.3
    min_samples: int = 500


@dataclass(frozen=True, slots=True)
class DecisionSettings:
    """Settings of the evaluation of the newest panes, in addition to the window (see `app.core.scales`).

    `false_alarms`: how often any rule may fire at a scale although nothing has changed, for a model that is served
    without a pause: "1 per month", "2 per year", "1 per week", "1 per day". With "off" the window alone is judged.
    """

    false_alarms: str = "1 per month"


@dataclass(frozen=True, slots=True)
class DefaultTruth:
    """Meaning of silence where only one kind of truth is reported (chargebacks, churn).

    A prediction without feedback has the truth `value` once its pane ended `after` seconds of event time ago.
    Feedback that comes later, within `windows.retention`, corrects the truth.
    """

    value: str | bool | int | float
    after: float


@dataclass(frozen=True, slots=True)
class PerformanceThresholds:
    """Conditions under which a metric has degraded: the relative drop against its baseline.

    `metrics` overrides `default`.

    `policy: threshold` is the plain rule: the drop of a window's metric beyond its threshold decides, whatever chance
    brings. The newest truth is not judged in addition to the window. Then `limits` are values that a metric may not
    fall below (log_loss, brier, mae, rmse: rise above). They replace the drop, and need no baseline.

    `degradation`: a degraded metric whose drop is beyond this makes the alert critical, whatever its rule's level.
    `show`: metrics that messages name first, in this order. `confidence`: the level of the reported intervals.
    `chance`: how often any metric of a window as good as the reference may be called degraded. `default_truth`: None
    where silence has no meaning.
    """

    policy: Literal["decision", "threshold"] = "decision"
    default: float = 0.05
    degradation: float = 0.1
    metrics: dict[str, float] = field(default_factory=dict)
    limits: dict[str, float] = field(default_factory=dict)
    min_samples: int = 200
    confidence: float = 0.95
    chance: float = 0.001
    show: tuple[str, ...] = ()
    default_truth: DefaultTruth | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """Conditions under which an alert fires and resolves.

    It fires when breached in `for_windows` consecutive evaluations, and resolves when clear in `clear_windows`.
    `hysteresis`: a value counts as clear only at or below its threshold times this. `owner`: who looks at the alert.
    `runbook_url`: the instructions. Both are part of the alert; where they are empty, the model's are used.
    """

    enabled: bool = True
    level: Level = "error"
    for_windows: int = 2
    clear_windows: int = 2
    hysteresis: float = 0.9
    owner: str = ""
    runbook_url: str = ""


@dataclass(frozen=True, slots=True)
class Alerting:
    """The rules and the channels that receive their alerts.

    Disabling a rule while its alert fires resolves the alert.
    """

    data_drift: Rule = field(default_factory=Rule)
    prediction_drift: Rule = field(default_factory=lambda: Rule(level="warning"))
    performance: Rule = field(default_factory=Rule)
    data_quality: Rule = field(default_factory=lambda: Rule(level="warning"))
    critical_feature: Rule = field(default_factory=Rule)
    feature_drift: Rule = field(default_factory=lambda: Rule(level="warning"))
    performance_estimate: Rule = field(default_factory=Rule)
    traffic: Rule = field(default_factory=Rule)
    feedback: Rule = field(default_factory=lambda: Rule(level="warning"))
    monitor: Rule = field(default_factory=Rule)
    dead_letters: Rule = field(default_factory=lambda: Rule(level="critical", for_windows=1, clear_windows=1))
    unregistered: Rule = field(default_factory=lambda: Rule(for_windows=1, clear_windows=1))
    unmatched: Rule = field(default_factory=lambda: Rule(level="warning", for_windows=1, clear_windows=1))
    not_judged: Rule = field(default_factory=lambda: Rule(level="warning", for_windows=1, clear_windows=1))
    critical_features: tuple[str, ...] = ()
    missing_share: float = 0.05
    unseen_share: float = 0.01
    stray_share: float = 0.01
    volume_drop: float = 0.4
    coverage_drop: float = 0.5
    too_late_share: float = 0.05
    lag_seconds: float = 60.0
    dead_letter_share: float = 0.01
    owner: str = ""
    runbook_url: str = ""
    not_judged_after: float = 3 * 86_400.0
    channels: tuple[str, ...] = ("log", "file")
    routes: tuple[Route, ...] = ()


@dataclass(frozen=True, slots=True)
class MovingReference:
    """Reference that moves with time, in the place of the registered one.

    A window is compared with the rows of `moving` seconds that end `behind` seconds before the window does, in whole
    hours. `same`: only with rows of the same hours of the week (UTC). Until there are rows for the whole span, the
    registered reference is used.
    """

    moving: float
    behind: float = 86_400.0
    same: Literal["hour-of-week"] | None = None


@dataclass(frozen=True, slots=True)
class Monitoring:
    """The complete content of `monitoring.json`. `reference`: None where the registered reference is used for good."""

    windows: Windows = field(default_factory=Windows)
    decision: DecisionSettings = field(default_factory=DecisionSettings)
    drift: DriftThresholds = field(default_factory=DriftThresholds)
    performance: PerformanceThresholds = field(default_factory=PerformanceThresholds)
    alerting: Alerting = field(default_factory=Alerting)
    reference: MovingReference | None = None
