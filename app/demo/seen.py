"""Output of the stream so far: each window's newest reports, and every alert's transitions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from topics.events import AlertEvent, AnyReport, DriftReport, MetricChange, PerformanceReport


@dataclass(slots=True)
class DemoWindow:
    """Reports of one window that have arrived so far."""

    end: datetime
    drift: DriftReport | None = None
    performance: PerformanceReport | None = None

    @property
    def realised(self) -> float | None:
        """Return the accuracy against the truth so far; None without a report."""
        return None if self.performance is None else metric_of(self.performance.metrics, "accuracy")

    @property
    def estimated(self) -> float | None:
        """Return the accuracy as estimated without truth; None without a report."""
        return None if self.performance is None else metric_of(self.performance.estimated, "accuracy")

    @property
    def alarming(self) -> bool:
        """Return whether a report of the window has a finding."""
        drift = self.drift is not None and (
            self.drift.drift_detected or self.drift.prediction_drift or bool(self.drift.drifted_features)
        )
        return drift or (self.performance is not None and self.performance.degraded)


@dataclass(slots=True)
class DemoSeen:
    """Windows and alerts of one model version that have been read so far."""

    windows: dict[datetime, DemoWindow] = field(default_factory=dict)
    alerts: list[AlertEvent] = field(default_factory=list)
    taken: int = 0

    def report(self, report: AnyReport) -> None:
        """Add a report, unless a newer revision is known."""
        if not isinstance(report, DriftReport | PerformanceReport):
            return
        self.taken += 1
        window = self.windows.setdefault(report.window_end, DemoWindow(report.window_end))
        if isinstance(report, DriftReport):
            if window.drift is None or report.revision >= window.drift.revision:
                window.drift = report
        elif window.performance is None or report.revision >= window.performance.revision:
            window.performance = report

    def alert(self, alert: AlertEvent) -> None:
        """Add an alert's transition, once."""
        if all(known.alert_id != alert.alert_id for known in self.alerts):
            self.alerts.append(alert)

    @property
    def ordered(self) -> list[DemoWindow]:
        """Return the windows in order of time."""
        return [self.windows[end] for end in sorted(self.windows)]

    @property
    def firing(self) -> list[AlertEvent]:
        """Return the alerts that fire now."""
        return [alert for alert in self.latest() if alert.status == "firing"]

    def latest(self) -> Iterable[AlertEvent]:
        """Return the newest transition of each alert (an alert: one fingerprint, one start)."""
        newest = {(alert.fingerprint, alert.started_at): alert for alert in self.alerts}
        return newest.values()


def metric_of(metrics: Iterable[MetricChange], name: str) -> float | None:
    """Return a metric's value by its name; None where it is absent."""
    return next((metric.value for metric in metrics if metric.name == name), None)
