"""How far a source partition of the join has come with each model, and what is new of that."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from agents.join.pane_events import progress_of
from app.core.join.event_time_gate import EventTimeGate
from app.core.join.state import MICROSECONDS, NEVER, JoinState, Tally
from topics.events import PaneEvent

LEFT_OUT_SECONDS = 2.0
"""How often at most all models hear what has changed of the partition's feedback without a prediction."""
FEEDBACK_WAIT_SECONDS = 5.0
"""Feedback that has brought nothing for so long is waited for no longer, whatever its log promises."""
AHEAD_SECONDS = 300.0
"""By how much the broker's clock may be ahead of this machine's."""


@dataclass(slots=True)
class JoinProgress:
    """How far one partition is read. Of the two topics predictions come first, then feedback.

    `caught_up`: whether each topic was read to its end. `recorded`: the broker's time of its newest record that was
    read, in microseconds. `fed_at`: when feedback came last. `held`: each model's event time, until feedback is read
    to where predictions are, so that windows are closed with the truth that was there by then.
    """

    held: EventTimeGate = field(default_factory=lambda: EventTimeGate({}))
    caught_up: list[bool] = field(default_factory=lambda: [False, False])
    recorded: list[int] = field(default_factory=lambda: [NEVER, NEVER])
    fed_at: float = 0.0
    arrived: dict[int, float] = field(default_factory=dict)
    _published: dict[int, tuple[int, bool, Tally]] = field(default_factory=dict)
    _left_out: tuple[int, int] = (0, 0)
    _left_out_at: float = 0.0

    def note_arrival(self, models: Iterable[int], now: float) -> None:
        """Note that predictions, or heartbeats, of these models have come."""
        self.arrived.update(dict.fromkeys(models, now))

    def note_read(self, topic: int, timestamp: int) -> None:
        """Note that a topic, by its number, is read to a record that the broker took at `timestamp` (milliseconds)."""
        self.recorded[topic] = max(self.recorded[topic], timestamp * 1000)

    def clock(self, now: float) -> int:
        """How far both topics have been read by the broker's time, in microseconds; NEVER while that is not known.

        No further than the clock of this machine (`now`, seconds since the epoch): one that is wrong must not do.
        """
        behind = [at for at, ended in zip(self.recorded, self.caught_up, strict=True) if not ended]
        return min([*(behind or [max(self.recorded)]), round((now + AHEAD_SECONDS) * MICROSECONDS)])

    def is_silent(self, state: JoinState, now: float) -> bool:
        """Whether the predictions are read to their end, and none has come for a while of any model."""
        silent = (
            now - self.arrived.get(number, now) >= state.watched[number].windows.idle_after for number in state.tallies
        )
        return self.caught_up[0] and all(silent)

    def news(
        self,
        partition: int,
        state: JoinState,
        revision: int,
        now: float,
        *,
        fed_to_end: bool,
        is_registered: Callable[[int], bool],
    ) -> list[PaneEvent]:
        """What is new of each registered model's progress, and of no other's. Idle, its time goes on by the wall clock.

        `fed_to_end`: whether feedback is read to its end.
        """
        held = self.held
        if fed_to_end or now - self.fed_at >= FEEDBACK_WAIT_SECONDS:
            held.release()
        left_out = (len(state.waiting), state.expired_feedback)
        if left_out != self._left_out and now - self._left_out_at >= LEFT_OUT_SECONDS:
            self._left_out, self._left_out_at = left_out, now
            self._published.clear()
        events: list[PaneEvent] = []
        for number, tally in state.tallies.items():
            reached = held.of(number)
            if reached == NEVER:
                continue
            watched = state.watched[number]
            silent = now - self.arrived.setdefault(number, now)
            idle = silent >= watched.windows.idle_after and self.caught_up[0] and not held.any
            event_time = reached + (round(silent * MICROSECONDS) if idle else 0)
            moment = event_time // watched.pane if idle else event_time
            known = self._published.get(number)
            changed = known is None or known[0] != moment or known[1] != idle or known[2] != tally
            if changed and is_registered(number):
                self._published[number] = (moment, idle, replace(tally))
                events.append(
                    progress_of(
                        watched, tally, partition, revision, event_time,
                        idle=idle, waiting=left_out[0], expired_feedback=left_out[1],
                    )
                )  # fmt: skip
        return events
