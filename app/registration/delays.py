"""Delays between predictions and their truth, by the reference's times, and the truth that would be too late to
join.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from app.core.config.monitoring import Windows
from app.core.reference.layout import Floats
from app.registration.judgeable import span_words
from app.registration.monitoring import TableColumns
from app.tables import CellTable
from app.tables.times import epoch_seconds, unit_of

MOST = 0.01
"""Share of the truth that may come too late without a warning."""
WANTED = 0.99
"""Share of the truth that the recommended retention keeps."""
DAY = 86_400.0


def delay_notes(table: CellTable, columns: TableColumns, retention: float) -> list[str]:
    """Return notes about the delays between predictions and their truth, a line each.

    `retention`: seconds for which a prediction waits for its truth.

    Raises TableError that names the column and the row without a valid time.
    """
    if columns.truth_timestamp is None:
        return []
    timestamp = columns.timestamp or ("timestamp" if "timestamp" in table else None)
    if timestamp is None:
        return ["columns.truth_timestamp: of no use without the time of each prediction (columns.timestamp)"]
    delays = _times(table, columns.truth_timestamp) - _times(table, timestamp)
    delays = delays[np.isfinite(delays)]
    if not len(delays):
        return [f"{columns.truth_timestamp}: no row has a time of its truth"]
    most, half = float(np.quantile(delays, WANTED)), float(np.median(delays))
    notes = [f"truth comes within {span_words(half)} for half of the rows, within {span_words(most)} for 99 %"]
    late = int((delays > retention).sum())
    if late / len(delays) > MOST:
        days = int(np.ceil(most / DAY))
        notes.append(
            f"WARNING: {late:,} of {len(delays):,} truths ({late / len(delays):.0%}) come after windows.retention "
            f"({span_words(retention)}) and would enter no metric: set it to {days * DAY:.0f} ({days} days)"
        )
    return notes


def retention_notes(windows: Windows) -> Iterator[str]:
    """Return a line where a prediction waits for its truth for less time than its window takes."""
    window = windows.pane * windows.panes
    if windows.retention < window:
        yield (
            f"WARNING: windows.retention ({span_words(windows.retention)}) is shorter than the window "
            f"({span_words(window)}): truth that comes later, within the window, would enter no metric: did you mean "
            f"{window:.0f} or more?"
        )


def _times(table: CellTable, name: str) -> Floats:
    times = epoch_seconds(table, name)
    known = times[np.isfinite(times)]
    return times * unit_of(float(known.min()), float(known.max()))[0] if len(known) else times
