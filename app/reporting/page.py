"""Self-contained HTML page of one window: its findings, with pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from app.reporting.drawing import distribution, over_time
from topics.events import AlertEvent, DriftReport, FeatureDrift, PerformanceReport, minute_of

MOST_DRAWN = 200


@dataclass(frozen=True, slots=True)
class Page:
    """Content of a window's page.

    `shares`: the share of drifted features of every known window, by the window's end. `accounting`: what the metrics
    leave out, one fact for each item. `subtitle`: text in place of the window's times.
    """

    model: str
    model_version: str
    drift: DriftReport | None
    performance: PerformanceReport | None
    shares: Sequence[tuple[datetime, float | None]]
    alerts: Sequence[AlertEvent]
    made_at: datetime
    accounting: Sequence[str] = ()
    subtitle: str = ""

    @property
    def window(self) -> DriftReport | PerformanceReport:
        """Return a report of the window. Raises ValueError where there is none."""
        found = self.drift or self.performance
        if found is None:
            raise ValueError("a page is about a window")
        return found


def html_of(page: Page) -> str:
    """Return the complete page, which has no scripts and loads nothing."""
    drift = page.drift
    columns = [] if drift is None else _columns(drift)
    ends = [end for end, _ in page.shares]
    timeline = ""
    if drift is not None and len(ends) > 1 and drift.window_end in ends:
        name = f"Share of drifted features in {len(ends)} windows"
        chosen = ends.index(drift.window_end)
        timeline = over_time([share for _, share in page.shares], drift.drift_threshold, chosen, name, 1.0)
    return _environment().get_template("report.html.j2").render(
        page=page, window=page.window, drift=drift, performance=page.performance, verdict=verdict_of(page),
        drifted=[(c, distribution(c)) for c in columns if c.drifted][:MOST_DRAWN],
        others=[(c, distribution(c)) for c in columns if not c.drifted][:MOST_DRAWN], timeline=timeline,
        moment=minute_of,
    )  # fmt: skip


def verdict_of(page: Page) -> list[str]:
    """Return the window's findings as sentences."""
    said = []
    drift, performance = page.drift, page.performance
    if drift is not None:
        n = len(drift.features)
        if not drift.sufficient:
            said.append(f"{drift.n:,} predictions are too few to judge drift.")
        else:
            how = "Data drift" if drift.drift_detected else "No data drift"
            share = f"{len(drift.drifted_features)} of {n} features have drifted"
            said.append(f"{how}: {share} ({drift.drift_share:.0%}; data drift from {drift.drift_threshold:.0%}).")
        if drift.sufficient and drift.prediction_drift:
            said.append("The predictions have drifted.")
        said += _newest_panes(drift)
        usual = drift.usual
        if usual is not None and usual.source == "learning":
            said.append(f"It is being learned what is usual: {usual.days} of {usual.needs} days are known.")
        elif usual is not None and usual.source == "live":
            said.append(f"What is usual was learned from the stream, until {minute_of(usual.until)}.")
    if performance is not None:
        said.append(_performance(performance))
    return [*said, *(f"{line[0].upper()}{line[1:]}." for line in page.accounting)]


def _newest_panes(drift: DriftReport) -> list[str]:
    """Return the findings of the newest panes alone, as sentences."""
    found = () if drift.scales is None else drift.scales.found
    words = {"distribution": "has drifted", "missing": "lacks values", "unseen": "has unseen categories"}
    return [
        f"{one.name} {words.get(one.fault, 'has values of the wrong type')} in the newest "
        f"{'pane' if one.panes == 1 else f'{one.panes:,} panes'} ({one.n:,} rows)."
        for one in found
    ]


def _performance(performance: PerformanceReport) -> str:
    if not performance.feedback:
        return "No truth of these predictions has come yet."
    if performance.reason:
        return f"Performance was not judged: {performance.reason}."
    if not performance.sufficient:
        return f"{performance.feedback:,} predictions with truth are too few to judge performance."
    worse = ", ".join(performance.degraded_metrics)
    if worse:
        return f"Performance is worse than on the reference: {worse}."
    unjudged = [metric.name for metric in performance.metrics if not metric.judged]
    beside = f" (not judged: {', '.join(unjudged)})" if unjudged else ""
    return f"No metric has degraded{beside}."


def _columns(drift: DriftReport) -> list[FeatureDrift]:
    """Return all columns, the largest effect first."""
    special = [column for column in (drift.prediction, drift.probability) if column is not None]

    def effect(column: FeatureDrift) -> float:
        size = column.statistic if column.effect_size is None else column.effect_size
        return -1.0 if size is None else size / (column.threshold or 1.0)

    return sorted((*special, *drift.features), key=lambda column: (-column.drifted, -effect(column), column.name))


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("app.reporting"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
