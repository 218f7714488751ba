"""What the newest panes show, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from topics.events import MetricFinding, ScaleFinding

RISES = {"missing": "without a value", "unseen": "with an unseen category", "type": "with a value of the wrong type"}


def scale_lines(found: Sequence[ScaleFinding]) -> Iterator[str]:
    """Return a line for each finding: where it is seen, and since when."""
    for one in found:
        words = [_where(one)]
        if one.fault != "distribution":
            words.insert(0, f"{one.effect_size:.1%} of its rows more than expected {RISES[one.fault]}")
        if one.since is not None and one.earliest is not None and one.latest is not None:
            words.append(f"changed at {_moment(one.since)}{_between(one.earliest, one.latest)}")
        yield f"{one.name}: {', '.join(words)}."
        if one.slow and one.moved is not None:
            yield f"{one.name}: a slow change, {_moved(one)} since the reference, {_per_day(one)}."


def _moved(one: ScaleFinding) -> str:
    mean = one.column is None or one.column.kind == "numeric"
    return f"its mean by {one.moved:+.2g} standard deviations" if mean else f"by {one.moved:.2g}"


def _per_day(one: ScaleFinding) -> str:
    rate = "" if one.rate is None else f"{one.rate:+.2g} a day; "
    return f"{rate}it fires again when that has doubled"


def metric_scale_line(one: MetricFinding) -> str:
    """Return where a metric is seen to be worse, and since when."""
    panes = "the newest pane with truth" if one.panes == 1 else f"the newest {one.panes:,} panes with truth"
    words = f"{one.name}: seen in {one.n:,} row{'' if one.n == 1 else 's'} of {panes}"
    if one.end is not None:
        words += f" (up to {_moment(one.end)})"
    if one.since is not None and one.earliest is not None and one.latest is not None:
        words += f", worse since {_moment(one.since)}{_between(one.earliest, one.latest)}"
    return f"{words}."


def _where(one: ScaleFinding) -> str:
    rows = f"{one.n:,} row{'' if one.n == 1 else 's'}"
    if one.start is None:
        return f"seen in {rows}"
    panes = "the newest pane" if one.panes == 1 else f"the newest {one.panes:,} panes"
    return f"seen in {panes} (from {_moment(one.start)}, {rows})"


def _between(earliest: datetime, latest: datetime) -> str:
    return "" if earliest == latest else f" (between {_moment(earliest)} and {_moment(latest)})"


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC".replace(":00 UTC", " UTC")
