"""How one model version is watched: windows, decision, rules. Defaults that suit live traffic."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil
from typing import Literal

from app.core.config.routes import Route
from topics.levels import Level

MOST_SILENT = 10
"""Windows without any prediction that are judged; then the model version is left alone until something comes."""
REACH = MOST_SILENT + 2
"""Windows before its end that the judgement of a window reaches back: over the silent ones, and two before them."""
MOST_LONGEST = 365 * 86_400.0
"""Seconds that a thin window reaches back at most: the topic `panes` deletes nothing for longer than that by itself."""
LEAST_PATIENCE, MOST_PATIENCE = 86_400.0, 150 * 86_400.0
"""Seconds. Twice the longest, and what is kept before that, is within the retention of the topic `panes`."""


@dataclass(frozen=True, slots=True)
class Windows:
    """Event-time windows. All in seconds, but `panes`: a window is its last `panes` panes.

    `allowance`: how long a pane waits for late records before it closes. `retention`: how long a prediction
    waits for its feedback (the join window). `lateness`: how far behind the newest prediction another may
    still be counted (None: one window; never more than `retention`). `idle_after`: wall-clock seconds of
    silence after which a partition no longer holds the watermark back. `ahead`: how far a timestamp may be beyond
    the broker's own time for the record. Such a record is counted in the pane of its timestamp, and moves the event
    time no further than the broker's time; what is further ahead than this is not counted. `longest`: a window with
    fewer than `drift.min_samples` predictions reaches back, pane by pane, until it has them, at most so far.
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
        """How many panes a window has at most."""
        return max(self.panes, int(self.longest // self.pane))

    @property
    def most_truth(self) -> int:
        """How many panes back truth is looked for at most: it is waited for as long as the retention."""
        return max(self.most_panes, ceil(self.retention / self.pane))

    @property
    def most_late(self) -> float:
        """The lateness in force, in seconds."""
        return min(self.retention, self.pane * self.panes if self.lateness is None else self.lateness)

    @property
    def patience(self) -> float:
        """How long a prediction is kept by the broker's clock where event time does not go on, in seconds.

        As long as by event time, and no less than windows without predictions are judged.
        """
        return min(max(self.retention, REACH * self.panes * self.pane, LEAST_PATIENCE), MOST_PATIENCE)


@dataclass(frozen=True, slots=True)
class DriftThresholds:
    """When a column has drifted. `policy: threshold` is the plain rule (p < alpha or distance > threshold).

    Effects: `numerical_effect` of the KS statistic, `categorical` of the Jensen-Shannon distance without what sampling
    alone brings (policy `threshold`: of the distance itself).
    """

    policy: Literal["decision", "threshold"] = "decision"
    alpha: float = 0.05
    numerical_effect: float = 0.1
    categorical: float = 0.1
    share: float = 0.3
    min_samples: int = 500


@dataclass(frozen=True, slots=True)
class DecisionSettings:
    """How the newest panes are judged beside the window (see `app.core.scales`).

    `false_alarms`: how often any rule may fire at a scale although nothing has changed, of a model that is served
    without a pause: "1 per month", "2 per year", "1 per week", "1 per day"; "off": the window alone is judged.
    """

    false_alarms: str = "1 per month"


@dataclass(frozen=True, slots=True)
class DefaultTruth:
    """What silence means where only one kind of truth is reported (chargebacks, churn).

    A prediction without feedback has the truth `value` once its pane ended `after` seconds of event time ago. Feedback
    that comes later, within `windows.retention`, corrects it.
    """

    value: str | bool | int | float
    after: float


@dataclass(frozen=True, slots=True)
class PerformanceThresholds:
    """When a metric has degraded: relative drop against its baseline. `metrics` overrides `default`.

    `policy: threshold` is the plain rule: the drop of a window's metric beyond its threshold decides, whatever chance
    brings, and the newest truth is not judged beside the window. There `limits` are values that a metric may not fall
    below (log_loss, brier, mae, rmse: rise above), in the place of its drop; they need no baseline.

    `degradation`: a degraded metric whose drop is beyond this makes the alert critical, whatever its rule's level.
    `show`: metrics that messages name first, in this order. `confidence` is that of the intervals that are told.
    `chance`: of a window as good as the reference, how often any of its metrics may be called degraded.
    `default_truth`: None where silence means nothing.
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
    """When an alert fires: breached in `for_windows` consecutive evaluations; clear in `clear_windows` resolves.

    `hysteresis`: a value counts as clear only at or below its threshold times this. `owner`: who is to look at it, and
    `runbook_url`: what tells how; both are in the alert, and empty: those of the model.
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
    """The rules and the channels that tell of them. A rule that is switched off while its alert fires resolves it.

    `critical_feature`: the rule of each of the `critical_features`, whatever `data_drift` is set to; `feature_drift`:
    that of each other feature, which fires by what the newest panes show.
    `missing_share`: how far a feature's share of missing values may rise above its share in the reference, in
    absolute terms: with 0.05 a feature that is missing in 30 % of the reference's rows may be missing in 35 %. The
    rise must also be more than chance. `unseen_share`: the same of categories that the reference does not have, above
    what its own single ones let expect. `stray_share`: unknown features and values of the wrong type in no more than
    this share of a window's rows are let pass. `volume_drop`: how far traffic may fall below what is usual in the
    same hours, `coverage_drop`: how far the share with feedback may fall below the usual one, both as shares of these.
    `too_late_share`: how much of the truth may come after `windows.retention`, and so enter no metric.
    `lag_seconds`: how far behind a worker may be; `dead_letter_share`: of the records that it reads.
    `not_judged`: the rule of a model version of which no window is judged for `not_judged_after` seconds of event time.
    `routes`: asked before those of driftline.toml; `channels`: told where no route fits. `owner` and `runbook_url`: of
    the model, for every rule that has none of its own.
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
class Monitoring:
    """All of it, as `monitoring.json` gives it."""

    windows: Windows = field(default_factory=Windows)
    decision: DecisionSettings = field(default_factory=DecisionSettings)
    drift: DriftThresholds = field(default_factory=DriftThresholds)
    performance: PerformanceThresholds = field(default_factory=PerformanceThresholds)
    alerting: Alerting = field(default_factory=Alerting)
