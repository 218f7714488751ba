"""Sentences with parts that may be missing, which no template can express: columns, metrics and findings; and
formats.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from app.alerting.events.templates import RISES
from app.core.evaluation.too_few import too_few
from topics.events import FeatureDrift, MetricChange

MAX_LISTED = 5
"""Names that a line lists, and columns and metrics that a message shows. The evidence has the others."""
SMALLEST_P = 1e-12
Values = Mapping[str, Any]


def column_line(column: FeatureDrift) -> str:
    """Return the line of a column: statistic, certainty, direction, reference -> current."""
    if column.statistic is None:
        return f"{column.name}: nothing to compare"
    p_value = f", {p_value_text(column.p_value)}" if column.p_value is not None else ""
    parts = [f"{column.test} {column.statistic:.3g} (threshold {column.threshold:.3g}{p_value})"]
    if column.direction:
        parts.append(column.direction)
    if column.reference or column.current:
        parts.append(f"{column.reference} -> {column.current}")
    return f"{column.name}: {', '.join(parts)}"


def metric_line(metric: MetricChange) -> str:
    """Return the line of a metric: its value, its interval, and its change against the baseline."""
    if metric.value is None:
        return f"{metric.name}: not known"
    line = f"{metric.name} {metric.value:.4g}{_interval(metric.low, metric.high)}"
    if metric.baseline is None and metric.limit is not None and metric.judged:
        return f"{line}: {worse_by(metric)} than its limit {metric.limit:.4g}"
    if metric.baseline is None or not metric.judged:
        return f"{line}: not judged{f' ({metric.reason})' if metric.reason else ''}"
    return f"{line}, baseline {metric.baseline:.4g}: {worse_by(metric)} ({_limit(metric)})"


def worse_by(metric: MetricChange) -> str:
    """Return how far a metric is from its baseline, and in which direction.

    For a baseline at or below zero the change is also given in the metric's own unit. Empty where it is unknown.
    """
    if metric.relative is None:
        return ""
    words = f"{abs(metric.relative):.1%} {'worse' if metric.relative > 0 else 'better'}"
    if metric.scale is None or metric.scale == metric.baseline or metric.absolute is None:
        return words
    return f"{words} ({abs(metric.absolute):.4g} of {metric.scale:.4g})"


def p_value_text(p_value: float) -> str:
    """Return a p-value as text."""
    return f"p < {SMALLEST_P:g}" if p_value < SMALLEST_P else f"p = {p_value:.2g}"


def listed(names: Sequence[str], most: int = MAX_LISTED, between: str = ", ") -> str:
    """Return the first names and the number of the others."""
    return between.join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def time_text(epoch: float) -> str:
    """Return a moment, given in epoch seconds, as UTC text without seconds that are zero."""
    return f"{datetime.fromtimestamp(epoch, UTC):%Y-%m-%d %H:%M:%S} UTC".replace(":00 UTC", " UTC")


def span_text(seconds: float) -> str:
    """Return a duration, given in seconds, in a suitable unit."""
    for most, length, unit in ((120, 1, "s"), (120 * 60, 60, "min"), (48 * 3600, 3600, "h")):
        if seconds < most:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds / 86_400:.3g} days"


def _limit(metric: MetricChange) -> str:
    if metric.limit is not None:
        return f"limit {metric.limit:.4g}"
    usual = f", as {metric.usual:.1%} comes and goes by itself" if metric.usual > 0.0 else ""
    return f"threshold {metric.threshold:.1%}{usual}"


def _interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f" (95 % interval {low:.4g} to {high:.4g})"


def _quality(values: Values) -> str:
    shares = [f"{name} {share:.1%} of its rows" for name, share in zip(values["names"], values["shares"], strict=True)]
    if values["expected"] is not None:
        shares = [
            f"{share} ({expected:.1%} expected from the reference)"
            for share, expected in zip(shares, values["expected"], strict=True)
        ]
    allowed = "" if values["threshold"] is None else f" (up to {values['threshold']:.1%} more are let pass)"
    words = values["problem"]
    return f"{words[0].upper()}{words[1:]}: {', '.join(shares) or 'none'}{allowed}."


def _too_few(values: Values) -> str:
    by = {name: "" if values[name] is None else time_text(values[name]) for name in ("expected", "expected_first")}
    found = values["n"], values["needed"], values["detectable"], by["expected"]
    return f"{too_few(*found, values['needed_first'], by['expected_first'])}."


def _found(values: Values) -> str:
    """Return the sentence about where a column's change is visible in the newest panes, and since when."""
    rows = _rows(values["n"])
    seen = f"seen in {rows}"
    if values["start"] is not None:
        seen = f"seen in {_newest_panes(values['panes'])} (from {time_text(values['start'])}, {rows})"
    parts = [seen]
    if values["fault"] != "distribution":
        parts.insert(0, f"{values['effect_size']:.1%} of its rows more than expected {RISES[values['fault']]}")
    if values["since"] is not None:
        parts.append(f"changed at {_change_point(values)}")
    return f"{values['name']}: {', '.join(parts)}."


def _slow(values: Values) -> str:
    moved = f"its mean by {values['moved']:+.2g} standard deviations" if values["mean"] else f"by {values['moved']:.2g}"
    rate = "" if values["rate"] is None else f"{values['rate']:+.2g} a day; "
    return f"{values['name']}: a slow change, {moved} since the reference, {rate}it fires again when that has doubled."


def _metric_found(values: Values) -> str:
    panes = _newest_panes(values["panes"], " with truth")
    line = f"{values['name']}: seen in {_rows(values['n'])} of {panes}"
    if values["end"] is not None:
        line += f" (up to {time_text(values['end'])})"
    if values["since"] is not None:
        line += f", worse since {_change_point(values)}"
    return f"{line}."


def _features_differ(values: Values) -> str:
    drifted = values["drifted"]
    subject = f"{drifted:,}" if drifted else "None"
    verb = "differ" if drifted > 1 else "differs"
    window = f"{time_text(values['start'])} to {time_text(values['end'])}"
    return f"{subject} of its {values['features']:,} features {verb} from the reference in the window {window}."


def _estimated_as(values: Values) -> str:
    interval = _interval(values["low"], values["high"])
    return f"Without the truth, {values['name']} of this window was estimated as {values['value']:.4g}{interval}."


def _left_out(values: Values) -> str:
    words = values["words"]
    return f"{words[0].upper()}{words[1:]}."


def _rows(n: int) -> str:
    return f"{n:,} row{_plural(n)}"


def _newest_panes(panes: int, which: str = "") -> str:
    return f"the newest pane{which}" if panes == 1 else f"the newest {panes:,} panes{which}"


def _change_point(values: Values) -> str:
    earliest, latest = time_text(values["earliest"]), time_text(values["latest"])
    between = "" if values["earliest"] == values["latest"] else f" (between {earliest} and {latest})"
    return time_text(values["since"]) + between


def _plural(n: int) -> str:
    return "" if n == 1 else "s"


def _days(days: Sequence[int]) -> str:
    names = [{1: "yesterday", 7: "a week ago"}.get(day, f"{day} days ago") for day in days]
    return f"the same hours {' and '.join(names)}"


COMPOSED: dict[str, Callable[[Values], str]] = {
    "quality": _quality, "too_few": _too_few, "found": _found, "slow": _slow, "metric_found": _metric_found,
    "estimated_as": _estimated_as, "features_differ": _features_differ, "left_out": _left_out,
}  # fmt: skip


FORMATS: dict[str, Callable[[Any], str]] = {
    "time": time_text, "span": span_text, "names": listed, "days": _days, "s": _plural,
}  # fmt: skip
