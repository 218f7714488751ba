"""Verdict of a rule on one report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

VerdictState = Literal["breach", "clear", "between", "insufficient", "off"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Verdict of one rule on one window. `subject`: what the verdict is about, such as `features` or a feature's name.

    `between` neither fires nor resolves an alert. `insufficient` is not judged. `off` means that the rule does not
    apply, and resolves a firing alert. `value` and `threshold` decided the verdict; None where there was nothing to
    compare. `severe`: a breach that makes the alert critical, whatever its rule's level. `sure`: decided by the newest
    panes at a stated chance of error, so that a breach fires at once. `since`: the change point of such a breach, in
    epoch seconds. `slow`: size of a slow change (see `app.core.scales.slow`), None for a sudden change. A slow change
    does not fire again before it has doubled.
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
    """Return the verdict of a rule that no longer applies."""
    return Verdict(rule, subject, "off", evidence={"reason": reason})
