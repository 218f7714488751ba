"""Record of a training run, and its publication in Kafka."""

from __future__ import annotations

import uuid
from datetime import datetime

import msgspec

from app.kafka.producer import Producer
from app.kafka.topics import ensure_topics
from app.settings.settings import Settings
from app.training.fitting import TrainedModel, TrainingPlan
from topics.events import TrainingRunEvent
from topics.registry import TRAINING_RUNS


def run_of(trained: TrainedModel, model: str, version: str, dataset: str, sha256: str) -> TrainingRunEvent:
    """Return the record of a completed run."""
    return TrainingRunEvent(
        run_id=uuid.uuid4().hex,
        model=model,
        model_version=version,
        model_type=type(trained.pipeline.steps[-1][1]).__name__,
        status="completed",
        started_at=trained.started_at,
        finished_at=trained.finished_at,
        rows=trained.rows,
        features=len(trained.inputs.kinds),
        metrics=dict(trained.metrics),
        parameters=_parameters(trained.plan) | {"task": trained.task, "held_out": float(len(trained.reference))},
        dataset=dataset,
        sha256=sha256,
    )


def failed_run(
    plan: TrainingPlan, model: str, version: str, dataset: str, rows: int, detail: str,
    started: datetime, finished: datetime
) -> TrainingRunEvent:  # fmt: skip
    """Return the record of a failed run."""
    return TrainingRunEvent(
        run_id=uuid.uuid4().hex, model=model, model_version=version, model_type="", status="failed",
        started_at=started, finished_at=finished, rows=rows, features=0, metrics={},
        parameters=_parameters(plan), dataset=dataset, detail=detail,
    )  # fmt: skip


def _parameters(plan: TrainingPlan) -> dict[str, str | float | bool | None]:
    return {
        "target": plan.target, "estimator": plan.estimator, "holdout": plan.holdout, "seed": float(plan.seed),
        "positive_label": plan.positive_label, "ignore": ",".join(plan.ignore),
        "categorical": ",".join(plan.categorical),
    }  # fmt: skip


async def publish(settings: Settings, run: TrainingRunEvent) -> None:
    """Send the record of a run. Return once Kafka has acknowledged it. Raises TopicError, BrokerUnavailable."""
    async with Producer(settings) as producer:
        await ensure_topics(settings, [TRAINING_RUNS])
        await producer.send(TRAINING_RUNS, f"{run.model}/{run.model_version}".encode(), msgspec.json.encode(run))
