"""Checks whether a resent dead letter would be counted: by registrations, event time and later feedback."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from app.core.join.state import MICROSECONDS
from topics.events import FeedbackEvent, PaneEvent, PanePartial, to_epoch
from topics.inferences import Inference
from topics.partition import partitions_of
from topics.registry import FEEDBACK, PANES, PREDICTIONS

if TYPE_CHECKING:
    from app.commands.dead_letters.reader import KnownLetters
    from app.commands.dead_letters.resend import ReadyLetter
    from app.registration.models_table import ModelsTable
    from app.settings.settings import Settings

UNREGISTERED = "its model version is not registered (driftline register)"
LATE = "too late to be counted: older than windows.lateness allows by now (--late sends them all the same)"
AHEAD = "its timestamp is still ahead of the clock"
SUPERSEDED = "a later truth of the same prediction has come since"


@dataclass(slots=True)
class Counting:
    """Facts that decide whether a record would be counted. `partitions`: number of partitions of `predictions`.

    `reached`: lower bound of each model version's event time in each partition, in seconds.

    `newest`: for each key of the selected feedback, the broker time, partition and offset of the last valid record.
    """

    models: ModelsTable
    partitions: int
    reached: dict[tuple[str, str, int], float] = field(default_factory=dict)
    newest: dict[bytes, tuple[int, int, int]] = field(default_factory=dict)

    def obstacle(self, ready: ReadyLetter, *, now: float, late: bool) -> str:
        """Return the reason why a letter would not be counted; empty where it would be counted."""
        event = ready.event
        if isinstance(event, Inference):
            return ""
        if isinstance(event, FeedbackEvent):
            return SUPERSEDED if self._is_superseded(ready) else ""
        found = self.models.get(event.model, event.model_version)
        if found is None:
            return UNREGISTERED
        windows, at = found.monitoring.windows, to_epoch(event.timestamp)
        if at > now + windows.ahead:
            return AHEAD
        reached = self.reached.get((event.model, event.model_version, self._partition(ready)))
        pane = round(windows.pane * MICROSECONDS)
        ends = (round(at * MICROSECONDS) // pane + 1) * pane
        if not late and reached is not None and ends / MICROSECONDS + windows.most_late <= reached:
            return LATE
        return ""

    def _partition(self, ready: ReadyLetter) -> int:
        if ready.key is None:
            return ready.letter.origin[1] if ready.letter.origin else 0
        return int(partitions_of([ready.key], self.partitions)[0])

    def _is_superseded(self, ready: ReadyLetter) -> bool:
        origin, newest = ready.letter.origin, self.newest.get(ready.key or b"")
        if newest is None or origin is None:
            return False
        recorded, partition, offset = newest
        if partition == origin[1] and not ready.is_mapped:
            return offset > origin[2]
        return recorded > ready.letter.at.timestamp() * 1000


async def counting_of(settings: Settings, models: ModelsTable, known: KnownLetters) -> Counting:
    """Read panes and feedback, and return the facts that decide what is counted. Raises CommandError."""
    from app.commands.topic_reader import partitions_of_topic, records

    partitions = await partitions_of_topic(settings, PREDICTIONS.full_name(settings.prefix))
    counting = Counting(models, max(1, partitions))
    decoder: msgspec.json.Decoder[PaneEvent] = msgspec.json.Decoder(PaneEvent)
    async for record in records(settings, PANES.full_name(settings.prefix)):
        if record is None or not record.value:
            continue
        try:
            event = decoder.decode(record.value)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            continue
        at = _reached(event, models)
        if at is None:
            continue
        key = (event.model, event.model_version, event.partition)
        counting.reached[key] = max(counting.reached.get(key, at), at)
    if known.feedback_keys:
        name = FEEDBACK.full_name(settings.prefix)
        async for record in records(settings, name):
            if record is None or record.key not in known.feedback_keys:
                continue
            if (name, record.partition, record.offset) not in known.origins:
                counting.newest[record.key] = (record.timestamp, record.partition, record.offset)
    return counting


def _reached(event: PaneEvent, models: ModelsTable) -> float | None:
    """Return a lower bound of a partition's event time from one of its events; None where the event gives none."""
    if not isinstance(event, PanePartial):
        return None if event.idle else event.event_time  # an idle partition follows the wall clock: nothing gets late
    found = models.get(event.model, event.model_version)
    # A row is in the pane of its timestamp, which may be ahead of the broker's time; that bounds the event time.
    return None if found is None else event.pane_start - found.monitoring.windows.ahead
