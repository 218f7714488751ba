"""Predictions of the history as the table of a reference."""

from __future__ import annotations

from datetime import datetime

import msgspec
import pandas as pd
from sqlalchemy import func, select

from app.history.answers import prediction_of
from app.history.database import History
from app.history.tables import PREDICTION_DAYS, PREDICTIONS
from app.tables import TableError
from app.tables.exports import MOST_ROWS, plain_export
from app.tables.files import table_of_rows

FETCHED = 5000


def reference_rows(
    history: History, model: str, version: str, since: datetime | None, until: datetime | None
) -> pd.DataFrame:
    """Return the predictions of a model version with their truth, oldest first, as an export has them.

    `since` and `until`: the first moment, and the one after the last. Raises TableError where there are no predictions
    (with the versions that have some), or more than MOST_ROWS; and the errors of `History.reading`.
    """
    columns = PREDICTIONS.c
    wanted = [columns.model == model, columns.model_version == version]
    wanted += [] if since is None else [columns.predicted_at >= since]
    wanted += [] if until is None else [columns.predicted_at < until]
    with history.reading() as connection:
        count = connection.execute(select(func.count()).select_from(PREDICTIONS).where(*wanted)).scalar_one()
        if not count:
            days = PREDICTION_DAYS.c
            known = connection.execute(select(days.model_version).where(days.model == model).distinct()).scalars()
            listed = ", ".join(sorted(known))
            has = f"it has versions {listed} of {model}" if listed else f"it has no predictions of {model}"
            raise TableError(f"--from-history: no predictions of {model} {version} in that time; {has}")
        if count > MOST_ROWS:
            raise TableError(
                f"--from-history: {count:,} predictions; at most {MOST_ROWS:,} are taken: --since and --until choose"
            )
        asked = select(PREDICTIONS).where(*wanted).order_by(columns.predicted_at, columns.prediction_id)
        found = connection.execution_options(yield_per=FETCHED).execute(asked)
        rows = [msgspec.to_builtins(prediction_of(row)) for row in found]
    return plain_export(table_of_rows(rows))
