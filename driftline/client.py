"""The client: events are logged at once and sent in batches behind the caller's back."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from datetime import datetime
from random import Random
from time import time_ns
from types import TracebackType
from typing import Any, Self

import httpx

from driftline.buffer import ID, PATH, Buffer
from driftline.encoding import NO_PREDICTION, dated, encoded, why
from driftline.http import pause_before, post
from driftline.ledger import Ledger
from driftline.losses import InvalidEvent, Loss, PredictFailed, Stats, Undelivered
from driftline.sender import UNSENT, Sender
from driftline.snapshot import SETTLED, snapshot, weight

log = logging.getLogger("driftline")

PREDICTIONS, FEEDBACK = "/predictions", "/feedback"
DAY = 86_400.0
Number = Any
"""A number, text or bool; numpy's scalars too."""


class Client:
    """Sends a model's predictions and their truth. Safe to share between threads, and usable after a fork.

    `log` and `feedback` return within microseconds and never raise, whatever becomes of the event: a copy of it waits
    in memory, at most `buffer_events` and about `buffer_bytes` of them, is encoded in the sending thread, and goes in
    batches of `batch_size`, or after `flush_seconds`. While the API is away, events are kept and sent again until they
    are `retry_seconds` old. What is lost is counted in `stats`, passed to `on_loss` (mostly in the sending thread) and
    written to the log now and then, in all when the client is closed. With `raises` events are encoded in the caller's
    thread, so that what cannot be sent raises InvalidEvent, and `flush` and `close` raise Undelivered where anything
    was lost since the last of them.
    """

    def __init__(  # noqa: PLR0913 (each stands for itself, by name)
        self,
        url: str = "http://127.0.0.1:8700",
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
        """Without `api_key` DRIFTLINE_API_KEY is taken. Durations are in seconds; `timeout` is that of a request."""
        key = os.environ.get("DRIFTLINE_API_KEY") if api_key is None else api_key
        self._headers = {"content-type": "application/json", **({"authorization": f"Bearer {key}"} if key else {})}
        self._url, self._model, self._version = url, model, model_version
        self._bounds = (buffer_events, buffer_bytes, batch_size, flush_seconds)
        self._timeout, self._retry_seconds = timeout, retry_seconds
        self._raises, self._on_loss = raises, on_loss
        self._begin()
        _clients.add(self)

    def _begin(self) -> None:
        """Begin with nothing: when made, and in the child after a fork, whose parent sends what there was."""
        self._starting = threading.Lock()
        self._bits = Random().getrandbits
        self._ledger = Ledger(self._on_loss)
        self._http = httpx.Client(base_url=self._url, headers=self._headers, timeout=self._timeout)
        self._buffer = Buffer(*self._bounds)
        self._sender = Sender(self._http, self._buffer, self._timeout, self._retry_seconds, self._ledger.lose)
        self._thread: threading.Thread | None = None

    def log(
        self,
        features: Mapping[str, Number],
        prediction: Number = NO_PREDICTION,
        *,
        prediction_id: str | None = None,
        probability: Number | Mapping[str, Number] | None = None,
        timestamp: datetime | float | None = None,
        model: str | None = None,
        model_version: str | None = None,
        metadata: Mapping[str, Number] | None = None,
    ) -> str:
        """Log a prediction made elsewhere.

        Returns its id, which `feedback` needs. Without a `timestamp` it is now. Without a prediction the features alone
        are watched. Values may be numbers, texts, bools and times; the mappings are copied, so that they may be changed
        or used again.
        """
        # The usual event goes into the buffer's inbox at once, since the caller waits; any other goes through _log.
        at = time_ns()
        event_id = self._id(at) if prediction_id is None else prediction_id
        model = self._model if model is None else model
        version = self._version if model_version is None else model_version
        buffer = self._buffer
        if len(buffer.inbox) < buffer.room and metadata is None and type(features) is dict:
            features = features.copy()
            if (
                SETTLED.issuperset(map(type, features.values()))
                and type(prediction) in SETTLED
                and type(probability) in SETTLED
                and type(timestamp) in SETTLED
            ):
                given = (model, version, timestamp, features, prediction, probability)
                buffer.inbox.append((PREDICTIONS, event_id, given, 0, at))
                if len(buffer.inbox) == buffer.due:
                    buffer.wake()
                return event_id
        self._log(PREDICTIONS, event_id, at, {
            "prediction_id": event_id, "model": model, "model_version": version, "timestamp": timestamp,
            "features": features, "prediction": prediction, "probability": probability, "metadata": metadata,
        })  # fmt: skip
        return event_id

    def feedback(
        self,
        prediction_id: str,
        actual: Number,
        *,
        timestamp: datetime | float | None = None,
        metadata: Mapping[str, Number] | None = None,
        model: str | None = None,
    ) -> None:
        """Log the truth about a prediction; a later one corrects an earlier one.

        With `model` it is for that model alone: keys for several models ask for it.
        """
        event: dict[str, object] = {"prediction_id": prediction_id, "actual": actual, "metadata": metadata}
        if model is not None:
            event["model"] = model
        if timestamp is not None:
            event["timestamp"] = timestamp
        self._log(FEEDBACK, prediction_id, time_ns(), event)

    def predict(
        self, features: Mapping[str, Number], *, request_id: str | None = None, timeout: float | None = None
    ) -> dict[str, Any] | None:
        """Ask the model that the API serves; its answer, or None where there is none within `timeout` seconds.

        The API counts it as a prediction under `prediction_id`, which is `request_id` where that is given: asked
        again it is the same prediction. With `raises` it raises PredictFailed, or InvalidEvent.
        """
        until = time.monotonic() + (self._timeout if timeout is None else timeout)
        try:
            asked = self._id(time_ns()) if request_id is None else request_id
            document = encoded({"features": features, "request_id": asked})
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
        """Send all now and wait for it; whether nothing waits any more. With `raises` raises Undelivered."""
        finished = self._buffer.flush(timeout)
        if self._raises:
            self._ledger.raise_losses()
        return finished

    def close(self, timeout: float = 5.0) -> Stats:
        """Send what waits, for at most so long; what is left then is lost.

        Returns the final counts, in which each event is sent or lost, and logs how many were lost. What is in the
        middle of a request then counts as lost, though it may arrive. With `raises` raises Undelivered.
        """
        atexit.unregister(self._at_exit)
        self._buffer.close(timeout)
        if self._thread is not None:
            self._thread.join(timeout + 1.0)
        trouble = self._sender.trouble
        reason = f"{UNSENT}: {trouble}" if trouble else UNSENT
        left = [Loss(item[PATH], item[ID], "closed", reason) for item in self._buffer.abandon()]
        self._ledger.close(left, self._buffer.logged)
        self._http.close()
        if self._raises:
            self._ledger.raise_losses()
        return self.stats

    @property
    def stats(self) -> Stats:
        """What has become of the events."""
        lost = self._ledger.counts()
        return Stats(
            logged=self._buffer.logged, sent=self._sender.sent, lost=sum(lost.values()),
            buffered=self._buffer.unfinished, retries=self._sender.retries, lost_by_kind=lost,
            unregistered=self._sender.unregistered,
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
                raise  # an error of the caller's own comes first

    def _log(self, path: str, event_id: str, at: int, event: dict[str, object]) -> None:
        """Put any event into the buffer, or count it as lost."""
        try:
            if not self._raises and snapshot(event):
                put = self._buffer.put((path, event_id, event, weight(event.values()), at))
            else:
                document = encoded(dated(event, at))
                put = self._buffer.put((path, event_id, document, len(document), at))
        except Exception as error:
            self._buffer.refuse()
            self._ledger.lose([Loss(path, str(event_id), "invalid", why(error))])
            if self._raises:
                raise
            return
        if put == "taken":
            if self._thread is None:
                self._send()
        elif put == "closed":
            self._ledger.lose([Loss(path, event_id, "closed", "the client is closed")])
        else:
            reason = "the buffer is full: the API takes no events, or too slowly"
            self._ledger.lose([Loss(path, event_id, "full", reason)])

    def _id(self, at: int) -> str:
        """Make an id of the time `at`, in ns, and 64 random bits, in hexadecimal.

        The system's own randomness would let another thread have the interpreter, and the caller wait for it; with the
        time in it, copies of a machine that was frozen make different ones.
        """
        return hex(at << 64 | self._bits(64))[2:]  # noqa: FURB116 - an f-string takes twice the time

    def _send(self) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._sender.run, name="driftline", daemon=True)
                self._thread.start()
                atexit.register(self._at_exit)
                if not self._raises:
                    self._buffer.open()

    def _at_exit(self) -> None:
        with contextlib.suppress(Undelivered):
            self.close()

    def _no_prediction(self, why: InvalidEvent | PredictFailed) -> None:
        if self._raises:
            raise why
        log.warning("/predict: %s", why)


_clients: weakref.WeakSet[Client] = weakref.WeakSet()


def _after_fork() -> None:
    for client in list(_clients):
        client._begin()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
