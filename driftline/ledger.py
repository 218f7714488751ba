"""Counts of lost events, logged now and then."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence

from driftline.losses import InvalidEvent, Kind, Loss, Undelivered
from driftline.warning import log, warn

QUIET_SECONDS, LONGEST_QUIET = 60.0, 3600.0
"""Seconds between log lines about losses of one kind: a minute at first, then two, four, … up to an hour."""
MOST_FIELDS, OTHER_FIELDS = 100, "others"
"""Limit of the names of omitted values, since names can be created without end."""


class Ledger:
    """Counts of one client, updated by many threads."""

    def __init__(self, on_loss: Callable[[Loss], None] | None) -> None:
        self._on_loss = on_loss
        self._lock = threading.RLock()  # a signal handler or finaliser may log an event
        self._raised = self._written = 0
        self._lost: Counter[Kind] = Counter()
        self._last: Loss | None = None
        self._next: dict[Kind, tuple[float, float]] = {}
        self._left_out: Counter[str] = Counter()
        self._unwritten: Counter[str] = Counter()

    def lose(self, losses: Sequence[Loss]) -> None:
        """Count losses of one kind, log them unless that was done recently, and pass each to `on_loss`.

        Never raises.
        """
        if not losses:
            return
        last, now = losses[-1], time.monotonic()
        count = self._count(losses)
        with self._lock:
            due, quiet = self._next.get(last.kind, (now, QUIET_SECONDS))
            if now >= due:
                self._next[last.kind] = now + quiet, min(2 * quiet, LONGEST_QUIET)
        if now >= due:
            warn("%s: %s (%s; %d so far)", last.path, last.reason, last.kind, count)
        self._pass_on(losses)

    def close(self, losses: Sequence[Loss], logged: int) -> None:
        """Count the losses of closing, and log how many of the `logged` events were lost, if any. Never raises."""
        self._count(losses)
        with self._lock:
            lost, last = dict(self._lost), self._last
            total, before = sum(lost.values()), self._written
            self._written = total
            left_out, self._unwritten = self._unwritten, Counter()
        if left_out:
            named = ", ".join(f"{count:,} {field}" for field, count in left_out.items())
            warn("closed: values were left out of events: %s", named)
        if total > before and last is not None:
            kinds = ", ".join(f"{count:,} {kind}" for kind, count in lost.items())
            warn(
                "closed: %s of %s events were lost (%s); the last one: %s",
                f"{total:,}",
                f"{logged:,}",
                kinds,
                last.reason,
            )
        self._pass_on(losses)

    def _count(self, losses: Sequence[Loss]) -> int:
        """Count losses of one kind; return the total of that kind."""
        if not losses:
            return 0
        last = losses[-1]
        with self._lock:
            self._lost[last.kind] += len(losses)
            self._last = last
            return self._lost[last.kind]

    def _pass_on(self, losses: Sequence[Loss]) -> None:
        for loss in losses if self._on_loss is not None else ():
            try:
                self._on_loss(loss)  # type: ignore[misc]  # it is there, as the line above asks
            except Exception:  # noqa: BLE001 - it is the caller's own
                with contextlib.suppress(Exception):
                    log.exception("on_loss failed")

    def leave_out(self, path: str, values: Sequence[InvalidEvent]) -> None:
        """Count values that an event was sent without, and log the first of each field. Never raises."""
        for value in values:
            field = str(value).partition(": ")[0]
            with self._lock:
                if field not in self._left_out and len(self._left_out) >= MOST_FIELDS:
                    field = OTHER_FIELDS
                first = not self._left_out[field]
                self._left_out[field] += 1
                self._unwritten[field] += 1
            if first:
                warn("%s: %s; events are sent without it", path, value)

    def left_out(self) -> dict[str, int]:
        """Return the number of values that events were sent without, by field."""
        with self._lock:
            return dict(self._left_out)

    def counts(self) -> dict[Kind, int]:
        """Return the number of lost events, by kind."""
        with self._lock:
            return dict(self._lost)

    def raise_losses(self) -> None:
        """Raise Undelivered where events were lost since the last call."""
        with self._lock:
            lost, before = sum(self._lost.values()), self._raised
            self._raised = lost
            last = self._last
        if lost > before:
            raise Undelivered(lost - before, last)
