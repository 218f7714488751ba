"""Default truths of model versions: the truth of predictions without feedback after a configured wait."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Connection, func, select, tuple_

from app.history.tables import DEFAULT_TRUTHS, PREDICTION_DAYS, PREDICTIONS

Version = tuple[str, str]
"""A model and its version."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class RecordedDefaultTruth(NamedTuple):
    """Setting `performance.default_truth` of a registration: the truth as label and as number, and the wait in seconds.

    `pane`: the length of a pane (`windows.pane`) in seconds. The default truth is applied to whole panes.
    """

    actual: str
    actual_value: float | None
    after: float
    pane: float


def default_truths(
    connection: Connection, versions: Collection[Version] | None = None
) -> Mapping[Version, RecordedDefaultTruth]:
    """Return the default truth by model version, as the newest registration sets it.

    `versions` limits the result. Versions without a default truth are left out.
    """
    columns = DEFAULT_TRUTHS.c
    asked = select(DEFAULT_TRUTHS).where(columns.actual.is_not(None))
    if versions is not None and not versions:
        return {}
    if versions is not None:
        asked = asked.where(tuple_(columns.model, columns.model_version).in_(versions))
    return {
        (row.model, row.model_version): RecordedDefaultTruth(
            row.actual, row.actual_value, row.after_seconds, row.pane_seconds
        )
        for row in connection.execute(asked)
    }


def whole_until(connection: Connection, version: Version, default: RecordedDefaultTruth) -> datetime:
    """Return the time before which missing feedback counts as the default truth.

    This is the end of the newest pane that ended at least `after` seconds ago. "Now" is the time of the version's
    newest prediction, as in the stream, but not later than the newest row was written.
    """
    days = PREDICTION_DAYS.c
    newest = select(func.max(days.last_at)).where(days.model == version[0], days.model_version == version[1])
    times = [connection.execute(one).scalar() for one in (newest, select(func.max(PREDICTIONS.c.recorded_at)))]
    now = min((at for at in times if at is not None), default=_EPOCH)
    pane = round(default.pane * 1e6)
    panes = ((now - _EPOCH) // _MICROSECOND - round(default.after * 1e6)) // pane
    return _EPOCH + max(0, panes * pane) * _MICROSECOND
