"""From verdicts to transitions: when an alert fires and when it is resolved. Pure, and the same on replay."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from app.alerting.rules import Verdict, VerdictState
from app.core.config import Rule
from topics.events import AlertStatus

SPARE_WINDOWS = 8
"""Windows kept beyond those that a rule asks for, so that a report issued again finds its own."""


class Judged(Struct, frozen=True, array_like=True):
    """One window's newest verdict."""

    window_end: float
    revision: int
    state: VerdictState


class Transition(Struct, frozen=True, kw_only=True):
    """An alert's change. Times are ends of windows, in epoch seconds.

    `window_end`: the newest judged window then. `started_at`: the first breach of the row that fired it;
    `ended_at`: the first clear window of the row that resolved it. `repeat`: how many changes in a row have not
    been newer than the newest before them (late truth can turn the same window twice).
    """

    status: AlertStatus
    window_end: float
    started_at: float
    ended_at: float | None = None
    repeat: int = 0


class RuleState(Struct, frozen=True, kw_only=True):
    """One rule's memory: the newest verdicts in window order, and the last change.

    `newest_change`: the newest `window_end` of all changes.
    """

    ring: tuple[Judged, ...] = ()
    firing: bool = False
    started_at: float | None = None
    last: Transition | None = None
    newest_change: float | None = None


def ring_size(rule: Rule) -> int:
    """How many windows a rule remembers."""
    return max(rule.for_windows, rule.clear_windows, 1) + SPARE_WINDOWS


def step(
    state: RuleState, verdict: Verdict, window_end: float, revision: int, rule: Rule
) -> tuple[RuleState, Transition | None]:
    """Take one verdict: the state after it, and the change that it makes, if any.

    A higher revision replaces a window's verdict; a lower or equal one, and a window older than all that are
    remembered, change nothing. What is insufficient counts neither way.
    """
    ring = _placed(state.ring, Judged(window_end, revision, verdict.state), ring_size(rule))
    if ring is None:
        return state, None
    state = replace(state, ring=ring)
    judged = [entry for entry in ring if entry.state != "insufficient"]
    wanted: VerdictState = "clear" if state.firing else "breach"
    row = _newest_row(judged, wanted)
    if len(row) < max(1, rule.clear_windows if state.firing else rule.for_windows):
        return state, None
    transition = _transition(state, row)
    known = transition.window_end if state.newest_change is None else state.newest_change
    newest = max(transition.window_end, known)
    started_at = None if state.firing else transition.started_at
    return (
        replace(state, firing=not state.firing, started_at=started_at, last=transition, newest_change=newest),
        transition,
    )


def _placed(ring: tuple[Judged, ...], entry: Judged, size: int) -> tuple[Judged, ...] | None:
    """The ring with the entry in its place; None where it changes nothing."""
    for i, known in enumerate(ring):
        if known.window_end == entry.window_end:
            return (*ring[:i], entry, *ring[i + 1 :])[-size:] if entry.revision > known.revision else None
    if entry.state == "insufficient":
        return None
    if len(ring) >= size and entry.window_end < ring[-size].window_end:
        return None
    return tuple(sorted((*ring, entry), key=lambda judged: judged.window_end))[-size:]


def _newest_row(judged: Sequence[Judged], wanted: VerdictState) -> Sequence[Judged]:
    """The unbroken row of one verdict at the newest end."""
    first = len(judged)
    while first and judged[first - 1].state == wanted:
        first -= 1
    return judged[first:]


def _transition(state: RuleState, row: Sequence[Judged]) -> Transition:
    newest, first = row[-1].window_end, row[0].window_end
    repeat = 0
    if state.last is not None and state.newest_change is not None and newest <= state.newest_change:
        repeat = state.last.repeat + 1
    if not state.firing:
        return Transition(status="firing", window_end=newest, started_at=first, repeat=repeat)
    started = first if state.started_at is None else state.started_at
    return Transition(
        status="resolved", window_end=newest, started_at=started, ended_at=max(first, started), repeat=repeat
    )


def labels_of(model: str, model_version: str, verdict: Verdict) -> dict[str, str]:
    """What names an alert, whatever it says."""
    return {"model": model, "model_version": model_version, "rule": verdict.rule, "subject": verdict.subject}


def fingerprint_of(labels: Mapping[str, str]) -> str:
    """The alert's name: a hash of its labels (16 hex digits)."""
    return _hash(sorted(labels.items()))


def alert_id_of(fingerprint: str, transition: Transition) -> str:
    """The transition's name: the same whenever the same reports are read again (16 hex digits)."""
    return _hash([fingerprint, transition.status, transition.window_end, transition.repeat])


def _hash(parts: object) -> str:
    return hashlib.blake2b(msgspec.json.encode(parts), digest_size=8).hexdigest()
