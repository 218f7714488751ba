"""The client: events are logged at once and sent in batches by a thread of its own."""

from __future__ import annotations

import atexit
import contextlib
import os
import time
import weakref
from collections.abc import Callable
from datetime import datetime
from itertools import count
from random import Random
from time import time_ns
from types import TracebackType
from typing import Any, Self
from uuid import UUID

from driftline import exits
from driftline.account import LOGGED, Account
from driftline.alerts import ALERTS, alert_of
from driftline.buffer import ID, PATH, Buffer
from driftline.encoding import NO_PREDICTION, dated, encoded, name_text, why
from driftline.http import Http, api_url, authorization, pause_before, post
from driftline.ledger import Ledger
from driftline.losses import InvalidEvent, Loss, PredictFailed, Stats, Undelivered
from driftline.rows import mapped
from driftline.sender import UNSENT, Sender
from driftline.snapshot import SETTLED, snapshot, weight
from driftline.thread import SendingThread
from driftline.warning import warn

PREDICTIONS, FEEDBACK = "/predictions", "/feedback"
MAPPINGS = frozenset({"features", "probability", "metadata"})
DAY = 86_400.0
Number = Any
"""A number, text, bool, date or time; numpy's scalars too."""
Row = Any
"""Numbers by name: a mapping, a Series, or a frame of one row."""
Id = str | int | UUID
"""A text; whole numbers and UUIDs become their digits."""


