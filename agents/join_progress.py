"""How far a source partition of the join has come with each model, where that is new."""

from __future__ import annotations

from collections.abc import Callable

from agents.join_source import Source
from agents.pane_events import progress_of
from app.core.joining import MICROSECONDS, NEVER
from topics.events import PaneEvent

FEEDBACK_WAIT_SECONDS = 5.0
"""Feedback that has brought nothing for so long is waited for no longer, whatever its log promises."""


def progress_news(
    partition: int, source: Source, now: float, *, fed_to_end: bool, is_registered: Callable[[int], bool]
) -> list[PaneEvent]:
    """What is new of each registered model's progress. Idle, its time goes on at the pace of the wall clock.

    A model's time is held until feedback is read to where predictions are, so that windows are closed with the truth
    that was there by then. `fed_to_end`: whether feedback is read to its end.
    """
    held = source.held
    if fed_to_end or now - source.fed_at >= FEEDBACK_WAIT_SECONDS:
        held.release()
    revision = source.revision()
    events: list[PaneEvent] = []
    for number, tally in source.state.tallies.items():
        reached = held.of(number)
        if reached == NEVER or not is_registered(number):
            continue
        watched = source.state.watched[number]
        silent = now - source.arrived.setdefault(number, now)
        idle = silent >= watched.windows.idle_after and source.caught_up[0] and not held.any
        event_time = reached + (round(silent * MICROSECONDS) if idle else 0)
        news = (event_time // watched.pane if idle else event_time, idle, revision, tally.swept)
        if source.told.get(number) != news:
            source.told[number] = news
            state = source.state
            events.append(
                progress_of(
                    watched, tally, partition, revision, event_time,
                    idle=idle, waiting=len(state.waiting), expired_feedback=state.expired_feedback,
                )
            )  # fmt: skip
    return events
