"""From verdicts to transitions: when an alert fires and when it is resolved. Pure, and the same on replay."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace as replace_verdict
from typing import Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from app.alerting.rules.model_rules import ESTIMATE, PERFORMANCE, Verdict, VerdictState
from app.core.config.monitoring import Rule
from topics.events import AlertStatus

TWICE = 2.0
"""A slow change that has fired fires again once it has grown by this factor."""
SPARE_WINDOWS = 8
"""Windows kept beyond those that a rule asks for, so that a report issued again finds its own."""


Stage = Literal["calm", "pending", "firing"]


class LatestVerdict(Struct, frozen=True, array_like=True):
    """One window's newest verdict. `sure`: a breach that fires at once; `since`: its change point."""

    window_end: float
    revision: int
    state: VerdictState
    severe: bool = False
    sure: bool = False
    since: float | None = None


class Transition(Struct, frozen=True, kw_only=True):
    """An alert's change. Times are ends of windows, in epoch seconds.

    `window_end`: the newest judged window then. `started_at`: the first breach of the row that fired it, or its change
    point; `ended_at`: the first clear window of the row that resolved it. `severe`: the alert is critical now; one that
    fired before says `firing` again. `repeat`: how many changes in a row have not been newer than the newest
    before them (late truth can turn the same window twice).
    """

    status: AlertStatus
    window_end: float
    started_at: float
    ended_at: float | None = None
    severe: bool = False
    repeat: int = 0


class RuleState(Struct, frozen=True, kw_only=True):
    """One rule's memory: the newest verdicts in window order, and the last change.

    `severe`: what fires has been told as critical. `newest_change`: the newest `window_end` of all changes. `slow`: the
    size of the slow change that last fired.
    """

    ring: tuple[LatestVerdict, ...] = ()
    firing: bool = False
    started_at: float | None = None
    severe: bool = False
    last: Transition | None = None
    newest_change: float | None = None
    slow: float | None = None


def ring_size(rule: Rule) -> int:
    """How many windows a rule remembers."""
    return max(rule.for_windows, rule.clear_windows, 1) + SPARE_WINDOWS


def stage_of(state: RuleState) -> Stage:
    """Where an alert stands. Pending: the newest judged window is a breach, and not yet enough of them in a row are."""
    if state.firing:
        return "firing"
    return "pending" if breached_since(state) else "calm"


def breached_since(state: RuleState) -> list[float]:
    """The ends of the windows that are breached in a row at the newest end, as far as they are remembered."""
    judged = [entry for entry in state.ring if entry.state != "insufficient"]
    return [entry.window_end for entry in _newest_row(judged, "breach")]


def step(
    state: RuleState, verdict: Verdict, window_end: float, revision: int, rule: Rule
) -> tuple[RuleState, Transition | None]:
    """Take one verdict: the state after it, and the change that it makes, if any.

    A higher revision replaces a window's verdict; a lower or equal one, and a window older than all that are
    remembered, change nothing. What is insufficient counts neither way. `off` resolves what fires, and forgets
    what was judged.
    """
    if verdict.state == "off":
        return _off(state, window_end)
    if _known_slow(state, verdict):
        verdict = replace_verdict(verdict, state="between", sure=False)
    entry = LatestVerdict(window_end, revision, verdict.state, verdict.severe, verdict.sure, verdict.since)
    ring = _placed(state.ring, entry, ring_size(rule))
    if ring is None:
        return state, None
    state = replace(state, ring=ring)
    transition = _transition(state, [entry for entry in ring if entry.state != "insufficient"], rule)
    if transition is None:
        return state, None
    if transition.status == "firing" and verdict.state == "breach":
        state = replace(state, slow=state.slow if verdict.slow is None else verdict.slow)
    return _changed(state, transition), transition


def _known_slow(state: RuleState, verdict: Verdict) -> bool:
    """Whether a breach is of a slow change that has fired before and has not doubled since."""
    if verdict.state != "breach" or verdict.slow is None or state.slow is None or state.firing:
        return False
    return verdict.slow < TWICE * state.slow


def _off(state: RuleState, window_end: float) -> tuple[RuleState, Transition | None]:
    """Nothing that was judged counts any more; revisions stay, so that what is read again changes nothing."""
    newest = max([window_end, *(entry.window_end for entry in state.ring)])
    if any(entry.state != "off" for entry in state.ring):
        state = replace(
            state, ring=tuple(LatestVerdict(entry.window_end, entry.revision, "off") for entry in state.ring)
        )
    if not state.firing:
        return state, None
    transition = _resolved(state, newest, newest)
    return _changed(state, transition), transition


