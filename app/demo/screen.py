"""Output of the demo: a live table on a terminal, plain lines otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from app.demo.seen import DemoSeen, DemoWindow

if TYPE_CHECKING:
    from rich.live import Live

HEADER = ("window ends", "people", "drift share", "drifted", "accuracy", "estimated", "truth", "alerts")
ROWS = 18


class Screen(Protocol):
    """Output that shows the progress of the stream."""

    def show(self, seen: DemoSeen, sent: int, total: int) -> None:
        """Show the windows seen so far, and the number of events sent."""


@contextmanager
def screen(*, live: bool) -> Iterator[Screen]:
    """Yield the live table, or plain lines."""
    if not live:
        plain = _Plain()
        print(_PLAIN.format(*HEADER), flush=True)
        yield plain
        return
    from rich.live import Live

    with Live(refresh_per_second=4) as table:
        yield _Live(table)


def cells_of(window: DemoWindow, seen: DemoSeen) -> tuple[str, ...]:
    """Return one window as a row of the table."""
    drift, performance = window.drift, window.performance
    drifted = [] if drift is None else [*drift.drifted_features, *(["prediction"] if drift.prediction_drift else [])]
    return (
        f"{window.end:%Y-%m-%d}",
        "" if drift is None else f"{drift.n:,}",
        "" if drift is None else f"{drift.drift_share:.2f}",
        ", ".join(drifted),
        _number(window.realised),
        _number(window.estimated),
        "" if performance is None else f"{performance.coverage:.0%}",
        ", ".join(_transitions(seen, window.end)),
    )


def _transitions(seen: DemoSeen, end: datetime) -> Iterator[str]:
    for alert in seen.latest():
        if alert.started_at == end:
            yield f"{alert.rule} firing"
        if alert.ended_at == end:
            yield f"{alert.rule} resolved"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


_PLAIN = "{:<12} {:>7} {:>11}  {:<18} {:>8} {:>9} {:>6}  {}"


class _Plain:
    """Plain output: one line a window, once both of its reports are there and a newer complete window follows."""

    def __init__(self) -> None:
        self._told: set[datetime] = set()

    def show(self, seen: DemoSeen, sent: int, total: int) -> None:
        complete = [w for w in seen.ordered if w.drift is not None and w.performance is not None]
        for window in complete[:-1]:
            if window.end not in self._told:
                self._told.add(window.end)
                print(_PLAIN.format(*cells_of(window, seen)), flush=True)


class _Live:
    """Live output: the last windows as a table, redrawn."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def show(self, seen: DemoSeen, sent: int, total: int) -> None:
        from rich.table import Table

        table = Table(title=f"{sent:,} of {total:,} events sent, {len(seen.windows)} windows", title_justify="left")
        for name in HEADER:
            table.add_column(name, justify="right" if name in HEADER[1:3] + HEADER[4:7] else "left")
        for window in seen.ordered[-ROWS:]:
            table.add_row(*cells_of(window, seen), style="red" if window.alarming else None)
        self._live.update(table)
