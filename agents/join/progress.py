"""How far a source partition of the join has come with each model, where that is new."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from agents.join.pane_events import progress_of
from agents.join.partition import JoinPartition
from app.core.join.state import MICROSECONDS, NEVER
from topics.events import PaneEvent

LEFT_OUT_SECONDS = 2.0
"""How often at most all models hear what has changed of the partition's feedback without a prediction."""
FEEDBACK_WAIT_SECONDS = 5.0
"""Feedback that has brought nothing for so long is waited for no longer, whatever its log promises."""


def progress_news(
    partition: int, source: JoinPartition, now: float, *, fed_to_end: bool, is_registered: Callable[[int], bool]
) -> list[PaneEvent]:
    """What is new of each registered model's progress, and of no other's. Idle, its time goes on by the wall clock.

    A model's time is held until feedback is read to where predictions are, so that windows are closed with the truth
    that was there by then. `fed_to_end`: whether feedback is read to its end.
    """
    held = source.held
    if fed_to_end or now - source.fed_at >= FEEDBACK_WAIT_SECONDS:
        held.release()
    revision, state = source.revision(), source.state
    left_out = (len(state.waiting), state.expired_feedback)
    if left_out != source.left_out and now - source.left_out_at >= LEFT_OUT_SECONDS:
        source.left_out, source.left_out_at = left_out, now
        source.told.clear()
    events: list[PaneEvent] = []
    for number, tally in state.tallies.items():
        reached = held.of(number)
        if reached == NEVER:
            continue
        watched = state.watched[number]
        silent = now - source.arrived.setdefault(number, now)
        idle = silent >= watched.windows.idle_after and source.caught_up[0] and not held.any
        event_time = reached + (round(silent * MICROSECONDS) if idle else 0)
        moment = event_time // watched.pane if idle else event_time
        told = source.told.get(number)
        changed = told is None or told[0] != moment or told[1] != idle or told[2] != tally
        if changed and is_registered(number):
            source.told[number] = (moment, idle, replace(tally))
            events.append(
                progress_of(
                    watched, tally, partition, revision, event_time,
                    idle=idle, waiting=left_out[0], expired_feedback=left_out[1],
                )
            )  # fmt: skip
    return events
