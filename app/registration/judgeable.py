"""Spans from which columns can be judged, and times within which changes are found, as table rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import inf

from app.core.config.monitoring import Monitoring
from app.core.evaluation.usual_effects import effects_of
from app.core.reference.profile import Profile
from app.core.usual.detectable import JUDGED, SIZES, Detectable
from app.core.usual.detectable import detectable_of as found_at
from app.core.usual.spans import DAY, WEEK

HEADER = ("column", "judged from", *(f"{size:.0%} of rows moved" for size in SIZES))
UNKNOWN = (
    "the reference has no times (columns.timestamp names them), so it is not known how far its columns come and go by "
    "the hour or the day. That is learned from the first weeks of the stream (14 days or more); until then rows are "
    "taken as independent, and a column that comes and goes is called drift"
)


def detectable_of(profile: Profile, monitoring: Monitoring) -> list[Detectable]:
    """Return the detectable changes of each column; an empty list where the reference has no times."""
    return found_at(profile, profile.usual, monitoring)


def rows_of(found: list[Detectable]) -> Iterator[tuple[str, ...]]:
    """Yield a row for each column."""
    for one in found:
        yield one.name, span_words(one.judged_from) or "not judged", *(span_words(after) or "-" for after in one.after)


def not_judged(found: list[Detectable], profile: Profile) -> Iterator[str]:
    """Yield a line for each column for which no judged span is long enough, with advice."""
    usual = profile.usual
    for one in found:
        if one.judged_from is None and usual is not None:
            known = next(column for column in usual.columns if column.name == one.name)
            longer = next((s for s, e in zip(usual.spans, known.distribution, strict=True) if e <= JUDGED), inf)
            more = f"windows of {span_words(longer)} show it" if longer < inf else "as far as the reference reaches"
            yield f"{one.name} comes and goes too much to be judged in the spans that a stream has; {more}"


def metric_table(profile: Profile, monitoring: Monitoring) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
    """Return a header and a row for each metric: its fall without any change, in a window, a day and a week.

    Return no rows where these values are unknown.
    """
    usual = profile.usual
    if usual is None or not usual.metrics:
        return (), ()
    longest = usual.spans[-1]
    window = monitoring.windows.pane * monitoring.windows.panes
    spans = [span for span in sorted({window, DAY, WEEK}) if span <= longest] or [longest]
    known = effects_of(usual)
    rows = [(one.name, *(f"{known.drop(one.name, span):.1%}" for span in spans)) for one in usual.metrics]
    return ("metric", *(f"in {span_words(span)}" for span in spans)), rows


def span_words(seconds: float | None) -> str:
    """Return a span in the largest unit of which it has at least one; empty for None."""
    if seconds is None:
        return ""
    for unit, word in ((DAY, "d"), (3600.0, "h"), (60.0, "min")):
        if seconds >= unit:
            return f"{seconds / unit:.3g} {word}"
    return f"{seconds:g} s"
