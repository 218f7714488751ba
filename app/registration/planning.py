"""Text about the changes that are found at a rate of predictions, and how soon."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from app.core.config.monitoring import Monitoring
from app.core.plan import Load, Plan, plan_of
from app.core.reference.profile import Profile
from app.registration.judgeable import span_words
from topics.events import DriftReport, minute_of

SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}
_RATE = re.compile(r"(\d+(?:\.\d+)?)\s*/\s*(s|min|h|d)")
PLAN_HEADER = ("change", "found within", "predictions")
OFF = "decision.false_alarms is off: the newest panes are not judged, but the window as a whole alone"
NO_RATE = (
    "how many predictions come is not known (no times in the reference, no reports of the model): "
    "driftline plan --rate 80/h says what will be found at a rate, and how soon"
)


class PredictionRate(NamedTuple):
    """Rate of predictions per second, and its source in words."""

    per_second: float
    source: str


def rate_of_model(profile: Profile, reports: Iterable[DriftReport]) -> PredictionRate | None:
    """Return the rate in the reference's times, else in the model's newest window; None without either."""
    if profile.usual is not None:
        return PredictionRate(profile.usual.rate, "as in the reference")
    last = max(reports, key=lambda report: report.window_end, default=None)
    if last is None:
        return None
    seconds = (last.window_end - last.window_start).total_seconds()
    return PredictionRate(last.n / seconds, f"as of version {last.model_version} by {minute_of(last.window_end)}")


class RateError(ValueError):
    """Reason why a text is not a rate."""


def rate_of(text: str) -> float:
    """Return a rate such as 80/h in predictions per second. Raises RateError."""
    found = _RATE.fullmatch(text.strip())
    if found is None or not float(found[1]):
        raise RateError(f"must be a number above 0 per s, min, h or d, such as 80/h, not {text!r}")
    return float(found[1]) / SECONDS[found[2]]


def rate_words(rate: float) -> str:
    """Return a rate per second, hour or day, in the first unit in which it is at least 1."""
    for unit, word in ((1.0, "second"), (3600.0, "hour")):
        if rate * unit >= 1.0:
            return f"{rate * unit:,.3g} predictions a{'n' * (word == 'hour')} {word}"
    return f"{rate * SECONDS['d']:,.3g} predictions a day"


def plan_for(profile: Profile, rate: float, monitoring: Monitoring) -> Plan:
    """Return the changes that are found for a profile's model at a rate (predictions per second)."""
    load = Load(
        rate,
        len(profile.columns) if profile.task != "features" else len(profile.features),
        profile.n,
        accuracy=profile.baseline.get("accuracy"),
        metrics=max(len(profile.baseline), 1),
    )
    return plan_of(load, monitoring)


def plan_rows(plan: Plan, kinds: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield a row for each change. `kinds`: of changes; empty: all."""
    for one in plan.found:
        if kinds and one.kind not in kinds:
            continue
        of_truth = " of truth" * (one.kind == "truth")
        within = "not found" if one.seconds is None else f"{span_words(one.seconds)}{of_truth}"
        yield one.change, within, "-" if one.rows is None else f"{one.rows:,}{of_truth}"


def plan_notes(plan: Plan, monitoring: Monitoring) -> Iterator[str]:
    """Yield the notes that complete the rows."""
    if plan.chance is None:
        yield OFF
    needed, longest = monitoring.drift.min_samples, span_words(monitoring.windows.longest)
    if plan.window is None:
        yield f"the whole window is never judged: fewer than {needed:,} predictions in {longest} (windows.longest)"
    else:
        yield f"the whole window is judged by {needed:,} predictions (drift.min_samples): {span_words(plan.window)}"
    if plan.load.accuracy is None:
        return
    rows = monitoring.performance.min_samples
    if plan.truth is None:
        yield f"metrics but shares are never judged: fewer than {rows:,} truths in {longest}"
    else:
        yield f"all metrics are judged by {rows:,} truths (performance.min_samples): {span_words(plan.truth)} of truth"
