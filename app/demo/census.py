"""Census records that the demo uses (see data/README.md)."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

DATA = Path(__file__).parent / "data"
NUMERIC = ("AGEP",)
CATEGORICAL = (
    "SCHL", "MAR", "RELP", "DIS", "ESP", "CIT", "MIG", "MIL",
    "ANC", "NATIVITY", "DEAR", "DEYE", "DREM", "SEX", "RAC1P",
)  # fmt: skip
FEATURES = (*NUMERIC, *CATEGORICAL)
TRUTH = "employed"


def census() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the people of 2015 (the reference), and those of 2016 to 2018.

    Columns: `id`, `year`, the features (AGEP float64, the others categories of str), `employed` (0 or 1). Both frames
    share each feature's categories.
    """
    frames = [_read(DATA / name) for name in ("census_2015.parquet", "census_2016_2018.parquet")]
    for name in CATEGORICAL:
        codes = sorted(set().union(*(frame[name].unique().tolist() for frame in frames)))
        for frame in frames:
            raw = pd.Categorical(frame[name], categories=codes)
            frame[name] = raw.rename_categories([str(code) for code in codes])
    return frames[0], frames[1]


def _read(path: Path) -> pd.DataFrame:
    frame = pd.read_parquet(path)
    return frame.astype({"AGEP": "float64", TRUTH: "int64", "year": "int64", "id": "int64"})