def _changed(state: RuleState, transition: Transition) -> RuleState:
    known = transition.window_end if state.newest_change is None else state.newest_change
    firing = transition.status == "firing"
    return replace(
        state,
        firing=firing,
        started_at=transition.started_at if firing else None,
        severe=firing and transition.severe,
        last=transition,
        newest_change=max(transition.window_end, known),
    )


def _placed(ring: tuple[LatestVerdict, ...], entry: LatestVerdict, size: int) -> tuple[LatestVerdict, ...] | None:
    """The ring with the entry in its place; None where it changes nothing."""
    for i, known in enumerate(ring):
        if known.window_end == entry.window_end:
            return (*ring[:i], entry, *ring[i + 1 :])[-size:] if entry.revision > known.revision else None
    if entry.state == "insufficient":
        return None
    if len(ring) >= size and entry.window_end < ring[-size].window_end:
        return None
    return tuple(sorted((*ring, entry), key=lambda judged: judged.window_end))[-size:]


def _newest_row(judged: Sequence[LatestVerdict], wanted: VerdictState) -> Sequence[LatestVerdict]:
    """The unbroken row of one verdict at the newest end."""
    first = len(judged)
    while first and judged[first - 1].state == wanted:
        first -= 1
    return judged[first:]


def _transition(state: RuleState, judged: Sequence[LatestVerdict], rule: Rule) -> Transition | None:
    """What the newest row of verdicts turns, if anything."""
    wanted: VerdictState = "clear" if state.firing else "breach"
    row = _newest_row(judged, wanted)
    at_once = not state.firing and bool(row) and row[-1].sure
    if at_once or len(row) >= max(1, rule.clear_windows if state.firing else rule.for_windows):
        return _resolved(state, row[-1].window_end, row[0].window_end) if state.firing else _fired(state, row, rule)
    if state.firing and not state.severe and _severe(judged, rule):
        newest = judged[-1].window_end
        started = newest if state.started_at is None else state.started_at
        return Transition(
            status="firing", window_end=newest, started_at=started, severe=True, repeat=_repeat(state, newest)
        )
    return None


def _fired(state: RuleState, row: Sequence[LatestVerdict], rule: Rule) -> Transition:
    newest, first = row[-1].window_end, row[0].window_end
    if row[-1].sure and row[-1].since is not None:
        first = row[-1].since
    return Transition(
        status="firing", window_end=newest, started_at=first, severe=_severe(row, rule), repeat=_repeat(state, newest)
    )


def _resolved(state: RuleState, newest: float, first: float) -> Transition:
    started = first if state.started_at is None else state.started_at
    return Transition(
        status="resolved", window_end=newest, started_at=started, ended_at=max(first, started), severe=state.severe,
        repeat=_repeat(state, newest),
    )  # fmt: skip


def _severe(judged: Sequence[LatestVerdict], rule: Rule) -> bool:
    """Whether the newest windows, as many as it takes to fire, are all severe breaches."""
    row = judged[-max(1, rule.for_windows) :]
    return len(row) >= rule.for_windows and all(entry.state == "breach" and entry.severe for entry in row)


def _repeat(state: RuleState, newest: float) -> int:
    if state.last is not None and state.newest_change is not None and newest <= state.newest_change:
        return state.last.repeat + 1
    return 0


def labels_of(model: str, model_version: str, verdict: Verdict) -> dict[str, str]:
    """What names an alert, whatever it says."""
    labels = {"model": model, "model_version": model_version, "rule": verdict.rule, "subject": verdict.subject}
    return labels | {"metric": verdict.subject} if verdict.rule in (PERFORMANCE, ESTIMATE) else labels


def fingerprint_of(labels: Mapping[str, str]) -> str:
    """The alert's name: a hash of its labels (16 hex digits)."""
    return _hash(sorted(labels.items()))


def alert_id_of(fingerprint: str, transition: Transition) -> str:
    """The transition's name: the same whenever the same reports are read again (16 hex digits)."""
    return _hash([fingerprint, transition.status, transition.window_end, transition.repeat])


def _hash(parts: object) -> str:
    return hashlib.blake2b(msgspec.json.encode(parts), digest_size=8).hexdigest()
