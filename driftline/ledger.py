"""What was logged and what was lost, counted, and told."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable

from driftline.losses import Kind, Loss, Undelivered

log = logging.getLogger("driftline")

QUIET_SECONDS = 60.0
"""Losses of one kind are told in the log at most this often."""


class Ledger:
    """Counts of one client, kept by many threads."""

    def __init__(self, on_loss: Callable[[Loss], None] | None) -> None:
        self._on_loss = on_loss
        self._lock = threading.Lock()
        self._logged = self._told_lost = 0
        self._lost: Counter[Kind] = Counter()
        self._last: Loss | None = None
        self._told: dict[Kind, float] = {}

    def logged(self) -> None:
        """One more event."""
        with self._lock:
            self._logged += 1

    def lose(self, loss: Loss) -> None:
        """Count a loss, and tell of it. Never raises."""
        now = time.monotonic()
        with self._lock:
            self._lost[loss.kind] += 1
            self._last = loss
            count = self._lost[loss.kind]
            tell = now - self._told.get(loss.kind, -QUIET_SECONDS) >= QUIET_SECONDS
            if tell:
                self._told[loss.kind] = now
        if tell:
            log.warning("%s: %s (%s; %d so far)", loss.path, loss.reason, loss.kind, count)
        if self._on_loss is None:
            return
        try:
            self._on_loss(loss)
        except Exception:
            log.exception("on_loss failed")

    def counts(self) -> tuple[int, dict[Kind, int]]:
        """Events logged, and lost by kind."""
        with self._lock:
            return self._logged, dict(self._lost)

    def raise_losses(self) -> None:
        """Raise Undelivered where anything was lost since this was asked last."""
        with self._lock:
            lost, before = sum(self._lost.values()), self._told_lost
            self._told_lost = lost
            last = self._last
        if lost > before:
            raise Undelivered(lost - before, last)
