"""What a rule says of one report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

VerdictState = Literal["breach", "clear", "between", "insufficient", "off"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """One rule on one window. `subject` is what of the model it speaks of (`features`, a feature's name).

    `between` neither fires nor resolves, `insufficient` is not judged at all, `off` is not wanted: what fires is
    resolved. `value` and `threshold` are the ones that decided, None where there was nothing to compare. `severe`:
    a breach that makes the alert critical, whatever its rule's level. `sure`: decided by the newest panes at a stated
    chance of error, so that a breach fires at once; `since`: the change point then, in epoch seconds. `slow`: the
    size of a slow change (see `app.core.scales.slow`), None of a sudden one: it does not fire again before that has
    doubled.
    """

    rule: str
    subject: str
    state: VerdictState
    value: float | None = None
    threshold: float | None = None
    evidence: Mapping[str, object] = field(default_factory=dict)
    severe: bool = False
    sure: bool = False
    since: float | None = None
    slow: float | None = None


def off(rule: str, subject: str, reason: str) -> Verdict:
    """The verdict of a rule that nobody asks for any more."""
    return Verdict(rule, subject, "off", evidence={"reason": reason})
