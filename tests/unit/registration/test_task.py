"""Which task a reference is of: classes, counts and measures told apart, however the file writes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from app.registration.monitoring import MonitoringError, monitoring_of
from app.registration.profiling import profile_of
from app.tables import read_table

N = 2000


def outputs(kind: str) -> tuple[object, object]:
    rng = np.random.default_rng(2)
    rate = rng.gamma(3.0, 1.5, N)
    counts = rng.poisson(rate)
    classes = rng.integers(0, 3, N)
    codes = rng.choice([3, 17, 20, 31, 44, 58, 60, 72, 81, 90, 95, 99], N)
    wrong = rng.random(N) < 0.2
    gaps = pd.Series(classes, dtype="Int64").mask(rng.random(N) < 0.1)
    return {
        "measures": (rate.round(3), rate.round(3) + 1),
        "counts told as a rate": (rate.round(2), counts),
        "counts told as counts": (np.rint(rate).astype(int), counts),
        "counts told as decimals": (np.rint(rate), counts),
        "classes": (np.where(wrong, rng.permutation(classes), classes), classes),
        "classes with gaps": (classes, gaps),
        "many codes": (np.where(wrong, rng.permutation(codes), codes), codes),
        "texts": (np.where(wrong, "a", np.array(["a", "b", "c"])[classes]), np.array(["a", "b", "c"])[classes]),
        "truth values": (classes > 1, classes > 1),
    }[kind]


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".jsonl"])
@pytest.mark.parametrize(
    ("kind", "task"),
    [
        ("measures", "regression"), ("counts told as a rate", "regression"), ("counts told as counts", "regression"),
        ("counts told as decimals", "regression"), ("classes", "multiclass"), ("classes with gaps", "multiclass"),
        ("many codes", "multiclass"), ("texts", "multiclass"), ("truth values", "binary"),
    ],
)  # fmt: skip
def test_a_task_is_told_by_the_outputs_in_any_file(kind: str, task: str, suffix: str, tmp_path: Path) -> None:
    prediction, target = outputs(kind)
    table = pd.DataFrame({"x": np.arange(N) % 7, "prediction": prediction, "target": target})
    path = tmp_path / f"r{suffix}"
    if suffix == ".csv":
        table.to_csv(path, index=False)
    elif suffix == ".parquet":
        table.to_parquet(path)
    else:
        table.to_json(path, orient="records", lines=True)
    profile = profile_of("m", "1", read_table(path))
    assert profile.task == task
    if kind == "classes with gaps":
        assert profile.labels == ("0", "1", "2")


def test_one_class_alone_asks_for_the_others() -> None:
    table = pd.DataFrame({"x": np.arange(N) % 7, "prediction": "a", "target": "a"})
    with pytest.raises(MonitoringError, match=r"labels: the reference has one class only \(a\)"):
        profile_of("m", "1", table)
    assert profile_of("m", "1", table, monitoring_of({"labels": ["a", "b"]})).labels == ("a", "b")


def test_features_alone_are_a_reference() -> None:
    profile = profile_of("m", "1", pd.DataFrame({"x": np.arange(N) % 7, "target": "a"}))
    assert (profile.task, profile.labels, profile.baseline, profile.n) == ("features", (), {}, N)
    assert [column.name for column in profile.features] == ["x"]
