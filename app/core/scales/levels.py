"""P-value levels of findings: a bound on false alarms, shared over all tests."""

from __future__ import annotations

import re
from dataclasses import dataclass

from app.core.config.monitoring import Monitoring

SECONDS = {"day": 86_400.0, "week": 7 * 86_400.0, "month": 30 * 86_400.0, "year": 365 * 86_400.0}
OFF = "off"
MOST = 1e-4
"""Largest chance of a false alarm in one evaluation, even where there are few evaluations in the time."""
AT_MARGIN = 5.0
"""How many times as often one column with a harmless difference may be found as any column without one."""
_RATE = re.compile(r"(\d+(?:\.\d+)?) per (day|week|month|year)")


def per_second(false_alarms: str) -> float | None:
    """Return a rate such as "1 per month" in false alarms per second; None for "off". Raises ValueError."""
    if false_alarms == OFF:
        return None
    found = _RATE.fullmatch(false_alarms)
    if found is None or not float(found[1]):
        raise ValueError(f'must be "off" or a rate such as "1 per month", not {false_alarms!r}')
    return float(found[1]) / SECONDS[found[2]]


@dataclass(frozen=True, slots=True)
class Levels:
    """The largest p-values that are a finding, by kind of test.

    `evaluation`: the chance of a false alarm in one evaluation, over all tests together. `distribution`: the level
    for one column's values at one scale, if nothing is different. `share`: the level for its missing values, its
    unseen categories, its values of the wrong type. `harmless`: the level for either, if the difference is at the
    harmless limit. A fourth of the evaluation's chance is left for metrics and traffic (see `metric_level`,
    `traffic_level`).
    """

    evaluation: float
    distribution: float
    share: float
    harmless: float


def levels_of(monitoring: Monitoring, scales: int, columns: int) -> Levels | None:
    """Return levels that share the allowed false alarms over all tests (Bonferroni); None where no scale is judged.

    There is an evaluation at each pane's end, so that there are as many in a second as panes. Half of an evaluation's
    chance is that of distributions. A fourth is that of shares, of which a column has three. An eighth each is that
    of metrics and of traffic. A difference at the margin is of one column: its chance is shared over the scales
    alone.
    """
    evaluation = _evaluation(monitoring)
    if evaluation is None:
        return None
    tests = max(scales, 1) * max(columns, 1)
    return Levels(evaluation, evaluation / 2.0 / tests, evaluation / 4.0 / (3 * tests), at_margin(monitoring, scales))


def at_margin(monitoring: Monitoring, scales: int) -> float:
    """Return the largest p-value that is a finding at one scale, if the true difference is at the harmless limit.

    The difference is of one column or metric, so the chance is shared over the scales alone; 0 where no scale is
    judged.
    """
    return min(AT_MARGIN * (_evaluation(monitoring) or 0.0), MOST) / max(scales, 1)


def metric_level(monitoring: Monitoring, scales: int, metrics: int) -> float:
    """Return the largest p-value that is a finding of one metric at one scale; 0 where no scale is judged."""
    if monitoring.performance.policy != "decision":
        return 0.0
    return (_evaluation(monitoring) or 0.0) / 8.0 / (max(scales, 1) * max(metrics, 1))


def traffic_level(monitoring: Monitoring, scales: int) -> float:
    """Return the largest p-value that is a drop of traffic at one scale; 0 where no scale is judged."""
    return (_evaluation(monitoring) or 0.0) / 8.0 / max(scales, 1)


def _evaluation(monitoring: Monitoring) -> float | None:
    rate = per_second(monitoring.decision.false_alarms)
    if rate is None or monitoring.drift.policy != "decision":
        return None
    return min(rate * monitoring.windows.pane, MOST)