class Client:
    """Client that sends a model's predictions and their ground truth. Thread-safe, and usable after a fork.

    `log`, `feedback` and `send_alert` return within microseconds and never raise, unless `raises` is set. They keep a
    copy of the event in memory, at most `buffer_events` of them and about `buffer_bytes`. The sending thread encodes
    events and sends them in batches of `batch_size`, or after `flush_seconds`. While the API is unavailable, events are
    kept and sent again until they are `retry_seconds` old. Losses are counted in `stats`, passed to `on_loss` (mostly
    in the sending thread) and logged now and then; the total is logged when the client is closed. With `raises` events
    are encoded in the caller's thread, so that an event that cannot be sent raises InvalidEvent. `flush` and `close`
    then raise Undelivered where events were lost since the last call.
    """

    def __init__(  # noqa: PLR0913 (each stands for itself, by name)
        self,
        url: str | None = None,
        *,
        model: str = "",
        model_version: str = "",
        api_key: str | None = None,
        batch_size: int = 500,
        flush_seconds: float = 1.0,
        buffer_events: int = 10_000,
        buffer_bytes: int = 32 << 20,
        timeout: float = 10.0,
        retry_seconds: float = DAY,
        raises: bool = False,
        on_loss: Callable[[Loss], None] | None = None,
    ) -> None:
        """Without `url` DRIFTLINE_API_URL is used, else the API on this machine; without `api_key` DRIFTLINE_API_KEY.

        Durations are in seconds; `timeout` is the limit of a request.
        """
        self._headers = {"content-type": "application/json", **authorization(api_key)}
        self._url, self._model, self._version = url or api_url(), model, model_version
        self._bounds = (buffer_events, buffer_bytes, batch_size, flush_seconds)
        self._timeout, self._retry_seconds = timeout, retry_seconds
        self._raises, self._on_loss = raises, on_loss
        self._begin()
        self._http.connect()
        _clients.add(self)

    def _begin_in_child(self) -> None:
        """Start again after a fork; the parent sends the events logged before it."""
        self._buffer.counts = [0, 0]
        self._account.leave()
        self._begin()

    def _begin(self) -> None:
        """Start without events."""
        # An id is the time in ns and a number that rises from 63 random bits. The system's random source would release
        # the interpreter to another thread, and the caller would wait. The time makes ids of copies of a frozen machine
        # different.
        self._serial = count(Random().getrandbits(63))
        self._ledger = Ledger(self._on_loss)
        self._http = Http(self._url, self._headers)
        self._account = Account(self._url)
        self._buffer = Buffer(*self._bounds)
        self._sender = Sender(self._http, self._buffer, self._timeout, self._retry_seconds, self._ledger)
        self._thread = SendingThread(self._sender, self._buffer, self._account, inbox=not self._raises)

    def log(
        self,
        features: Row,
        prediction: Number = NO_PREDICTION,
        *,
        prediction_id: Id | None = None,
        probability: Number | Row | None = None,
        timestamp: datetime | float | None = None,
        model: str | None = None,
        model_version: str | None = None,
        metadata: Row | None = None,
    ) -> str:
        """Log a prediction made elsewhere.

        Returns its id, which `feedback` needs. Without a `timestamp` the time is now. Without a prediction only the
        features are monitored. Values may be numbers, texts, bools, dates and times. A value without a form in JSON is
        left out, and counted. The mappings are copied, so that the caller may change or reuse them.
        """
        # The usual event goes into the buffer's inbox at once, since the caller waits; any other goes through _log.
        at = time_ns()
        if prediction_id is None:
            event_id = hex(at << 64 | next(self._serial))[2:]  # noqa: FURB116 - an f-string takes twice the time
        else:
            event_id = prediction_id if type(prediction_id) is str else _named(prediction_id)
        if model is None:
            model = self._model
        version = self._version if model_version is None else model_version
        buffer = self._buffer
        inbox = buffer.inbox
        if len(inbox) < buffer.room and metadata is None and type(features) is dict:
            features = features.copy()
            if (
                SETTLED.issuperset(map(type, features.values()))
                and type(prediction) in SETTLED
                and type(probability) in SETTLED
                and (timestamp is None or type(timestamp) in SETTLED)
            ):
                given = (model, version, timestamp, features, prediction, probability)
                buffer.counts[LOGGED] += 1
                inbox.append((PREDICTIONS, event_id, given, 0, at))
                if len(inbox) == buffer.due:
                    buffer.wake()
                if not buffer.room:
                    self._lose_late()
                return event_id
        self._log(PREDICTIONS, event_id, at, {
            "prediction_id": event_id, "model": model, "model_version": version, "timestamp": timestamp,
            "features": features, "prediction": prediction, "probability": probability, "metadata": metadata,
        })  # fmt: skip
        return event_id

    def feedback(
        self,
        prediction_id: Id,
        actual: Number,
        *,
        timestamp: datetime | float | None = None,
        metadata: Row | None = None,
        model: str | None = None,
    ) -> None:
        """Log the ground truth of a prediction; a later one corrects an earlier one.

        With `model` the feedback is for that model only: keys for several models require it.
        """
        event: dict[str, object] = {"prediction_id": _named(prediction_id), "actual": actual, "metadata": metadata}
        if model is not None:
            event["model"] = model
        if timestamp is not None:
            event["timestamp"] = timestamp
        self._log(FEEDBACK, _named(prediction_id), time_ns(), event)

    def send_alert(  # noqa: PLR0913 (each stands for itself, by name)
        self,
        title: str,
        message: object = "",
        level: str = "warning",
        metadata: Row | None = None,
        *,
        dedupe_key: Id | None = None,
        status: str = "firing",
        expires_after: float | None = None,
        model: str | None = None,
        model_version: str | None = None,
    ) -> str:
        """Send an alert of your own, which is grouped, routed, silenced and recorded as every other. Never raises.

        `level`: info, warning, error or critical. The alert is about the client's model, if any; with `model=""` it is
        about none. With a `dedupe_key` it is one alert however often it is sent. It fires until it is sent with the
        status "resolved", or for `expires_after` seconds. Without a key it ends after an hour. The alert waits with the
        events, and `stats` counts it with them. Returns its `dedupe_key`.
        """
        at = time_ns()
        key = f"{at << 64 | next(self._serial):x}" if dedupe_key is None else _named(dedupe_key)
        event = alert_of(
            _text(title), _text(message), level, metadata, key=key, named=dedupe_key is not None, status=status,
            expires_after=expires_after,
        )  # fmt: skip
        own = (self._model, self._version) if model is None else (model, "")
        of = {"model": own[0], "model_version": own[1] if model_version is None else model_version}
        event |= {name: value for name, value in of.items() if value}
        self._log(ALERTS, key, at, event)
        return key

    def refuse(self, reason: str, prediction_id: str = "") -> None:
        """Count a prediction that cannot be logged as lost, as `invalid`. With `raises` raises InvalidEvent."""
        self._buffer.refuse()
        self._ledger.lose([Loss(PREDICTIONS, prediction_id, "invalid", reason)])
        if self._raises:
            raise InvalidEvent(reason)

    def predict(
        self, features: Row, *, request_id: str | None = None, timeout: float | None = None
    ) -> dict[str, Any] | None:
        """Request a prediction of the API's model. Returns the response, or None without one within `timeout` seconds.

        The API counts a prediction under `prediction_id`, which is `request_id` where that is given. A repeated
        `request_id` is the same prediction. With `raises` it raises PredictFailed, or InvalidEvent.
        """
        until = time.monotonic() + (self._timeout if timeout is None else timeout)
        try:
            asked = f"{time_ns() << 64 | next(self._serial):x}" if request_id is None else request_id
            document = encoded({"features": mapped("features", features), "request_id": asked})
        except InvalidEvent as error:
            self._no_prediction(error)
            return None
        attempt = 0
        while True:
            answer = post(self._http, "/predict", document, max(0.001, until - time.monotonic()))
            if answer.sound:
                return answer.body
            pause = pause_before(attempt, answer)
            attempt += 1
            if not answer.again or time.monotonic() + pause >= until:
                self._no_prediction(PredictFailed(answer.reason, answer.status or None))
                return None
            time.sleep(pause)

    def flush(self, timeout: float = 30.0) -> bool:
        """Send all events now and wait. Return whether no event waits any more. With `raises` raises Undelivered.

        Where no thread can be started it does not wait: `close` sends the events then.
        """
        if not self._thread.runs and self._buffer.unfinished:
            self._thread.start(self._at_exit)
        finished = self._buffer.flush(timeout if self._thread.runs else 0.0)
        if self._raises:
            self._ledger.raise_losses()
        return finished

    def close(self, timeout: float = 5.0) -> Stats:
        """Send waiting events for at most `timeout` seconds; events that are left then are lost.

        Returns the final counts, in which each event is sent or lost, and logs the number of lost events. An event
        within a running request counts as lost, though it may arrive. With `raises` raises Undelivered.
        """
        exits.forget(self._at_exit)
        self._buffer.close(timeout)
        self._thread.finish(timeout)
        trouble = self._sender.trouble
        reason = f"{UNSENT}: {trouble}" if trouble else UNSENT
        left = [Loss(item[PATH], _text(item[ID]), "closed", reason) for item in self._buffer.abandon()]
        self._ledger.close(left, self._buffer.logged)
        self._buffer.counts = [0, 0]
        self._account.close()
        self._sender.look_for_ended()
        self._http.close()
        if self._raises:
            self._ledger.raise_losses()
        return self.stats

    @property
    def stats(self) -> Stats:
        """Return the numbers of events by their outcome."""
        lost = self._ledger.counts()
        return Stats(
            logged=self._buffer.logged, sent=self._sender.sent, lost=sum(lost.values()),
            buffered=self._buffer.unfinished, retries=self._sender.retries, lost_by_kind=lost,
            unregistered=self._sender.unregistered, left_out=self._ledger.left_out(),
            held_by_ended=self._sender.held_by_ended,
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.close(30.0)
        except Undelivered:
            if error is None:
                raise  # the caller's own error is more important

    def _log(self, path: str, event_id: str, at: int, event: dict[str, object]) -> None:
        """Put an event into the buffer, or count it as lost."""
        left_out: list[InvalidEvent] = []
        try:
            for field in MAPPINGS.intersection(event):
                event[field] = mapped(field, event[field])
            if not self._raises and snapshot(event):
                put = self._buffer.put((path, event_id, event, weight(event.values()), at))
            else:
                document = encoded(dated(event, at), None if self._raises else left_out)
                put = self._buffer.put((path, event_id, document, len(document), at))
        except Exception as error:
            self._buffer.refuse()
            self._ledger.lose([Loss(path, _text(event_id), "invalid", why(error))])
            if self._raises:
                raise
            return
        if left_out:
            self._ledger.leave_out(path, left_out)
        if put == "taken":
            if not self._thread.runs:
                self._thread.start(self._at_exit)
        elif put == "closed":
            self._ledger.lose([Loss(path, _text(event_id), "closed", "the client is closed")])
        else:
            reason = self._thread.unable or "the buffer is full: the API takes no events, or too slowly"
            self._ledger.lose([Loss(path, _text(event_id), "full", reason)])

    def _lose_late(self) -> None:
        """Count as lost the events that came into the inbox while the client was being closed."""
        if self._buffer.abandoned:
            late = self._buffer.abandon()
            self._ledger.lose([Loss(item[PATH], _text(item[ID]), "closed", "the client is closed") for item in late])

    def _at_exit(self) -> None:
        with contextlib.suppress(Exception):
            self.close()

    def _no_prediction(self, why: InvalidEvent | PredictFailed) -> None:
        if self._raises:
            raise why
        warn("/predict: %s", why)


def _named(given: Id) -> str:
    return name_text(given)  # type: ignore[return-value]  # what is no id is found out when it is encoded


def _text(value: object) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - an id may be any object
        return type(value).__name__


_clients: weakref.WeakSet[Client] = weakref.WeakSet()


def _after_fork() -> None:
    for client in list(_clients):
        client._begin_in_child()


def _look_at_exit() -> None:
    """Look for events of killed workers: a client that was never used may belong to their parent process."""
    for client in list(_clients):
        client._sender.look_for_ended()


atexit.register(_look_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
