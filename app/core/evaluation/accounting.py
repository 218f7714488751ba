"""Text about the rows that a window's metrics leave out: unknown labels, and rows that are not judged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

NAMED = 3
"""Maximum number of labels that are named; the rest is counted."""
LONGEST = 60


class PerformanceLike(Protocol):
    """A decision or a report on performance."""

    @property
    def feedback(self) -> int: ...
    @property
    def unknown_actuals(self) -> Mapping[str, int]: ...
    @property
    def unknown_predictions(self) -> Mapping[str, int]: ...
    @property
    def not_judged(self) -> Mapping[str, int]: ...


def accounting_of(found: PerformanceLike) -> Iterator[str]:
    """Yield the facts that a reader needs with the metrics, one per line, without a full stop."""
    yield from _unknown(found.unknown_actuals, found.feedback, "the truth")
    yield from _unknown(found.unknown_predictions, found.feedback, "the predictions with truth")
    left = sum(found.not_judged.values())
    if left:
        reasons = counted(found.not_judged)
        yield f"{left:,} of {found.feedback:,} rows with truth enter no metric: {reasons}"


def _unknown(labels: Mapping[str, int], rows: int, whose: str) -> Iterator[str]:
    """Yield lines about the most frequent labels that the reference does not have, with their share of the rows."""
    ordered = sorted(labels.items(), key=lambda item: (-item[1], item[0]))
    for label, count in ordered[:NAMED]:
        shown = label if len(label) <= LONGEST else f"{label[:LONGEST]}…"
        yield f"{_share(count, rows)} of {whose} is `{shown}`, which the reference does not have"
    rest = ordered[NAMED:]
    if rest:
        count = sum(count for _, count in rest)
        yield f"{_share(count, rows)} of {whose} is one of {len(rest):,} other labels that the reference does not have"


def counted(reasons: Mapping[str, int], most: int = 8, what: str = "reasons") -> str:
    """Return the rows by reason as text, the most frequent first: `missing prediction 12, unreadable truth 3`."""
    ordered = sorted(((name, n) for name, n in reasons.items() if n), key=lambda item: (-item[1], item[0]))
    more = f" and {len(ordered) - most} other {what}" if len(ordered) > most else ""
    return ", ".join(f"{name} {n:,}" for name, n in ordered[:most]) + more


def mostly_left_out(found: PerformanceLike) -> bool:
    """Return whether most of the rows with truth enter no metric."""
    return 2 * sum(found.not_judged.values()) > found.feedback


def _share(count: int, rows: int) -> str:
    """Return a share in whole percent. A share that is neither 0 nor 1 is not shown as 0 % or 100 %."""
    if not rows:
        return f"{count:,}"
    share = count / rows
    if share < 0.005:
        return "less than 1 %"
    return "more than 99 %" if 0.995 <= share < 1.0 else f"{share:.0%}".replace("%", " %")
