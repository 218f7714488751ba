"""Check of a file before the replay: every row is read once, and errors are rejected or corrected."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import xxhash
from numpy.typing import NDArray

from app.core.values.hiding import Hiding
from app.core.values.reading import Reading, spelling_of
from app.core.values.times import believable
from app.replay.encode import Encoded, ReplayColumns, ReplayError, encode_feedback, encode_predictions
from app.replay.files import encoded_chunks, frames, holds_events
from app.tables import CellTable, FileOptions, TableError
from app.tables.files import FOUND
from app.tables.times import epoch_seconds, unit_of

CHUNK = 20_000
"""Number of rows that are read at a time."""
MOST_REPEATED = 0.5
"""Largest share of repeated ids. Above it, the column is not the one with the prediction ids."""
MOST_LATE = 0.05
"""Largest share of truth that comes after the retention. Above it, a replay would lose too much of the truth."""

Read = Callable[[int], None]
"""Function that is called with the number of rows read so far."""


@dataclass(frozen=True, slots=True)
class Stream:
    """One checked file: its events in file order, and when each is to be sent.

    `times` are n epoch seconds; events with inf are sent at the end. `ids` are hashes.
    """

    path: Path
    chunks: Callable[[], Iterator[Encoded]]
    times: NDArray[np.float64]
    ids: NDArray[np.uint64]

    @property
    def is_sorted(self) -> bool:
        """Return whether the file is in the order of its times."""
        return bool((np.diff(self.times) >= 0).all()) if len(self.times) > 1 else True


@dataclass(frozen=True, slots=True)
class Checked:
    """Streams that will be sent, and notes on them, one line each."""

    predictions: Stream
    feedback: Stream | None
    notes: tuple[str, ...]


def check_files(
    predictions: Path,
    feedback: Path | None,
    columns: ReplayColumns,
    model: tuple[str, str],
    retention: float,
    *,
    options: FileOptions = FOUND,
    read: Read = lambda _: None,
) -> Checked:
    """Read both files completely. `retention`: for how many seconds a prediction waits for its truth.

    Raises ReplayError, which says what to do, for times out of range and for ids that repeat in most rows. It is also
    raised where too much of the truth comes after the retention, or where none has a prediction in the file. Raises
    TableError where a file cannot be read, and OSError.
    """
    notes: list[str] = []
    count = _Counter(read)
    forms = _forms(predictions, feedback, columns, model, options, count)
    notes += [note for form in forms for note in form.notes]
    whole = all(form.whole_ids for form in forms)
    ids = Reading("whole") if whole else Reading()
    asked = replace(columns, ids=ids, unit=forms[0].unit, known=forms[0].names)
    stream = _stream(
        predictions, lambda frame: encode_predictions(frame, asked, *model), model, options, count, columns.hiding
    )  # fmt: skip
    _check_predictions(stream, columns, notes)
    if feedback is None:
        return Checked(stream, None, tuple(notes))
    of_truth = replace(columns, ids=ids, unit=forms[1].unit, known=forms[1].names)
    truth = _stream(feedback, lambda frame: encode_feedback(frame, of_truth), None, options, count, columns.hiding)
    return Checked(stream, _placed(truth, stream, columns, retention, notes), tuple(notes))


@dataclass(frozen=True, slots=True)
class _Form:
    """Properties of a file that depend on all of its rows."""

    names: frozenset[str]
    whole_ids: bool
    unit: float
    notes: tuple[str, ...] = ()


class _Counter:
    def __init__(self, read: Read) -> None:
        self._read = read
        self._rows = 0

    def add(self, rows: int) -> None:
        self._rows += rows
        self._read(self._rows)


def _forms(
    predictions: Path,
    feedback: Path | None,
    columns: ReplayColumns,
    model: tuple[str, str],
    options: FileOptions,
    count: _Counter,
) -> list[_Form]:
    named: list[tuple[Path, tuple[str, str] | None]] = [(predictions, model)]
    named += [] if feedback is None else [(feedback, None)]
    return [_form(path, columns, of, options, count) for path, of in named]


def _form(
    path: Path, columns: ReplayColumns, model: tuple[str, str] | None, options: FileOptions, count: _Counter
) -> _Form:
    if holds_events(path, model):
        return _Form(frozenset(), False, 1.0)
    names: set[str] = set()
    whole, lowest, highest = True, np.inf, -np.inf
    for frame in frames(path, CHUNK, model, options):
        names.update(map(str, frame.columns))
        table = CellTable(frame)
        count.add(len(frame))
        try:
            if columns.prediction_id in table:
                whole = whole and spelling_of(table.listed(columns.prediction_id)).spelling == "whole"
            if columns.timestamp in table:
                times = epoch_seconds(table, columns.timestamp)
                lowest = min(lowest, times.min(initial=np.inf, where=~np.isnan(times)))
                highest = max(highest, times.max(initial=-np.inf, where=~np.isnan(times)))
        except TableError as error:
            raise ReplayError(f"{path}: {error}") from None
    unit, name = unit_of(float(lowest), float(highest)) if lowest <= highest else (1.0, "")
    notes = () if unit == 1.0 else (f"{path}: column {columns.timestamp!r} is read as {name} since 1970",)
    return _Form(frozenset(names), whole, unit, notes)


def _stream(
    path: Path,
    encode: Callable[[pd.DataFrame], Encoded],
    model: tuple[str, str] | None,
    options: FileOptions,
    count: _Counter,
    hiding: Hiding | None,
) -> Stream:
    def chunks() -> Iterator[Encoded]:
        return encoded_chunks(path, encode, model=model, options=options, hiding=hiding)

    times: list[NDArray[np.float64]] = []
    ids: list[NDArray[np.uint64]] = []
    digest = xxhash.xxh3_64_intdigest
    row = 0
    for chunk in chunks():
        wrong = np.flatnonzero(~believable(chunk.times) & np.isfinite(chunk.times))
        if len(wrong):
            raise ReplayError(
                f"{path}: row {row + int(wrong[0]) + 1:,} has the time {float(chunk.times[wrong[0]]):g}, outside 1970 "
                "to 2100: give RFC 3339 or epoch seconds, or name the right column as --timestamp-column"
            )
        times.append(chunk.times)
        ids.append(np.fromiter(map(digest, chunk.keys), np.uint64, len(chunk)))
        row += len(chunk)
        count.add(len(chunk))
    empty: list[NDArray[np.float64]] = [np.empty(0)]
    return Stream(path, chunks, np.concatenate(times or empty), np.concatenate(ids or [np.empty(0, np.uint64)]))


def _check_predictions(stream: Stream, columns: ReplayColumns, notes: list[str]) -> None:
    n = len(stream.times)
    if not n:
        raise ReplayError(f"{stream.path}: the table has no rows")
    repeated = n - len(np.unique(stream.ids))
    if repeated > MOST_REPEATED * n:
        raise ReplayError(
            f"{stream.path}: {repeated:,} of {n:,} ids in column {columns.prediction_id!r} repeat, and only the first "
            "prediction of an id counts: name the column of the ids as --id-column"
        )
    if repeated:
        notes.append(f"{stream.path}: {repeated:,} of {n:,} ids repeat; only the first prediction of an id counts")
    if not stream.is_sorted:
        notes.append(f"{stream.path}: the rows are not in the order of their times; they are sorted for sending")


def _placed(truth: Stream, predictions: Stream, columns: ReplayColumns, retention: float, notes: list[str]) -> Stream:
    """Return the truth with a time for each event.

    The time is the event's own, else that of its prediction, after which the truth is sent.
    """
    n = len(truth.times)
    if not n:
        raise ReplayError(f"{truth.path}: there is no truth in column {columns.actual!r} (--actual-column names it)")
    order = np.argsort(predictions.ids, kind="stable")
    at = np.searchsorted(predictions.ids[order], truth.ids).clip(max=len(order) - 1)
    known = predictions.ids[order][at] == truth.ids
    strange = int((~known).sum())
    if strange == n:
        raise ReplayError(
            f"{truth.path}: none of {n:,} ids in column {columns.prediction_id!r} is one of {predictions.path}: "
            "are both the same column (--id-column)?"
        )
    if strange:
        notes.append(f"{truth.path}: {strange:,} of {n:,} truths have no prediction in {predictions.path}")
    asked = np.where(known, predictions.times[order][at], np.inf)
    _check_delays(truth, asked, retention, notes)
    untimed = ~np.isfinite(truth.times)
    times = np.where(untimed, asked, truth.times)
    if untimed.any():
        notes.append(f"{truth.path}: {int(untimed.sum()):,} truths have no time; each is sent after its prediction")
    placed = replace(truth, times=times)
    if not untimed.any() and not placed.is_sorted:
        notes.append(f"{truth.path}: the rows are not in the order of their times; they are sorted for sending")
    return placed


def _check_delays(truth: Stream, asked: NDArray[np.float64], retention: float, notes: list[str]) -> None:
    both = np.isfinite(truth.times) & np.isfinite(asked)
    delay = truth.times[both] - asked[both]
    late = int((delay > retention).sum())
    if not late:
        return
    words = (
        f"{truth.path}: {late:,} of {len(delay):,} truths come later than {_days(retention)} after their prediction "
        f"(windows.retention), at most {_days(float(delay.max()))}, and are not counted then"
    )
    if late > MOST_LATE * len(delay):
        needed = int(np.ceil(delay.max() / 86_400.0)) * 86_400
        raise ReplayError(f'{words}: register the version with {{"windows": {{"retention": {needed}}}}} first')
    notes.append(words)


def _days(seconds: float) -> str:
    return f"{seconds / 86_400.0:.3g} days" if seconds >= 86_400.0 else f"{seconds:.3g} s"


def span_of(times: Sequence[float] | NDArray[np.float64]) -> str:
    """Return the first and the last of the given times as text."""
    finite = np.asarray(times)[np.isfinite(times)]
    if not len(finite):
        return "no times"
    first, last = (datetime.fromtimestamp(float(t), UTC) for t in (finite.min(), finite.max()))
    return f"{first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC"
