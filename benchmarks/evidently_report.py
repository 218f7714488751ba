"""Evidently: one drift report of two tables. Started by `benchmarks.compare`.

python -m benchmarks.evidently_report REFERENCE.parquet CURRENT.parquet

The preset with its defaults, three times: the fastest counts, so that imports and first calls are left out.
"""

from __future__ import annotations

import sys
import time

import pandas as pd
from evidently import Report
from evidently.presets import DataDriftPreset

from benchmarks.reading import Figures

REPEATS = 3


def main(reference: str, current: str) -> None:
    """Tell the figures of the fastest."""
    before, now = pd.read_parquet(reference), pd.read_parquet(current)
    found: list[Figures] = []
    for _ in range(REPEATS):
        started, used = time.monotonic(), time.process_time()
        Report([DataDriftPreset()]).run(current_data=now, reference_data=before).dict()
        found.append(Figures(len(now), time.monotonic() - started, time.process_time() - used))
    min(found, key=lambda one: one.seconds).tell()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
