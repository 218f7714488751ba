"""Progress of a source partition of the join with each model, and the changes to publish."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from agents.join.pane_events import progress_of
from app.core.join.event_time_gate import EventTimeGate
from app.core.join.state import MICROSECONDS, NEVER, JoinState, Tally
from topics.events import PaneEvent

LEFT_OUT_SECONDS = 2.0
"""Least seconds between two reports to all models on the partition's feedback without a prediction."""
FEEDBACK_WAIT_SECONDS = 5.0
"""Seconds without new feedback after which it is waited for no longer, whatever its log promises."""
AHEAD_SECONDS = 300.0
"""Seconds by which the broker's clock may be ahead of this machine's."""


@dataclass(slots=True)
class JoinProgress:
    """Progress of one partition. In pairs for the two topics, predictions come first.

    `caught_up`: whether each topic was read to its end. `recorded`: the broker's time of the newest record read of each
    topic, in microseconds. `fed_at`: when feedback came last.

    `held`: holds back each model's event time until feedback is read up to the same broker time. So windows are closed
    with the truth that existed by then.
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
        """Return the broker time up to which both topics are read, in microseconds; NEVER while it is unknown.

        The result is at most the clock of this machine (`now`, seconds since the epoch) and a tolerance, which guards
        against a wrong time.
        """
        behind = [at for at, ended in zip(self.recorded, self.caught_up, strict=True) if not ended]
        return min([*(behind or [max(self.recorded)]), round((now + AHEAD_SECONDS) * MICROSECONDS)])

    def is_silent(self, state: JoinState, now: float) -> bool:
        """Return whether the predictions are read to their end and none has come for a while, of any model."""
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
        """Return the changes of each registered model's progress. An idle model's time goes on by the wall clock.

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
