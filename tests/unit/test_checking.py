"""The check of two files: what is judged is what the metadata names, and what cannot be judged is no "no drift"."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from app.checking import check_files, write_check
from app.registration import kinds_of_metadata

NOW = datetime(2026, 6, 1, 12, 30, 5, tzinfo=UTC)


def table(path: Path, n: int = 1000, shift: float = 0.0) -> Path:
    rng = np.random.default_rng(4)
    pd.DataFrame({
        "age": rng.normal(40, 10, n), "income": rng.normal(shift, 1, n), "plan": rng.choice(["a", "b"], n),
        "prediction": rng.integers(0, 2, n),
    }).to_csv(path, index=False)  # fmt: skip
    return path


def test_only_the_features_of_the_metadata_are_judged(tmp_path: Path) -> None:
    reference, current = table(tmp_path / "r.csv"), table(tmp_path / "c.csv", shift=3)
    every = check_files(reference, current, now=NOW)
    assert every.verdict == "drift"
    metadata = {"features": ["age", "plan"], "feature_stats": {"age": {"mean": 40.0, "std": 10.0}}}
    some = check_files(reference, current, kinds=kinds_of_metadata(metadata), now=NOW)
    assert some.verdict == "no drift"
    assert some.decision is not None
    assert {f.name: f.kind for f in some.decision.drift.features} == {"age": "numeric", "plan": "categorical"}
    assert some.decision.drift.unknown_features == {}


def test_too_few_rows_and_a_missing_file_are_no_decision(tmp_path: Path) -> None:
    reference = table(tmp_path / "r.csv")
    few = check_files(reference, table(tmp_path / "c.csv", n=100), now=NOW)
    assert few.verdict == "no decision"
    assert few.warnings == ("100 rows are too few to judge (drift.min_samples 500)",)
    none = check_files(tmp_path / "a.csv", tmp_path / "b.csv", now=NOW)
    assert none.verdict == "no decision"
    assert len(none.warnings) == 2
    assert few.told()["drifted"] is None is none.told()["drifted"]


def test_a_feature_without_a_value_is_not_judged_to_have_no_drift(tmp_path: Path) -> None:
    reference, lacking = table(tmp_path / "r.csv"), tmp_path / "c.csv"
    for shift, verdict in ((0.0, "no decision"), (3.0, "drift")):
        pd.read_csv(table(tmp_path / "whole.csv", shift=shift)).drop(columns="plan").to_csv(lacking, index=False)
        found = check_files(reference, lacking, now=NOW)
        assert found.verdict == verdict
        assert found.warnings == (f"{lacking} has no value of plan, so nothing is decided about it",)


def test_each_check_has_its_file_under_its_time(tmp_path: Path) -> None:
    found = check_files(table(tmp_path / "r.csv"), table(tmp_path / "c.csv", shift=3), now=NOW)
    path = write_check(found, tmp_path / "out")
    assert path == tmp_path / "out" / "artifacts" / "drift" / "drift_20260601T123005.000000Z.json"
    told = json.loads(path.read_text())
    assert (told["verdict"], told["drifted"], told["checked_at"]) == ("drift", True, "2026-06-01T12:30:05Z")
    assert told["drift"]["drifted_features"] == ["income"]
