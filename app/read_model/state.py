"""The state of a model version in one word."""

from __future__ import annotations

from typing import Literal

from app.core.evaluation.accounting import mostly_left_out
from app.core.evaluation.too_few import MOST, is_judged, too_few
from app.read_model.reports_table import ModelReports
from topics.events import DriftReport, minute_of

State = Literal["waiting", "learning", "insufficient", "healthy", "drifting", "degraded", "alerting", "retired"]


def state_of(found: ModelReports, *, retired: bool = False, learning: bool = False) -> State:
    """Return the worst state that the last windows and the firing alerts show.

    A retired version is `retired`, one that learns its reference is `learning`, whatever was reported of it before.

    Performance is that of the newest window with feedback. A version is not healthy with too few samples, or where most
    of its input could not be judged.
    """
    if retired or learning:
        return "retired" if retired else "learning"
    if found.firing:
        return "alerting"
    drift, performance = found.drift.latest, found.realised
    if drift is None and performance is None:
        return "waiting"
    if performance is not None and performance.sufficient and (performance.degraded or performance.degraded_metrics):
        return "degraded"
    if drift is not None and _drifting(drift):
        return "drifting"
    return "insufficient" if why_not_judged(found) else "healthy"


def _drifting(drift: DriftReport) -> bool:
    return (drift.scales is not None and drift.scales.drifted) or (
        drift.sufficient and (drift.drift_detected or drift.prediction_drift)
    )


def thin_words(drift: DriftReport) -> str:
    """Return the text for a window that lacks predictions; empty for a window with enough."""
    if drift.sufficient:
        return ""
    detectable, first = (None, 0) if drift.scales is None else (drift.scales.detectable, drift.scales.needed)
    expected, sooner = minute_of(drift.expected), minute_of(drift.expected_first)
    return too_few(drift.n, drift.needed, detectable, expected, first, sooner)


def why_not_judged(found: ModelReports) -> str:
    """Return why the newest window or feedback shows nothing about the model; empty where it was judged."""
    drift, performance = found.drift.latest, found.realised
    if drift is None:
        return "no predictions have been judged"
    if not drift.sufficient and not is_judged(drift):
        return thin_words(drift)
    if drift.unjudged_share > MOST:
        share = f"{drift.unjudged_share:.0%}"
        return f"{share} of the features' values are of the wrong type, or missing where the reference has them"
    if performance is not None and performance.feedback and mostly_left_out(performance):
        left = sum(performance.not_judged.values())
        return f"{left:,} of {performance.feedback:,} rows with truth enter no metric"
    return ""
