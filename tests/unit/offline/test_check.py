"""The check of two files: what is judged is what the metadata names, and what cannot be judged is no "no drift"."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from app.cli import app
from app.commands.check.text import lines_of, rows_of
from app.commands.options import CommandError
from app.core.config.monitoring import Monitoring
from app.offline.check import Check, check_files, write_check
from app.offline.firing import findings_of
from app.registration.setup import kinds_of_metadata, read_monitoring

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
    assert few.warnings == ("100 rows are too few to judge (drift.min_samples 500), 400 more are needed",)
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


def answered(path: Path, rng: np.random.Generator, n: int = 1000, right: float = 0.9) -> pd.DataFrame:
    """Rows with ten features, a prediction and its truth; also written to the path."""
    truth = rng.integers(0, 2, n)
    frame = pd.DataFrame({f"f{i}": rng.normal(size=n) for i in range(10)})
    frame["plan"] = rng.choice(["a", "b"], n)
    frame["prediction"] = np.where(rng.random(n) < right, truth, 1 - truth)
    frame["target"] = truth
    frame.to_csv(path, index=False)
    return frame


def checked(tmp_path: Path, current: pd.DataFrame, settings: Mapping[str, object] | None = None) -> Check:
    """The check of a table against calm rows of the same kind."""
    answered(tmp_path / "r.csv", np.random.default_rng(1), 1000)
    current.to_csv(tmp_path / "c.csv", index=False)
    (tmp_path / "monitoring.json").write_text(json.dumps(settings or {}))
    return check_files(tmp_path / "r.csv", tmp_path / "c.csv", read_monitoring(tmp_path / "monitoring.json"), now=NOW)


def calm(tmp_path: Path) -> pd.DataFrame:
    return answered(tmp_path / "c.csv", np.random.default_rng(2), 1000)


def test_calm_rows_have_no_finding(tmp_path: Path) -> None:
    found = checked(tmp_path, calm(tmp_path))
    assert (found.verdict, found.exit_status, found.findings, found.unjudged) == ("no drift", 0, (), ())


@pytest.mark.parametrize(
    ("performance", "fires"),
    [
        ({}, False),  # a drop by 6 % of 0.909 in 600 rows is within what chance brings
        ({"policy": "threshold"}, True),
        ({"policy": "threshold", "default": 0.2}, False),
        ({"policy": "threshold", "default": 0.2, "limits": {"accuracy": 0.86}}, True),
        ({"policy": "threshold", "limits": {"accuracy": 0.8, "precision": 0.8, "recall": 0.8, "f1_score": 0.8}}, False),
        ({"policy": "threshold", "min_samples": 601}, False),
    ],
)
def test_by_policy_threshold_a_drop_is_found_whatever_chance_brings(
    tmp_path: Path, performance: dict[str, object], fires: bool
) -> None:
    frame = answered(tmp_path / "c.csv", np.random.default_rng(2), 600)
    frame["prediction"] = np.where(np.arange(600) % 7 == 0, 1 - frame["target"], frame["target"])  # accuracy 6 / 7
    found = checked(tmp_path, frame, {"performance": performance})
    assert [one.rule for one in found.findings] == ["performance"] * len(found.findings)
    assert bool(found.findings) is fires
    assert found.exit_status == int(fires)


def test_both_files_are_those_of_the_configuration_where_none_is_given(tmp_path: Path) -> None:
    table(tmp_path / "r.csv")
    table(tmp_path / "c.csv", shift=3)
    paths = {"reference_data_path": str(tmp_path / "r.csv"), "current_data_path": str(tmp_path / "c.csv")}
    config = tmp_path / "setup.json"
    config.write_text(json.dumps({"data_drift_monitoring": paths}))
    run = partial(CliRunner().invoke, app)
    found = json.loads(run(["check", "--config", str(config), "--json"]).stdout)
    assert (found["reference"], found["current"]) == tuple(paths.values())
    assert found["drift"]["drifted_features"] == ["income"]
    given = run(["check", "--config", str(config), "--current", str(tmp_path / "r.csv"), "--json"])
    assert json.loads(given.stdout)["current"] == str(tmp_path / "r.csv")
    page = tmp_path / "june.html"
    assert run(["check", "--config", str(config), "--html", str(page)]).exit_code == 1
    assert paths["current_data_path"] in page.read_text()
    assert "income" in page.read_text()
    nowhere = run(["check", "--config", str(config), "--html", str(tmp_path / "no" / "june.html")])
    assert str(nowhere.exception).startswith("--html: ")
    absent = tmp_path / "absent.html"
    without = run(["check", "--config", str(config), "--current", str(tmp_path / "x.csv"), "--html", str(absent)])
    assert (without.exit_code, absent.exists()) == (2, False)
    assert "is not written: nothing was decided" in without.stderr
    config.write_text(json.dumps({"data_drift_monitoring": {"reference_data_path": "r.csv"}}))
    missing = run(["check", "--config", str(config)])
    assert isinstance(missing.exception, CommandError)
    assert str(missing.exception).startswith("--current: give the file, or name it as data_drift_monitoring.current_d")


def spoilt(frame: pd.DataFrame, kind: str) -> tuple[pd.DataFrame, dict[str, object]]:
    """Calm rows with one fault, and the settings that it needs."""
    rng = np.random.default_rng(3)
    some, many = rng.random(len(frame)) < 0.2, rng.random(len(frame)) < 0.4
    put: dict[str, tuple[object, object, object]] = {
        "missing": (some, ["f0", "f1"], np.nan),
        "no prediction": (some, "prediction", np.nan),
        "unseen": (some, "plan", "unheard of"),
        "type": (some, "f0", "word"),
        "critical_feature": (slice(None), "f0", frame["f0"] + 5.0),
        "data_drift": (slice(None), ["f0", "f1", "f2", "f3"], frame[["f0", "f1", "f2", "f3"]] + 1.0),
        "prediction_drift": (slice(None), "prediction", 1),
        "accuracy": (many, "prediction", 1 - frame["prediction"]),
    }
    if kind == "unknown":
        return frame.assign(extra=1.0), {}
    rows, columns, value = put[kind]
    if kind == "type":
        frame = frame.astype({"f0": object})
    frame.loc[rows, columns] = value
    if kind == "critical_feature":
        return frame, {"alerting": {"critical_features": ["f0"]}}
    return frame, {"columns": {"numeric": ["f0"]}} if kind == "type" else {}


@pytest.mark.slow
def test_each_rule_that_the_stream_would_fire_is_a_finding(tmp_path: Path) -> None:
    expected = {
        "no prediction": ("data_quality", "missing", "findings"),
        "missing": ("data_quality", "missing", "findings"),
        "unseen": ("data_quality", "unseen", "drift"),  # and with it plan has drifted
        "type": ("data_quality", "type", "findings"), "unknown": ("data_quality", "unknown", "findings"),
        "critical_feature": ("critical_feature", "f0", "drift"), "data_drift": ("data_drift", "features", "drift"),
        "prediction_drift": ("prediction_drift", "prediction", "drift"),
        "accuracy": ("performance", "accuracy", "drift"),
    }  # fmt: skip
    for kind, (rule, subject, verdict) in expected.items():
        frame, settings = spoilt(calm(tmp_path), kind)
        found = checked(tmp_path, frame, settings)
        assert (rule, subject) in {(one.rule, one.subject) for one in found.findings}, kind
        assert (found.verdict, found.exit_status) == (verdict, 1), kind
        assert found.decision is not None
        alerting = {"critical_features": ["f0"], rule: {"enabled": False}}
        quiet, _ = findings_of(found.decision, msgspec.convert({"alerting": alerting}, Monitoring), NOW)
        assert rule not in {one.rule for one in quiet}, kind
        told = json.loads(write_check(found, tmp_path).read_text())
        assert (told["exit_status"], told["drifted"]) == (1, verdict == "drift")
        assert rule in {one["rule"] for one in told["findings"]}
        assert all(one["title"] and one["lines"] for one in told["findings"])
        said = list(lines_of(found, found.decision))
        assert all(any(one.title in line for line in said) for one in found.findings), kind


def test_what_a_column_does_not_compare_is_beside_it(tmp_path: Path) -> None:
    frame = calm(tmp_path)
    frame.loc[:299, "f0"] = np.nan
    frame.loc[300:309, "f1"] = 1e6
    frame.loc[:49, "plan"] = "c"
    found = checked(tmp_path, frame)
    assert found.decision is not None
    beside = {row[0]: row[-1] for row in rows_of(found.decision.drift)}
    out = (frame["f0"].loc[300:] > pd.read_csv(tmp_path / "r.csv")["f0"].max()).sum()
    out += (frame["f0"].loc[300:] < pd.read_csv(tmp_path / "r.csv")["f0"].min()).sum()
    assert beside["f0"] == "300 missing" + (f", {out} out of range" if out else "")
    assert "out of range" in beside["f1"]
    assert beside["plan"] == "50 unseen"


def test_a_rule_that_is_switched_off_fails_no_check_and_what_drifted_is_said(tmp_path: Path) -> None:
    frame = calm(tmp_path)
    frame[[f"f{i}" for i in range(5)]] += 1.0
    switched_off = {"data_drift": {"enabled": False}, "feature_drift": {"enabled": False}}
    found = checked(tmp_path, frame, {"alerting": switched_off})
    assert (found.verdict, found.exit_status, found.findings) == ("drift", 0, ())
    assert found.told()["drifted"] is True


def test_most_of_the_input_not_judged_is_no_decision_whatever_is_switched_off(tmp_path: Path) -> None:
    frame = calm(tmp_path)
    frame.loc[np.random.default_rng(5).random(len(frame)) < 0.7, [f"f{i}" for i in range(10)]] = np.nan
    silent = {"alerting": {"data_quality": {"enabled": False}}}
    found = checked(tmp_path, frame, silent)
    assert (found.verdict, found.exit_status) == ("no decision", 2)
    assert any("most of the input was not judged" in warning for warning in found.warnings)
    frame = calm(tmp_path)
    frame["prediction"] = frame["prediction"].astype(object)
    frame.loc[np.random.default_rng(6).random(len(frame)) < 0.7, "prediction"] = None
    found = checked(tmp_path, frame.drop(columns="target"), silent)
    assert found.exit_status == 2
    assert any("no prediction that can be read" in warning for warning in found.warnings)


def test_what_is_missing_in_the_reference_too_is_no_reason(tmp_path: Path) -> None:
    def sparse(path: Path, seed: int) -> None:
        rng = np.random.default_rng(seed)
        frame = answered(path, rng, 2000)
        frame.loc[rng.random(2000) < 0.8, [f"f{i}" for i in range(10)]] = np.nan
        frame.to_csv(path, index=False)

    sparse(tmp_path / "r.csv", 1)
    sparse(tmp_path / "c.csv", 2)
    found = check_files(tmp_path / "r.csv", tmp_path / "c.csv", now=NOW)
    assert (found.verdict, found.exit_status, found.warnings) == ("no drift", 0, ())


def test_performance_without_a_baseline_is_told_as_not_judged(tmp_path: Path) -> None:
    answered(tmp_path / "whole.csv", np.random.default_rng(1), 2000).drop(columns="target").to_csv(
        tmp_path / "r.csv", index=False
    )
    calm(tmp_path)
    found = check_files(tmp_path / "r.csv", tmp_path / "c.csv", now=NOW)
    assert {(one.rule, one.reason) for one in found.unjudged} == {
        ("performance", "no baseline: the reference has no truth")
    }
    assert found.decision is not None
    assert found.decision.performance is not None
    assert found.decision.performance.judged is False
    said = list(lines_of(found, found.decision))
    assert "performance: not judged: no baseline: the reference has no truth" in said
    assert not any("not degraded" in line or "too few" in line for line in said)


def test_repeated_ids_are_counted(tmp_path: Path) -> None:
    frame = calm(tmp_path)
    frame["prediction_id"] = [f"p{i // 2}" for i in range(len(frame))]
    assert checked(tmp_path, frame).repeated_ids == 500
