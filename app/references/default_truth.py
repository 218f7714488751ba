"""Default truth of recorded rows: predictions that have waited long enough for feedback have it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from app.core.config.monitoring import Monitoring


def with_default_truth(frame: pd.DataFrame, monitoring: Monitoring) -> tuple[pd.DataFrame, str]:
    """Return recorded rows with `performance.default_truth`, and a note about it; unchanged where it is not set.

    A row without truth has the default one if its pane ended `after` seconds before the newest row, as in `driftline
    check`. Younger rows have no truth: by then only one kind has come.
    """
    silence = monitoring.performance.default_truth
    if silence is None:
        return frame, ""
    times = pd.to_datetime(frame["timestamp"], utc=True, format="ISO8601").map(pd.Timestamp.timestamp).to_numpy(float)
    pane = monitoring.windows.pane
    is_old = (np.floor(times / pane) + 1.0) * pane <= times.max() - silence.after
    given = frame["actual"] if "actual" in frame else pd.Series(None, index=frame.index, dtype=object)
    is_silent = is_old & given.isna().to_numpy()
    truth = given.astype(object).where(~is_silent, silence.value).where(is_old, None)
    found = frame.assign(actual=truth) if is_old.any() else frame.drop(columns="actual", errors="ignore")
    found.attrs = frame.attrs
    return found, (
        f"performance.default_truth: {int(is_silent.sum()):,} of {len(frame):,} rows have it, and "
        f"{int((~is_old).sum()):,} are too young for any truth"
    )
