"""How unlikely without any change a finding must be: a bound on false alarms, shared over all that is tested."""

from __future__ import annotations

import re
from dataclasses import dataclass

from app.core.config.monitoring import Monitoring

SECONDS = {"day": 86_400.0, "week": 7 * 86_400.0, "month": 30 * 86_400.0, "year": 365 * 86_400.0}
OFF = "off"
MOST = 1e-4
"""The largest chance of a false alarm in one evaluation, however few evaluations there are in the time."""
AT_MARGIN = 5.0
"""One column whose difference is as large as is harmless may be found so many times as often as any without one."""
_RATE = re.compile(r"(\d+(?:\.\d+)?) per (day|week|month|year)")


def per_second(false_alarms: str) -> float | None:
    """Return a rate such as "1 per month" in false alarms per second; None where it is "off". Raises ValueError."""
    if false_alarms == OFF:
        return None
    found = _RATE.fullmatch(false_alarms)
    if found is None or not float(found[1]):
        raise ValueError(f'must be "off" or a rate such as "1 per month", not {false_alarms!r}')
    return float(found[1]) / SECONDS[found[2]]


@dataclass(frozen=True, slots=True)
class Levels:
    """The largest p-values that are a finding, by kind of test.

    `evaluation`: the chance of a false alarm in one evaluation, over all tests together. `distribution`: of one
    column's values at one scale, if nothing is different; `share`: of its missing values, its unseen categories, its
    values of the wrong type. `harmless`: of either, if the difference is as large as is harmless. A fourth of the
    evaluation's chance is left for metrics and traffic (see `metric_level`, `traffic_level`).
    """

    evaluation: float
    distribution: float
    share: float
    harmless: float


def levels_of(monitoring: Monitoring, scales: int, columns: int) -> Levels | None:
    """Share the allowed false alarms over all tests (Bonferroni); None where no scale is to be judged.

    An evaluation is made at each pane's end, so that there are as many in a second as panes. Half of an evaluation's
    chance is that of distributions, a fourth that of shares, of which a column has three, and an eighth each that of
    metrics and of traffic. A difference at the margin is of one column: its chance is shared over the scales alone.
    """
    evaluation = _evaluation(monitoring)
    if evaluation is None:
        return None
    tests = max(scales, 1) * max(columns, 1)
    return Levels(evaluation, evaluation / 2.0 / tests, evaluation / 4.0 / (3 * tests), at_margin(monitoring, scales))


def at_margin(monitoring: Monitoring, scales: int) -> float:
    """Return the largest p-value that is a finding, if the true difference is as large as is harmless, at one scale.

    It is of one column or metric, so that it is shared over the scales alone; 0 where no scale is to be judged.
    """
    return min(AT_MARGIN * (_evaluation(monitoring) or 0.0), MOST) / max(scales, 1)


def metric_level(monitoring: Monitoring, scales: int, metrics: int) -> float:
    """Return the largest p-value that is a finding of one metric at one scale; 0 where no scale is to be judged."""
    if monitoring.performance.policy != "decision":
        return 0.0
    return (_evaluation(monitoring) or 0.0) / 8.0 / (max(scales, 1) * max(metrics, 1))


def traffic_level(monitoring: Monitoring, scales: int) -> float:
    """Return the largest p-value that is a drop of traffic at one scale; 0 where no scale is to be judged."""
    return (_evaluation(monitoring) or 0.0) / 8.0 / max(scales, 1)


def _evaluation(monitoring: Monitoring) -> float | None:
    rate = per_second(monitoring.decision.false_alarms)
    if rate is None or monitoring.drift.policy != "decision":
        return None
    return min(rate * monitoring.windows.pane, MOST)
