"""Losses: events that were not delivered, and the errors that report them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["invalid", "full", "rejected", "given up", "closed"]
"""Kind of a loss. Invalid: the event could never be sent. Full: the buffer was full. Rejected: the API rejected it.
Given up: the API accepted no events until the event was too old. Closed: the client was closed."""


@dataclass(frozen=True, slots=True)
class Loss:
    """One event that will not arrive. `path` is `/predictions`, `/feedback` or `/alerts`.

    For an alert, `prediction_id` is its `dedupe_key`. `reason` contains no feature values.
    """

    path: str
    prediction_id: str
    kind: Kind
    reason: str


@dataclass(frozen=True, slots=True)
class Stats:
    """Totals since the client was created. `logged` is the sum of `sent`, `lost` and `buffered`.

    `unregistered`: sent events of model versions that are not registered. Workers do not count them, but set them aside
    as dead letters, until the version is registered and they are sent again. `left_out`: values that could not be sent,
    by field ("features.age"); their events were sent without them. `held_by_ended`: events that other processes still
    had when they were killed, as far as this client has found them. These are processes of this user on this machine
    that sent to the same URL. Their events are in none of the other counts.
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
    """An event that no API would accept; the message starts with the field."""


class Undelivered(Exception):
    """Events were lost, and the client was created with `raises=True`."""

    def __init__(self, lost: int, last: Loss | None) -> None:
        why = "" if last is None else f"; the last one: {last.reason}"
        super().__init__(f"{lost:,} events were not delivered{why}")
        self.lost, self.last = lost, last


class PredictFailed(Exception):
    """No prediction, in a client with `raises=True`. `status`: the API's status, None where there was no response."""

    def __init__(self, reason: str, status: int | None) -> None:
        super().__init__(reason)
        self.status = status


class RegisterFailed(Exception):
    """A model version was not registered. `status`: the API's status, None where there was no response."""

    def __init__(self, reason: str, status: int | None = None) -> None:
        super().__init__(reason)
        self.status = status
