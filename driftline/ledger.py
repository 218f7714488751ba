"""What was lost: counted, and written to the log now and then."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence

from driftline.losses import Kind, Loss, Undelivered

log = logging.getLogger("driftline")

QUIET_SECONDS, LONGEST_QUIET = 60.0, 3600.0
"""Losses of one kind are logged after a minute at the earliest, then after two, four ... up to an hour."""


class Ledger:
    """Counts of one client, kept by many threads."""

    def __init__(self, on_loss: Callable[[Loss], None] | None) -> None:
        self._on_loss = on_loss
        self._lock = threading.RLock()  # an event may be logged by a signal's handler or a finaliser
        self._raised = self._written = 0
        self._lost: Counter[Kind] = Counter()
        self._last: Loss | None = None
        self._next: dict[Kind, tuple[float, float]] = {}

    def lose(self, losses: Sequence[Loss]) -> None:
        """Count losses of one kind, log them unless that was done lately, and pass each to `on_loss`. Never raises."""
        if not losses:
            return
        last, now = losses[-1], time.monotonic()
        count = self._count(losses)
        with self._lock:
            due, quiet = self._next.get(last.kind, (now, QUIET_SECONDS))
            if now >= due:
                self._next[last.kind] = now + quiet, min(2 * quiet, LONGEST_QUIET)
        if now >= due:
            log.warning("%s: %s (%s; %d so far)", last.path, last.reason, last.kind, count)
        self._pass_on(losses)

    def close(self, losses: Sequence[Loss], logged: int) -> None:
        """Count what closing has lost, and log how many of the `logged` events were lost, if any. Never raises."""
        self._count(losses)
        with self._lock:
            lost, last = dict(self._lost), self._last
            total, before = sum(lost.values()), self._written
            self._written = total
        if total > before and last is not None:
            kinds = ", ".join(f"{count:,} {kind}" for kind, count in lost.items())
            log.warning(
                "closed: %s of %s events were lost (%s); the last one: %s",
                f"{total:,}",
                f"{logged:,}",
                kinds,
                last.reason,
            )
        self._pass_on(losses)

    def _count(self, losses: Sequence[Loss]) -> int:
        """Count losses of one kind; returns how many there are of that kind."""
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
            except Exception:
                log.exception("on_loss failed")

    def counts(self) -> dict[Kind, int]:
        """Events lost, by kind."""
        with self._lock:
            return dict(self._lost)

    def raise_losses(self) -> None:
        """Raise Undelivered where anything was lost since this was asked last."""
        with self._lock:
            lost, before = sum(self._lost.values()), self._raised
            self._raised = lost
            last = self._last
        if lost > before:
            raise Undelivered(lost - before, last)
