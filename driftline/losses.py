"""What was not delivered, and how that is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["invalid", "full", "rejected", "given up", "closed"]
"""Invalid: it could never be sent. Full: the buffer was. Rejected: by the API. Given up: the API
took no events until it was too old. Closed: the client was."""


@dataclass(frozen=True, slots=True)
class Loss:
    """One event that will not arrive. `path` is `/predictions`, `/feedback` or `/alerts`.

    `prediction_id` is of an alert its `dedupe_key`. `reason` holds no feature values.
    """

    path: str
    prediction_id: str
    kind: Kind
    reason: str


@dataclass(frozen=True, slots=True)
class Stats:
    """Totals since the client was made. `logged` is the sum of `sent`, `lost` and `buffered`.

    `unregistered`: of what was sent, events of model versions that are not registered. They are not counted, but set
    aside as dead letters, until somebody registers them and sends them again. `left_out`: values that could not be
    sent, by field ("features.age"); their events were sent without them. `held_by_ended`: events that other processes
    of this user, which sent to the same URL from this machine, held when they were killed, as far as this client has
    found them. They are in none of the other counts.
    """

    logged: int
    sent: int
    lost: int
    buffered: int
    retries: int
    lost_by_kind: dict[Kind, int]
    unregistered: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    held_by_ended: int = 0


class InvalidEvent(ValueError):
    """An event that no API would take; starts with the field."""


class Undelivered(Exception):
    """Events were lost, and the client was made to say so (`raises=True`)."""

    def __init__(self, lost: int, last: Loss | None) -> None:
        why = "" if last is None else f"; the last one: {last.reason}"
        super().__init__(f"{lost:,} events were not delivered{why}")
        self.lost, self.last = lost, last


class PredictFailed(Exception):
    """No prediction was had, and the client was made to say so. `status`: the API's, None where there was no answer."""

    def __init__(self, reason: str, status: int | None) -> None:
        super().__init__(reason)
        self.status = status
