"""Batches of the buffer's events to the API, until each event is accepted or lost."""

from __future__ import annotations

import time
from collections.abc import Mapping

from driftline.account import ended
from driftline.alerts import ALERTS
from driftline.buffer import AT, EVENT, ID, MEMBERS, PATH, Buffer, Item
from driftline.encoding import dated, encoded, why
from driftline.http import Answer, Http, pause_before, post
from driftline.ledger import Ledger
from driftline.losses import InvalidEvent, Kind, Loss
from driftline.outage import Outage
from driftline.warning import warn

UNSENT = "the client was closed before it could be sent"
BATCH_BYTES = 4 << 20
LOOK_SECONDS = 60.0
"""Seconds between two searches for killed processes."""
EVENTS_AT_ONCE, REST_SECONDS = 25, 0.0001
"""Number of events that are encoded before other threads get a turn; else they would wait for the interpreter."""


class Sender:
    """Sender of a buffer's events until it is closed, in a thread of its own. Other threads read the counts."""

    def __init__(self, http: Http, buffer: Buffer, timeout: float, retry_seconds: float, ledger: Ledger) -> None:
        self._http, self._buffer, self._ledger = http, buffer, ledger
        self._timeout, self._retry_seconds = timeout, retry_seconds
        self._outage = Outage(http.url)
        self.sent = self.retries = self.unregistered = self.held_by_ended = 0
        self._next_look = 0.0

    def run(self) -> None:
        """Send batch after batch until the buffer is closed and empty, or its deadline has passed."""
        while batch := self._buffer.take():
            if time.monotonic() >= self._next_look:
                self.look_for_ended()
            for part in _parts(self._encoded(batch)):
                self._deliver(part)
            if self._buffer.deadline <= time.monotonic():
                return  # closing counts the events that are left

    def look_for_ended(self) -> None:
        """Count and log events of killed processes. Never raises."""
        self._next_look = time.monotonic() + LOOK_SECONDS
        for pid, events in ended(self._http.url):  # logged before the next step, which deletes its file
            self.held_by_ended += events
            warn(
                "process %d ended without closing its client: %d of its events were lost, or never confirmed",
                pid,
                events,
            )

    @property
    def trouble(self) -> str:
        """Return why the API accepts no events at present; empty where it does."""
        return self._outage.reason

    def _encoded(self, batch: list[Item]) -> list[tuple[Item, bytes]]:
        """Return the batch as JSON; events that cannot be encoded are lost."""
        found: list[tuple[Item, bytes]] = []
        for i, item in enumerate(batch, 1):
            if i % EVENTS_AT_ONCE == 0:
                time.sleep(REST_SECONDS)
            try:
                found.append((item, self._document(item)))
            except Exception as error:  # noqa: BLE001 - a value's own methods may raise anything
                self._lost([item], "invalid", why(error))
        return found

    def _document(self, item: Item) -> bytes:
        """Encode an event, unless it is JSON already. Raises InvalidEvent, and the errors of a value's own methods."""
        event = item[EVENT]
        if isinstance(event, bytes):
            return event
        if isinstance(event, tuple):
            event = {"prediction_id": item[ID], **dict(zip(MEMBERS, event, strict=True))}
        left_out: list[InvalidEvent] = []
        document = encoded(dated(event, item[AT]), left_out)
        if left_out:
            self._ledger.leave_out(item[PATH], left_out)
        return document

    def _deliver(self, part: list[tuple[Item, bytes]]) -> None:
        attempt = 0
        while part:
            left = self._buffer.deadline - time.monotonic()
            if left <= 0:
                return
            answer = post(self._http, part[0][0][PATH], _body(part), min(self._timeout, left))
            if not answer.kept:
                self._outage.over(self._buffer.unfinished)
                self._settle(part, answer)
                return
            pause = pause_before(attempt, answer)
            attempt += 1
            self._outage.failed(answer.reason, attempt, pause, self._buffer.unfinished)
            if self._buffer.pause(pause) <= 0:
                return
            part = self._young(part, answer.reason)
            self.retries += bool(part)

    def _young(self, part: list[tuple[Item, bytes]], reason: str) -> list[tuple[Item, bytes]]:
        """Return the events that may be tried again; older ones are given up."""
        oldest = time.time_ns() - self._retry_seconds * 1e9
        old = [item for item, _ in part if item[AT] <= oldest]
        if not old:
            return part
        self._lost(old, "given up", reason)
        return [one for one in part if one[0][AT] > oldest]

    def _settle(self, part: list[tuple[Item, bytes]], answer: Answer) -> None:
        """Count the API's result for each event; a batch that is too large is sent in halves."""
        if answer.status == 413 and len(part) > 1:
            middle = len(part) // 2
            self._deliver(part[:middle])
            self._deliver(part[middle:])
            return
        self._note_unregistered(answer)
        rejected = _rejected(answer, len(part))
        sent: list[Item] = []
        for index, (item, _) in enumerate(part):
            if index in rejected or not answer.sound:
                self._lost([item], "rejected", rejected.get(index, answer.reason))
            else:
                sent.append(item)
        if self._buffer.claim(sent):
            self.sent += len(sent)
            self._buffer.done(sent)

    def _note_unregistered(self, answer: Answer) -> None:
        """Count accepted events of unregistered model versions; log them once."""
        count = answer.body.get("unregistered")
        if isinstance(count, int) and count > 0:
            if not self.unregistered:
                lines = answer.body.get("warnings")
                named = f" ({lines[0]})" if isinstance(lines, list) and lines else ""
                warn("%d events are of model versions that are not registered: driftline register%s", count, named)
            self.unregistered += count

    def _lost(self, items: list[Item], kind: Kind, reason: str) -> None:
        if self._buffer.claim(items):
            self._ledger.lose([Loss(item[PATH], item[ID], kind, reason) for item in items])
            self._buffer.done(items)


def _parts(batch: list[tuple[Item, bytes]]) -> list[list[tuple[Item, bytes]]]:
    """Return the batch in parts of at most BATCH_BYTES, or of one event; each alert is a request of its own."""
    parts: list[list[tuple[Item, bytes]]] = []
    size = BATCH_BYTES
    for one in batch:
        size += len(one[1]) + 1
        if size > BATCH_BYTES or one[0][PATH] == ALERTS:
            parts.append([])
            size = len(one[1]) + 1
        parts[-1].append(one)
    return parts


def _body(part: list[tuple[Item, bytes]]) -> bytes:
    """Return the events of a part as a list; an alert by itself."""
    if part[0][0][PATH] == ALERTS:
        return part[0][1]
    return b"[" + b",".join([document for _, document in part]) + b"]"


def _rejected(answer: Answer, given: int) -> Mapping[int, str]:
    """Return the reasons of rejected events, by their position."""
    told = answer.body.get("rejected")
    if not isinstance(told, list):
        return {}
    return {
        one["index"]: str(one.get("error", ""))
        for one in told
        if isinstance(one, dict) and isinstance(one.get("index"), int) and 0 <= one["index"] < given
    }
