"""Lifecycle of an alert: from verdicts to the transitions that fire and resolve it. Pure, and the same on replay."""

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
"""Factor by which a slow change that has fired must grow before it fires again."""
SPARE_WINDOWS = 8
"""Windows kept in addition to those that a rule needs, so that a report issued again finds its own window."""


Stage = Literal["calm", "pending", "firing"]


class LatestVerdict(Struct, frozen=True, array_like=True):
    """The newest verdict on one window. `sure`: a breach that fires at once; `since`: its change point, in epoch
    seconds.
    """

    window_end: float
    revision: int
    state: VerdictState
    severe: bool = False
    sure: bool = False
    since: float | None = None


class Transition(Struct, frozen=True, kw_only=True):
    """A change of an alert. Times are ends of windows, in epoch seconds.

    `window_end`: the newest judged window at that time. `started_at`: the first breach of the row that fired the alert,
    or its change point. `ended_at`: the first clear window of the row that resolved the alert. `severe`: the alert is
    critical now; an alert that fired before gets a second `firing` transition. `repeat`: number of successive changes
    that are not newer than the newest change before them. Late truth can change the same window twice.
    """

    status: AlertStatus
    window_end: float
    started_at: float
    ended_at: float | None = None
    severe: bool = False
    repeat: int = 0


class RuleState(Struct, frozen=True, kw_only=True):
    """State of one rule: the newest verdicts in window order, and the last transition.

    `severe`: the firing alert was published as critical. `newest_change`: the newest `window_end` of all transitions.
    `slow`: size of the slow change that fired last.
    """

    ring: tuple[LatestVerdict, ...] = ()
    firing: bool = False
    started_at: float | None = None
    severe: bool = False
    last: Transition | None = None
    newest_change: float | None = None
    slow: float | None = None


def ring_size(rule: Rule) -> int:
    """Return the number of windows that a rule keeps."""
    return max(rule.for_windows, rule.clear_windows, 1) + SPARE_WINDOWS


def stage_of(state: RuleState) -> Stage:
    """Return the stage of an alert. Pending: the newest judged window is a breach, but too few in a row are."""
    if state.firing:
        return "firing"
    return "pending" if breached_since(state) else "calm"


def breached_since(state: RuleState) -> list[float]:
    """Return the ends of the newest consecutive breached windows in epoch seconds, as far as they are kept."""
    judged = [entry for entry in state.ring if entry.state != "insufficient"]
    return [entry.window_end for entry in _newest_row(judged, "breach")]


def step(
    state: RuleState, verdict: Verdict, window_end: float, revision: int, rule: Rule
) -> tuple[RuleState, Transition | None]:
    """Apply one verdict. Return the new state, and the transition that the verdict causes, if any.

    A higher revision replaces a window's verdict. A lower or equal revision changes nothing, nor does a window older
    than all that are kept. An insufficient verdict counts neither way. `off` resolves a firing alert and discards the
    earlier verdicts.
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
    """Return whether a breach belongs to a slow change that has fired before and has not doubled since."""
    if verdict.state != "breach" or verdict.slow is None or state.slow is None or state.firing:
        return False
    return verdict.slow < TWICE * state.slow


def _off(state: RuleState, window_end: float) -> tuple[RuleState, Transition | None]:
    """Discard all verdicts and resolve a firing alert. Revisions are kept, so that a report read again changes
    nothing.
    """
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
    """Return the ring with the entry in its place; None where the entry changes nothing."""
    for i, known in enumerate(ring):
        if known.window_end == entry.window_end:
            return (*ring[:i], entry, *ring[i + 1 :])[-size:] if entry.revision > known.revision else None
    if entry.state == "insufficient":
        return None
    if len(ring) >= size and entry.window_end < ring[-size].window_end:
        return None
    return tuple(sorted((*ring, entry), key=lambda judged: judged.window_end))[-size:]


def _newest_row(judged: Sequence[LatestVerdict], wanted: VerdictState) -> Sequence[LatestVerdict]:
    """Return the unbroken row of the wanted verdict at the newest end."""
    first = len(judged)
    while first and judged[first - 1].state == wanted:
        first -= 1
    return judged[first:]


def _transition(state: RuleState, judged: Sequence[LatestVerdict], rule: Rule) -> Transition | None:
    """Return the transition that the newest row of verdicts causes, if any."""
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
    """Return whether the newest windows, as many as needed to fire, are all severe breaches."""
    row = judged[-max(1, rule.for_windows) :]
    return len(row) >= rule.for_windows and all(entry.state == "breach" and entry.severe for entry in row)


def _repeat(state: RuleState, newest: float) -> int:
    if state.last is not None and state.newest_change is not None and newest <= state.newest_change:
        return state.last.repeat + 1
    return 0


def labels_of(model: str, model_version: str, verdict: Verdict) -> dict[str, str]:
    """Return the labels that identify an alert, independent of its content."""
    labels = {"model": model, "model_version": model_version, "rule": verdict.rule, "subject": verdict.subject}
    return labels | {"metric": verdict.subject} if verdict.rule in (PERFORMANCE, ESTIMATE) else labels


def fingerprint_of(labels: Mapping[str, str]) -> str:
    """Return the fingerprint of an alert: a hash of its labels, 16 hex digits."""
    return _hash(sorted(labels.items()))


def alert_id_of(fingerprint: str, transition: Transition) -> str:
    """Return the id of a transition, 16 hex digits: the same whenever the same reports are read again."""
    return _hash([fingerprint, transition.status, transition.window_end, transition.repeat])


def _hash(parts: object) -> str:
    return hashlib.blake2b(msgspec.json.encode(parts), digest_size=8).hexdigest()
