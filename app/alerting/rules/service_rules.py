"""Rules on the input of the monitor and on the monitor itself: traffic, feedback, lag and dead letters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import log

from app.alerting.rules.verdict import Verdict, VerdictState
from app.core.config.monitoring import Alerting, Monitoring
from app.core.scales.levels import traffic_level
from app.core.traffic.judging import CHANCE
from topics.events import MonitorReport, PartitionStanding, TrafficReport

TRAFFIC = "traffic"
FEEDBACK = "feedback"
MONITOR = "monitor"

PAUSES = 5
"""Number of known pauses between feedback before a long pause is reported."""
TOO_LATE = "too late"
"""Subject of an alert about truth that came too late."""
FEWEST_TRUTHS, FEWEST_LATE = 20, 5
FEWEST_DEAD = 5
OF_PARTITION = " of partition "
"""Part of the subject of an alert about the monitor. The source partition's number follows."""


def of_traffic(report: TrafficReport, monitoring: Monitoring) -> Iterator[Verdict]:
    """Yield the verdicts on traffic and feedback of one window."""
    alerting = monitoring.alerting
    yield _stopped(report, monitoring)
    yield _volume(report, monitoring)
    yield _feedback_stopped(report)
    yield _coverage(report, alerting, monitoring.performance.min_samples)
    yield _too_late(report, monitoring)


def _stopped(report: TrafficReport, monitoring: Monitoring) -> Verdict:
    """Return the verdict on stopped traffic: silence that the usual rate would bring only at the stated level
    (Poisson).

    The silence must also exceed the longest recent pause, so that pauses between batches do not count.
    """
    missed = report.usual * report.silent if report.missed is None else report.missed
    threshold = -log(report.chance or CHANCE)
    state: VerdictState = "between" if report.silent else "clear"
    if missed >= threshold and report.silent > report.pause:
        state = "breach"
    evidence = {"silent_panes": report.silent, "usual": report.usual, "missed": missed, "days": list(report.days)}
    sure = state == "breach" and _stated(report, monitoring)
    return Verdict(TRAFFIC, "stopped", state, missed, threshold, evidence, sure=sure)


def _volume(report: TrafficReport, monitoring: Monitoring) -> Verdict:
    """Return the verdict on the volume of the newest panes against the usual volume: see `app.core.traffic.judging`."""
    alerting, volume = monitoring.alerting, report.volume
    if volume is None or not volume.expected:
        return Verdict(TRAFFIC, "volume", "insufficient")
    ratio, threshold = volume.recent / volume.expected, 1.0 - alerting.volume_drop
    state: VerdictState = "breach" if volume.found else "between"
    if not volume.found and ratio >= 1.0 - alerting.volume_drop * alerting.traffic.hysteresis:
        state = "clear"
    evidence = {
        "recent": volume.recent / volume.panes, "before": volume.expected / volume.panes, "newest_panes": volume.panes,
        "days": list(volume.days), "p_value": volume.p_value,
    }  # fmt: skip
    sure = volume.found and _stated(report, monitoring)
    return Verdict(TRAFFIC, "volume", state, ratio, threshold, evidence, sure=sure)


def _stated(report: TrafficReport, monitoring: Monitoring) -> bool:
    """Return whether a finding has the stated rate of false alarms, so that it fires at once."""
    return report.sufficient and traffic_level(monitoring, 1) > 0.0


def _feedback_stopped(report: TrafficReport) -> Verdict:
    """Return the verdict on stopped feedback: a breach after more than twice the longest of the last pauses."""
    if report.feedback_gaps < PAUSES:
        return Verdict(FEEDBACK, "stopped", "insufficient")
    silent, limit = report.feedback_silent, 2 * report.feedback_longest
    state: VerdictState = "breach" if silent > limit else "clear" if silent <= report.feedback_longest else "between"
    evidence = {"silent_panes": silent, "longest_pause": report.feedback_longest}
    return Verdict(FEEDBACK, "stopped", state, float(silent), float(limit), evidence)


def _coverage(report: TrafficReport, alerting: Alerting, min_samples: int) -> Verdict:
    """Return the verdict on the share with feedback in the window before this one, against its slow mean."""
    usual, threshold = report.usual_coverage, report.usual_coverage * (1.0 - alerting.coverage_drop)
    if usual * report.n < min_samples:
        return Verdict(FEEDBACK, "coverage", "insufficient")
    state: VerdictState = "breach" if report.coverage < threshold else "between"
    if report.coverage >= usual * (1.0 - alerting.coverage_drop * alerting.feedback.hysteresis):
        state = "clear"
    evidence = {"coverage": report.coverage, "usual_coverage": usual}
    return Verdict(FEEDBACK, "coverage", state, report.coverage, threshold, evidence)


def _too_late(report: TrafficReport, monitoring: Monitoring) -> Verdict:
    """Return the verdict on the share of truth that came after its prediction's retention and enters no metric."""
    alerting, late = monitoring.alerting, report.recent_too_late
    came, threshold = late + report.recent_joined, alerting.too_late_share
    if came < FEWEST_TRUTHS:
        return Verdict(FEEDBACK, TOO_LATE, "insufficient")
    share = late / came
    state: VerdictState = "breach" if share > threshold and late >= FEWEST_LATE else "between"
    if share <= threshold * alerting.feedback.hysteresis:
        state = "clear"
    evidence = {"too_late": report.too_late, "joined": report.feedback, "retention": monitoring.windows.retention}
    return Verdict(FEEDBACK, TOO_LATE, state, share, threshold, evidence)


def of_monitor(report: MonitorReport, alerting: Alerting) -> Iterator[Verdict]:
    """Yield the verdicts on lag and dead letters of each partition that is assigned to a worker.

    They belong to the group's partitions, not to the worker: after a crash another worker continues them. The number of
    dead letters counts over all partitions of a worker, since one producer's records are spread over its partitions.
    """
    enough = sum(report.dead_letters.values()) >= FEWEST_DEAD
    for name, standing in report.partitions.items():
        about: dict[str, object] = {"partition": name, "worker": report.worker}
        yield _lag(name, standing, about, alerting)
        yield _dead_letters(name, standing, about, alerting, enough=enough)


def _lag(name: str, standing: PartitionStanding, about: Mapping[str, object], alerting: Alerting) -> Verdict:
    behind, threshold = standing.behind_seconds, alerting.lag_seconds
    subject, evidence = f"lag{OF_PARTITION}{name}", {**about, "lag": standing.lag}
    if behind is None:
        return Verdict(MONITOR, subject, "insufficient")
    state: VerdictState = "breach" if behind > threshold else "between"
    if behind <= threshold * alerting.monitor.hysteresis:
        state = "clear"
    return Verdict(MONITOR, subject, state, behind, threshold, evidence)


def _dead_letters(
    name: str, standing: PartitionStanding, about: Mapping[str, object], alerting: Alerting, *, enough: bool
) -> Verdict:
    share, threshold = standing.dead_letters / max(standing.n, standing.dead_letters, 1), alerting.dead_letter_share
    state: VerdictState = "breach" if share > threshold and enough else "between"
    if share <= threshold * alerting.monitor.hysteresis:
        state = "clear"
    evidence = {**about, "dead_letters": standing.dead_letters}
    return Verdict(MONITOR, f"dead letters{OF_PARTITION}{name}", state, share, threshold, evidence)
