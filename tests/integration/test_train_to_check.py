"""From a table to a watched model, as somebody types it: train, register, api, predict, feedback, check."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pytest

from app.kafka.topics import ensure_topics
from app.settings.settings import Settings
from tests.support.kafka_topics import records_of
from tests.support.run_command import driftline
from tests.support.served_model import serving_of
from topics.events import DeploymentEvent, FeedbackEvent, ModelEvent, PredictionEvent, RetrainingEvent, TrainingRunEvent
from topics.registry import DEPLOYMENTS, FEEDBACK, MODELS, PREDICTIONS, RETRAINING, TRAINING_RUNS


def customers(n: int, seed: int, shift: float = 0.0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    tenure, plan = rng.exponential(24 + shift, n).round(1), rng.choice(["basic", "gold"], n)
    churned = rng.random(n) < 1 / (1 + np.exp(0.1 * tenure - 2 * (plan == "basic")))
    return pd.DataFrame({"tenure": tenure, "plan": plan, "churned": churned.astype(int)})


@pytest.mark.timeout(150)
async def test_a_table_becomes_a_model_that_is_served_and_watched(settings: Settings, tmp_path: Path) -> None:
    await ensure_topics(settings)
    data, folder = tmp_path / "customers.csv", tmp_path / "churn"
    customers(3000, 1).to_csv(data, index=False)
    names = ["--model", "churn", "--version", "3"]
    trained = driftline(
        settings, "train", "--data", str(data), "--target", "churned", "--output", str(folder), *names,
        "--label", "1=Churn", "--label", "0=No Churn", "--estimator", "linear", "--json",
    )  # fmt: skip
    assert trained.returncode == 0, trained.stderr
    assert json.loads(trained.stdout)["published"] is True
    (record,) = await records_of(settings, TRAINING_RUNS)
    run = msgspec.json.decode(record.value, type=TrainingRunEvent)
    assert (run.model, run.status, run.rows, run.features) == ("churn", "completed", 2250, 2)

    watched = ["--reference", str(folder / "reference.parquet"), "--config", str(folder / "monitoring.json")]
    registered = driftline(settings, "register", *names, *watched, "--json")
    assert registered.returncode == 0, registered.stderr
    assert json.loads(registered.stdout)["baseline"]["accuracy"] == pytest.approx(run.metrics["accuracy"])
    (record,) = await records_of(settings, MODELS)
    assert msgspec.json.decode(record.value, type=ModelEvent).model == "churn"

    now = customers(600, 2)
    asked = [
        {"features": row, "request_id": f"r{i}"}
        for i, row in enumerate(now[["tenure", "plan"]].to_dict("records"))
    ]  # fmt: skip
    async with serving_of(settings, folder) as client:
        answers = (await client.post("/predict", json=asked)).json()
        truth = [{"prediction_id": f"r{i}", "actual": int(actual)} for i, actual in enumerate(now["churned"])]
        assert (await client.post("/feedback", json=truth)).status_code == 200
    assert {one["prediction_label"] for one in answers} == {"Churn", "No Churn"}
    events = [msgspec.json.decode(r.value, type=PredictionEvent) for r in await records_of(settings, PREDICTIONS)]
    actual = [msgspec.json.decode(r.value, type=FeedbackEvent) for r in await records_of(settings, FEEDBACK)]
    assert {e.prediction_id for e in events} == {e.prediction_id for e in actual} == {f"r{i}" for i in range(600)}
    deployed = [msgspec.json.decode(r.value, type=DeploymentEvent) for r in await records_of(settings, DEPLOYMENTS)]
    assert [(one.source, one.model_version) for one in deployed] == [("register", "3"), ("api", "3")]

    told = pd.DataFrame([{"prediction": one["prediction"], "probability": one["probability"]} for one in answers])
    metadata = str(folder / "feature_metadata.json")
    for shift, status in ((0, 0), (60, 1)):
        current = tmp_path / f"current-{shift}.csv"
        now.assign(tenure=now["tenure"] + shift).join(told).to_csv(current, index=False)
        found = driftline(
            settings, "check", *watched, "--current", str(current), "--metadata", metadata, *names, "--json",
            "--output", str(tmp_path),
        )  # fmt: skip
        assert found.returncode == status, found.stderr
        assert json.loads(found.stdout)["performance"]["feedback"] == 600
    assert len(list((tmp_path / "artifacts" / "drift").iterdir())) == 2
    (record,) = await records_of(settings, RETRAINING)
    signal = msgspec.json.decode(record.value, type=RetrainingEvent)
    assert (signal.model, signal.source, signal.evidence["drifted_features"]) == ("churn", "check", ["tenure"])
