"""Other people's tables through a real worker: what `check` says of a file, the stream says of its replay."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
from sklearn.metrics import accuracy_score

from app.kafka.topics import ensure_topics
from app.settings.settings import Settings, environment
from tests.support import stream
from topics.events import DriftReport, PerformanceReport

START = 1_772_366_400
N = 600
CODES = [2**62 + 1, 2**62 + 2, 7]


def typed(*arguments: str, settings: Settings) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "app.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=90, env=environment(settings))


def people(seed: int, n: int = N, new: float = 0.1) -> pd.DataFrame:
    """Codes of 64 bits, Namibia's NA, a bad cell, classes with a truth that has gaps and a class of its own."""
    rng = np.random.default_rng(seed)
    classes = rng.integers(0, 3, n)
    told = np.where(rng.random(n) < 0.8, classes, (classes + 1) % 3)
    truth = pd.Series(np.where(rng.random(n) < new, 9, classes), dtype="Int64").mask(rng.random(n) < 0.05)
    income = rng.normal(100, 10, n).round(2).astype(str)
    income[17] = "unknown"
    return pd.DataFrame({
        "prediction_id": np.arange(n), "timestamp": START + np.arange(n) * 100 / n, "income": income,
        "city": rng.choice(["NA", "None", "Köln"], n), "code": rng.choice(np.array(CODES), n),
        "member": rng.choice([True, False], n), "prediction": told, "target": truth,
    })  # fmt: skip


async def reports_of(settings: Settings, *, feedback: int) -> tuple[DriftReport, PerformanceReport]:
    """The newest reports of the window that has all of the rows and of the truth."""

    def whole(counts: stream.Counts) -> tuple[DriftReport, PerformanceReport] | None:
        found = {kind: report for (kind, _), report in counts.reports.items() if report.n == N}
        drift, performance = found.get("drift"), found.get("performance")
        if not isinstance(drift, DriftReport) or not isinstance(performance, PerformanceReport):
            return None
        return (drift, performance) if performance.feedback == feedback else None

    found = whole(await stream.until(settings, lambda counts: whole(counts) is not None, 60))
    assert found is not None
    return found


async def test_a_file_is_the_same_in_check_and_in_the_stream(settings: Settings, tmp_path: Path) -> None:
    await ensure_topics(settings)
    reference, current = people(1, 3000, new=0.0), people(2)
    reference.to_csv(tmp_path / "reference.csv")  # with its row numbers
    current.sample(frac=1.0, random_state=1).to_json(tmp_path / "current.jsonl", orient="records", lines=True)
    truth = current[["prediction_id", "target"]].dropna().rename(columns={"target": "actual"})
    truth.assign(prediction_id=truth["prediction_id"].map("{}.0".format)).to_csv(
        tmp_path / "truth.csv", index=False, sep=";", encoding="utf-16"
    )
    config = {"columns": {"categorical": ["code"]}, "windows": {"pane": 120, "panes": 1, "allowance": 0}}
    (tmp_path / "monitoring.json").write_text(json.dumps(config))
    given = ["--reference", str(tmp_path / "reference.csv"), "--config", str(tmp_path / "monitoring.json")]
    names = ["--model", "m", "--version", "1"]

    offline = typed("check", *given, "--current", str(tmp_path / "current.jsonl"), "--json", settings=settings)
    assert offline.returncode == 1, offline.stderr
    checked = json.loads(offline.stdout)
    registered = typed("register", *names, *given, settings=settings)
    assert registered.returncode == 0, registered.stderr
    assert "Unnamed: 0 is left out: it counts its rows" in registered.stderr
    assert "income: 1 of 3,000 cells are no numbers: row 18 'unknown'" in registered.stderr
    with stream.worker(settings):
        files = ["--predictions", str(tmp_path / "current.jsonl"), "--feedback", str(tmp_path / "truth.csv")]
        sent = typed("replay", *names, *files, settings=settings)
        assert sent.returncode == 0, sent.stderr
        assert "they are sorted for sending" in sent.stderr
        assert "read as UTF-16, separated by semicolons" in sent.stderr
        drift, performance = await reports_of(settings, feedback=len(truth))
    said, want = json.loads(msgspec.json.encode(drift)), checked["drift"]
    others = want.keys() - {"unknown_features", "needed_panes", "first_panes"}  # a table has no panes
    assert {name: said[name] for name in others} == {name: want[name] for name in others}
    by_name = {feature.name: feature for feature in drift.features}
    assert (by_name["income"].n, by_name["income"].invalid) == (N - 1, 1)
    assert all(by_name[name].unseen == 0 for name in ("city", "code", "member"))
    known = current.dropna()
    value = next(metric.value for metric in performance.metrics if metric.name == "accuracy")
    assert value == accuracy_score(known["target"].astype(int), known["prediction"])
    assert performance.unknown_actuals == {"9": int((known["target"] == 9).sum())}
    assert checked["performance"]["unknown_actuals"] == performance.unknown_actuals


async def test_features_alone_are_watched(settings: Settings, tmp_path: Path) -> None:
    await ensure_topics(settings)
    rng = np.random.default_rng(3)
    pd.DataFrame({"x": rng.normal(size=2000).round(3), "plan": rng.choice(["a", "b"], 2000)}).to_csv(
        tmp_path / "reference.csv", index=False
    )
    moved = pd.DataFrame({
        "prediction_id": range(N), "timestamp": START * 1000 + np.arange(N), "x": rng.normal(2, 1, N).round(3),
        "plan": rng.choice(["a", "b"], N),
    })  # fmt: skip
    moved.to_csv(tmp_path / "moved.csv", index=False)
    (tmp_path / "monitoring.json").write_text(json.dumps({"windows": {"pane": 60, "panes": 1, "allowance": 0}}))
    names = ["--model", "alone", "--version", "1"]
    registered = typed(
        "register", *names, "--reference", str(tmp_path / "reference.csv"), "--config",
        str(tmp_path / "monitoring.json"), settings=settings,
    )  # fmt: skip
    assert registered.returncode == 0, registered.stderr
    assert "task features" in registered.stderr
    with stream.worker(settings):
        sent = typed("replay", *names, "--predictions", str(tmp_path / "moved.csv"), settings=settings)
        assert sent.returncode == 0, sent.stderr
        assert "read as milliseconds since 1970" in sent.stderr
        drift, performance = await reports_of(settings, feedback=0)
    assert drift.drifted_features == ("x",)
    assert drift.prediction is None
    assert not drift.prediction_drift
    assert (performance.metrics, performance.judged) == ((), False)
    assert performance.reason
    assert math.isclose(drift.drift_share, 0.5)
