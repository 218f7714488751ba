"""The rules of what keeps a monitor fed: traffic, feedback, and the monitor itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import log

import numpy as np
from scipy.special import bdtr

from app.alerting.verdict import Verdict, VerdictState
from app.core.config import Alerting, Monitoring
from app.core.scales.levels import traffic_level
from app.core.scales.suffixes import spans_of
from topics.events import MonitorReport, PartitionStanding, TrafficReport

TRAFFIC = "traffic"
FEEDBACK = "feedback"
MONITOR = "monitor"

CHANCE = 0.001
"""The chance that predictions which come at random, at the usual rate, are said to stay away or to drop."""
NEWEST = 12
"""A drop is that of the newest twelfth of a window's panes, at least one, against the others."""
FEWEST_OTHERS = 8
"""So many times as many panes as the newest ones show what is usual at their length."""
PAUSES = 5
"""Pauses between feedback that must be known before a long one is told."""
FEWEST_DEAD = 5
OF_PARTITION = " of partition "
"""In the subject of an alert about the monitor: the source partition's number follows."""


def of_traffic(report: TrafficReport, monitoring: Monitoring) -> Iterator[Verdict]:
    """Traffic and feedback of one window."""
    alerting = monitoring.alerting
    yield _stopped(report)
    yield _of_newest(_volume(report, alerting), report, monitoring)
    yield _feedback_stopped(report)
    yield _coverage(report, alerting, monitoring.performance.min_samples)


def _stopped(report: TrafficReport) -> Verdict:
    """No predictions for so long that the usual rate would bring none by a chance of 0.001 (Poisson)."""
    missed, threshold = report.usual * report.silent, -log(CHANCE)
    state: VerdictState = "breach" if missed >= threshold else "between" if report.silent else "clear"
    evidence = {"silent_panes": report.silent, "usual": report.usual}
    return Verdict(TRAFFIC, "stopped", state, missed, threshold, evidence)


def _volume(report: TrafficReport, alerting: Alerting) -> Verdict:
    """The newest panes against the others of the window: a drop below the share that is left, by more than chance."""
    newest = max(1, len(report.counts) // NEWEST)
    recent, before = sum(report.counts[-newest:]), sum(report.counts[:-newest])
    others = len(report.counts) - newest
    if not before:
        return Verdict(TRAFFIC, "volume", "insufficient")
    ratio = (recent / newest) / (before / others)
    threshold = 1.0 - alerting.volume_drop
    by_chance = float(bdtr(recent, recent + before, newest / len(report.counts)))
    state: VerdictState = "breach" if ratio < threshold and by_chance < CHANCE else "between"
    if ratio >= 1.0 - alerting.volume_drop * alerting.traffic.hysteresis:
        state = "clear"
    evidence = {"recent": recent / newest, "before": before / others}
    return Verdict(TRAFFIC, "volume", state, ratio, threshold, evidence)


def _of_newest(verdict: Verdict, report: TrafficReport, monitoring: Monitoring) -> Verdict:
    """The same, or a breach at once: the newest 1, 2, 4, ... panes have fewer by far than any others of the window.

    At each of these lengths the fewest predictions of any others in the window are what comes and goes by itself:
    batches with pauses between, and the nights of a window of a day. The newest must have fallen by `volume_drop` from
    the mean, and be below that fewest by more than chance brings at the stated level if both rates are one (binomial).
    """
    counts = np.asarray(report.counts, np.int64)
    spans = spans_of(max(1, len(counts) // NEWEST))
    level, drop = traffic_level(monitoring, len(spans)), 1.0 - monitoring.alerting.volume_drop
    for span in spans if report.sufficient else ():
        recent, others = int(counts[-span:].sum()), counts[:-span]
        if len(others) < FEWEST_OTHERS * span:
            break
        least = int(np.convolve(others, np.ones(span, np.int64), "valid").min())
        ratio = recent / span / max(float(others.mean()), 1e-9)
        if ratio < drop and float(bdtr(recent, recent + least, 0.5)) < level:
            evidence = {"recent": recent / span, "before": float(others.mean()), "newest_panes": span}
            return Verdict(TRAFFIC, "volume", "breach", ratio, drop, evidence, sure=True)
    return verdict


def _feedback_stopped(report: TrafficReport) -> Verdict:
    """No feedback for more than twice the longest of the last pauses."""
    if report.feedback_gaps < PAUSES:
        return Verdict(FEEDBACK, "stopped", "insufficient")
    silent, limit = report.feedback_silent, 2 * report.feedback_longest
    state: VerdictState = "breach" if silent > limit else "clear" if silent <= report.feedback_longest else "between"
    evidence = {"silent_panes": silent, "longest_pause": report.feedback_longest}
    return Verdict(FEEDBACK, "stopped", state, float(silent), float(limit), evidence)


def _coverage(report: TrafficReport, alerting: Alerting, min_samples: int) -> Verdict:
    """The share with feedback in the window before this one, against its slow mean."""
    usual, threshold = report.usual_coverage, report.usual_coverage * (1.0 - alerting.coverage_drop)
    if usual * report.n < min_samples:
        return Verdict(FEEDBACK, "coverage", "insufficient")
    state: VerdictState = "breach" if report.coverage < threshold else "between"
    if report.coverage >= usual * (1.0 - alerting.coverage_drop * alerting.feedback.hysteresis):
        state = "clear"
    evidence = {"coverage": report.coverage, "usual_coverage": usual}
    return Verdict(FEEDBACK, "coverage", state, report.coverage, threshold, evidence)


def of_monitor(report: MonitorReport, alerting: Alerting) -> Iterator[Verdict]:
    """Lag and dead letters of each partition that a worker has.

    They are of the group's partitions, not of the worker: when it dies, whoever takes its partitions goes on. Its
    dead letters are few or many together, since one producer's are spread over its partitions.
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
