"""Bounds on the values that a label takes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from prometheus_client import Gauge

OTHER = "other"


class BoundedGauge:
    """Gauge with at most `most` label sets: a new one replaces the one that was set longest ago."""

    def __init__(self, gauge: Gauge, most: int) -> None:
        self._gauge = gauge
        self._most = most
        self._known: OrderedDict[tuple[str, ...], None] = OrderedDict()

    def set(self, labels: tuple[str, ...], value: float | None) -> None:
        """Set the value for labels, in the gauge's order; None removes them."""
        if value is None:
            if labels in self._known:
                del self._known[labels]
                self._gauge.remove(*labels)
            return
        self._known[labels] = None
        self._known.move_to_end(labels)
        if len(self._known) > self._most:
            oldest, _ = self._known.popitem(last=False)
            self._gauge.remove(*oldest)
        self._gauge.labels(*labels).set(value)

    def clear(self) -> None:
        """Remove all label sets."""
        self._known.clear()
        self._gauge.clear()

    def drop(self, is_gone: Callable[[tuple[str, ...]], bool]) -> None:
        """Remove the label sets for which `is_gone` returns true."""
        for labels in [labels for labels in self._known if is_gone(labels)]:
            self.set(labels, None)


class BoundedLabel:
    """Label whose first `most` values are named; all later ones are `other`."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: set[str] = set()

    def of(self, value: str) -> str:
        """Return the value to label with."""
        if value not in self._known:
            if len(self._known) >= self._most:
                return OTHER
            self._known.add(value)
        return value
