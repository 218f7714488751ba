"""Batches from the buffer to the API, until each event is taken or lost."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping

import httpx

from driftline.buffer import Buffer, Item
from driftline.http import Answer, pause_before, post
from driftline.losses import Kind, Loss

log = logging.getLogger("driftline")

Lose = Callable[[Loss], None]

UNSENT = "the client was closed before it could be sent"


class Sender:
    """Empties a buffer until it is closed, in a thread of its own. Counts are read by other threads."""

    def __init__(self, http: httpx.Client, buffer: Buffer, timeout: float, retry_seconds: float, lose: Lose) -> None:
        self._http, self._buffer, self._lose = http, buffer, lose
        self._timeout, self._retry_seconds = timeout, retry_seconds
        self.sent = self.retries = self.unregistered = 0

    def run(self) -> None:
        """Send batch after batch; what is left when the time after closing is over is lost."""
        while batch := self._buffer.take():
            try:
                self._deliver(batch)
            finally:
                self._buffer.done(batch)

    def _deliver(self, batch: list[Item]) -> None:
        document = b"[" + b",".join(item.document for item in batch) + b"]"
        started, attempt = time.monotonic(), 0
        while True:
            left = self._buffer.deadline - time.monotonic()
            if left <= 0:
                return self._all_lost(batch, "closed", UNSENT)
            answer = post(self._http, batch[0].path, document, min(self._timeout, left))
            if not answer.again:
                return self._settle(batch, answer)
            pause = pause_before(attempt, answer)
            attempt += 1
            if time.monotonic() + pause - started > self._retry_seconds:
                return self._all_lost(batch, "given up", answer.reason)
            if self._buffer.pause(pause) <= 0:
                return self._all_lost(batch, "closed", answer.reason)
            self.retries += 1

    def _settle(self, batch: list[Item], answer: Answer) -> None:
        """What the API has said of each; a batch that is too large goes in halves."""
        if answer.status == 413 and len(batch) > 1:
            middle = len(batch) // 2
            self._deliver(batch[:middle])
            self._deliver(batch[middle:])
            return
        self._note_unregistered(answer)
        rejected = _rejected(answer, len(batch))
        for index, item in enumerate(batch):
            if index in rejected or not answer.sound:
                self._lost(item, "rejected", rejected.get(index, answer.reason))
            else:
                self.sent += 1

    def _note_unregistered(self, answer: Answer) -> None:
        """Count what the API took and nobody watches; said once in the log."""
        count = answer.body.get("unregistered")
        if isinstance(count, int) and count > 0:
            if not self.unregistered:
                log.warning("%d events are of model versions that are not registered: driftline register", count)
            self.unregistered += count

    def _all_lost(self, batch: list[Item], kind: Kind, reason: str) -> None:
        for item in batch:
            self._lost(item, kind, reason)

    def _lost(self, item: Item, kind: Kind, reason: str) -> None:
        self._lose(Loss(item.path, item.prediction_id, kind, reason))


def _rejected(answer: Answer, given: int) -> Mapping[int, str]:
    """Why, of those that were not taken, by their position."""
    told = answer.body.get("rejected")
    if not isinstance(told, list):
        return {}
    return {
        one["index"]: str(one.get("error", ""))
        for one in told
        if isinstance(one, dict) and isinstance(one.get("index"), int) and 0 <= one["index"] < given
    }
