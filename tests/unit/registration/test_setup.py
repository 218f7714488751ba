"""setup_monitoring: a complete configuration from metadata, and every wrong key by its name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from app.core.reference.metadata import METRICS
from app.offline.decision import judge
from app.registration.monitoring import MonitoringError
from app.registration.profiling import profile_of
from app.registration.publish import read_baseline
from app.registration.setup import read_monitoring, setup_monitoring

MODEL = {
    "timestamp": "2026-06-01T12:00:00+00:00", "model_type": "LogisticRegression",
    "training_metrics": {"accuracy": 0.85, "roc_auc": 0.9, "seconds": 12.0},
}  # fmt: skip
FEATURES = {
    "features": ["age", "plan", "visits"],
    "feature_stats": {"age": {"mean": 40.0, "std": 12.0}, "plan": {"unique": 3}, "visits": {"mean": 3.0}},
}
COMPLETE = {
    "enabled": True,
    "performance_monitoring": {
        "enabled": True, "policy": "decision", "metrics": ["accuracy", "roc_auc"],
        "thresholds": {"accuracy": 0.05, "roc_auc": 0.05}, "limits": {},
        "baseline": {"accuracy": 0.85, "roc_auc": 0.9},
    },
    "data_drift_monitoring": {
        "enabled": True, "check_frequency": 60.0, "reference_data_path": None, "current_data_path": None,
        "drift_thresholds": {
            "policy": "decision", "alpha": 0.05, "numerical_effect": 0.1, "categorical": 0.1, "min_samples": 500,
        },
        "numerical_features": ["age"], "categorical_features": ["plan", "visits"],
    },
    "alerting": {"enabled": True, "channels": ["log", "file"], "thresholds": {"degradation": 0.1, "drift": 0.3}},
}  # fmt: skip


def test_the_complete_configuration_has_these_keys_and_no_others() -> None:
    assert setup_monitoring(MODEL, FEATURES).model_dump() == COMPLETE


def test_what_the_configuration_says_wins_and_the_rest_stays() -> None:
    found = setup_monitoring(MODEL, FEATURES, {
        "performance_monitoring": {
            "metrics": ["accuracy"], "thresholds": {"accuracy": 0.2}, "baseline": {"accuracy": 0.8},
        },
        "data_drift_monitoring": {
            "check_frequency": "hourly", "numerical_features": ["visits"], "drift_thresholds": {"alpha": 0.01},
        },
        "alerting": {"channels": ["email"], "thresholds": {"drift": 0.5}},
    }).model_dump()  # fmt: skip
    assert found["performance_monitoring"]["thresholds"] == {"accuracy": 0.2}
    assert found["performance_monitoring"]["baseline"] == {"accuracy": 0.8, "roc_auc": 0.9}
    assert found["data_drift_monitoring"]["numerical_features"] == ["visits", "age"]
    assert found["data_drift_monitoring"]["categorical_features"] == ["plan"]
    assert found["data_drift_monitoring"]["drift_thresholds"] == {
        **COMPLETE["data_drift_monitoring"]["drift_thresholds"], "alpha": 0.01,  # type: ignore[index]
    }  # fmt: skip
    assert found["alerting"] == {
        "enabled": True, "channels": ["email"], "thresholds": {"degradation": 0.1, "drift": 0.5},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"performance": {}}, "unknown key performance"),
        ({"enabled": "yes"}, "enabled: input should be a valid boolean, not 'yes'"),
        ({"alerting": {"treshold": {}}}, r"unknown key alerting\.treshold"),
        ({"alerting": {"thresholds": {"drift": 1.5}}}, r"alerting\.thresholds\.drift: input should be less"),
        ({"alerting": {"thresholds": {"degradation": "0.1"}}}, r"alerting\.thresholds\.degradation: .*not '0.1'"),
        ({"alerting": []}, "alerting: "),
        ({"performance_monitoring": {"metrics": ["acuracy"]}}, r"performance_monitoring\.metrics: no metric 'acuracy'"),
        (
            {"performance_monitoring": {"metrics": ["f1"], "thresholds": {"mae": 0.1}}},
            r"performance_monitoring\.thresholds\.mae: not one of",
        ),
        ({"performance_monitoring": {"baseline": {"f1": "good"}}}, r"performance_monitoring\.baseline\.f1: "),
        ({"performance_monitoring": 5}, "performance_monitoring: must be an object"),
        ({"data_drift_monitoring": {"check_frequency": "often"}}, r"check_frequency: must be seconds above 0 or"),
        ({"data_drift_monitoring": {"check_frequency": 0}}, r"data_drift_monitoring\.check_frequency: must be sec"),
        (
            {"data_drift_monitoring": {"numerical_features": ["agee"]}},
            r"data_drift_monitoring\.numerical_features: 'agee' is not one of the features; did you mean age",
        ),
        (
            {"data_drift_monitoring": {"numerical_features": ["age"], "categorical_features": ["age"]}},
            "age is in both",
        ),
        ({"data_drift_monitoring": {"drift_thresholds": {"alpha": 0}}}, r"drift_thresholds\.alpha: input should be gr"),
        ({"data_drift_monitoring": {"drift_thresholds": {"alpha": 0.1, "numerical": 0.1}}}, "numerical: alpha is"),
        (
            {"performance_monitoring": {"thresholds": {"f1": 0.1, "f1_score": 0.1}}},
            r"performance_monitoring\.thresholds\.f1: is given twice; f1_score is another name",
        ),
        (
            {"performance_monitoring": {"metrics": ["auc_roc"], "limits": {"roc_auc": 0.8}}},
            r"performance_monitoring\.limits: decide with policy",
        ),
        (
            {"performance_monitoring": {"policy": "threshold", "limits": {"recall": 0.8}, "metrics": ["f1"]}},
            r"performance_monitoring\.limits\.recall: not one of",
        ),
    ],
)  # fmt: skip
def test_a_wrong_key_is_named(config: dict[str, Any], words: str) -> None:
    with pytest.raises(MonitoringError, match=words):
        setup_monitoring(MODEL, FEATURES, config)


FIVE = {"accuracy": 0.85, "precision": 0.8, "recall": 0.75, "f1_score": 0.77, "auc_roc": 0.9}
"""A model's metrics as scikit-learn's functions are called."""
OWN = {"accuracy": 0.85, "precision": 0.8, "recall": 0.75, "f1": 0.77, "roc_auc": 0.9}


def test_the_names_of_the_first_configuration_files_are_known(tmp_path: Path) -> None:
    found = setup_monitoring(
        {"training_metrics": FIVE}, FEATURES,
        {
            "performance_monitoring": {"thresholds": {"f1_score": 0.1, "auc_roc": 0.02}},
            "data_drift_monitoring": {"drift_thresholds": {"numerical": 0.01, "categorical": 0.2}},
        },
    ).model_dump()  # fmt: skip
    performance = found["performance_monitoring"]
    assert performance["baseline"] == OWN
    assert performance["metrics"] == list(OWN)
    assert performance["thresholds"] == {**dict.fromkeys(OWN, 0.05), "f1": 0.1, "roc_auc": 0.02}
    thresholds = found["data_drift_monitoring"]["drift_thresholds"]
    assert (thresholds["alpha"], thresholds["categorical"], thresholds["numerical_effect"]) == (0.01, 0.2, 0.1)
    (tmp_path / "setup.json").write_text(json.dumps(found))
    (tmp_path / "training_metadata.json").write_text(json.dumps({"training_metrics": FIVE}))
    assert (
        read_monitoring(tmp_path / "setup.json").baseline == read_baseline(tmp_path / "training_metadata.json") == OWN
    )
    own = {
        "policy": "threshold", "metrics": {"f1_score": 0.1}, "limits": {"auc_roc": 0.8},
        "show": ["f1_score", "f1", "mae"],
    }  # fmt: skip
    (tmp_path / "monitoring.json").write_text(json.dumps({"performance": own}))
    watched = read_monitoring(tmp_path / "monitoring.json").monitoring.performance
    assert (watched.metrics, watched.limits, watched.show) == ({"f1": 0.1}, {"roc_auc": 0.8}, ("f1", "mae"))


@pytest.mark.parametrize(
    ("performance", "words"),
    [
        ({"metrics": {"f1_scores": 0.1}}, r"performance\.metrics\.f1_scores: no metric 'f1_scores'"),
        ({"metrics": {"f1": 0.1, "f1_score": 0.1}}, r"performance\.metrics\.f1: is given twice"),
        ({"limits": {"f1": 0.8}}, r"performance\.limits: decide with performance\.policy"),
        ({"policy": "absolute"}, r"performance\.policy: "),
    ],
)
def test_a_wrong_metric_is_named(tmp_path: Path, performance: dict[str, Any], words: str) -> None:
    path = tmp_path / "monitoring.json"
    path.write_text(json.dumps({"performance": performance}))
    with pytest.raises(MonitoringError, match=words):
        read_monitoring(path)


def rows(n: int = 2000, shift: float = 0.0, right: float = 0.9) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    target = rng.integers(0, 2, n)
    return pd.DataFrame({
        "age": rng.normal(40 + shift, 12, n), "plan": rng.choice(["a", "b", "c"], n), "visits": rng.integers(0, 4, n),
        "prediction": np.where(rng.random(n) < right, target, 1 - target), "target": target,
    })  # fmt: skip


def written(path: Path, **changes: Any) -> Path:
    path.write_text(json.dumps({**COMPLETE, **changes}))
    return path


def test_register_takes_it_as_it_is_shown(tmp_path: Path) -> None:
    performance = {**COMPLETE["performance_monitoring"], "metrics": ["f1"], "thresholds": {"f1": 0.2}}  # type: ignore[dict-item]
    drift = {**COMPLETE["data_drift_monitoring"], "check_frequency": "daily", "reference_data_path": "r.csv"}  # type: ignore[dict-item]
    file = read_monitoring(
        written(tmp_path / "m.json", performance_monitoring=performance, data_drift_monitoring=drift)
    )
    assert file.current is None
    assert (file.reference, file.baseline) == ("r.csv", {"accuracy": 0.85, "roc_auc": 0.9})
    assert (file.monitoring.windows.pane, file.monitoring.windows.panes) == (86_400.0, 1)
    assert (file.monitoring.drift.share, file.monitoring.performance.degradation) == (0.3, 0.1)
    profile = profile_of("m", "1", rows(), file, file.baseline)
    assert {c.name: c.kind for c in profile.features} == {
        "age": "numeric", "plan": "categorical", "visits": "categorical",
    }  # fmt: skip
    worse = judge(profile, rows(shift=30, right=0.75), file.monitoring, file.columns)
    assert worse.drift.drift_detected
    assert worse.drift.drifted_features == ("age",)
    assert worse.performance is not None
    assert set(worse.performance.degraded_metrics) <= {"f1"}


def test_switched_off_nothing_is_told(tmp_path: Path) -> None:
    def enabled(**changes: Any) -> set[str]:
        alerting = read_monitoring(written(tmp_path / "m.json", **changes)).monitoring.alerting
        names = ("data_drift", "prediction_drift", "performance", "performance_estimate", "data_quality", "traffic")
        return {name for name in names if getattr(alerting, name).enabled}

    assert len(enabled()) == 6
    assert enabled(enabled=False) == enabled(alerting={"enabled": False, "thresholds": {}}) == set()
    off: dict[str, Any] = {"performance_monitoring": {"enabled": False}, "data_drift_monitoring": {"enabled": False}}
    assert enabled(**off) == {"traffic"}


def test_the_metrics_are_those_that_there_are() -> None:
    from app.core.evaluation.performance import metrics_of
    from app.core.panes.outcomes import outcome_layout
    from app.core.panes.pane import Pane

    frames = (rows().assign(probability=0.5), rows().assign(prediction=[0, 1, 2, 1] * 500), rows())
    found: set[str] = set()
    for frame, task in zip(frames, ("binary", "multiclass", "regression"), strict=True):
        layout = outcome_layout(profile_of("m", "1", frame, read_monitoring(None).__class__(task=task)))  # type: ignore[arg-type]
        found |= {metric.name for metric in metrics_of(layout, Pane.empty(layout.sums))}
    assert found == set(METRICS)
