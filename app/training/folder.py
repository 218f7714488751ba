"""Files of a training: the bundle, the reference, and the monitoring configuration."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, replace
from pathlib import Path

from app.core.values.reading import spelled
from app.registration.setup import read_monitoring
from app.serving.bundle import save_bundle
from app.training.categories import categories_of
from app.training.columns import stats_of
from app.training.examples import examples_of, why_left_out
from app.training.fitting import TrainedModel

REFERENCE, MONITORING = "reference.parquet", "monitoring.json"


def write(folder: Path, trained: TrainedModel, model: str, version: str) -> str:
    """Write the bundle, and the files for `register`, into one folder. Return the model's SHA-256.

    Columns that an existing monitoring.json hides stay hidden. Raises OSError, and MonitoringError where the file
    cannot be read.
    """
    trained = hidden_as_before(folder, trained)
    folder.mkdir(parents=True, exist_ok=True)
    _write_reference(folder / REFERENCE, trained)
    watched = json.dumps(monitoring_of(trained), indent=2, ensure_ascii=False)
    (folder / MONITORING).write_text(f"{watched}\n", encoding="utf-8")
    inputs, plan = trained.inputs, trained.plan
    # the pipelines take null in every column, whether or not there was one in training
    types = {name: {"type": kind, "nullable": True} for name, kind in inputs.types.items()}
    hidden = (*plan.redact, *plan.hashed)
    return save_bundle(
        folder, trained.pipeline, inputs.kinds, model=model, model_version=version, types=types,
        feature_stats=stats_of(inputs, hidden), categories=categories_of(trained.pipeline, hidden),
        training={
            "timestamp": trained.finished_at.isoformat(timespec="seconds"),
            "training_metrics": dict(trained.metrics), "labels": dict(trained.plan.labels),
            "positive_label": trained.positive_label, "warnings": [asdict(one) for one in trained.warnings],
            "examples": examples_of(trained, model, version), "examples_left_out": why_left_out(trained),
        },
    )  # fmt: skip


def _write_reference(path: Path, trained: TrainedModel) -> None:
    """Write the held-out rows, without redacted columns, which `register` drops anyway.

    Hashed columns are in clear text, because `register` hashes them. In that case only the owner can read the file.
    """
    shown = trained.reference.drop(columns=[name for name in trained.plan.redact if name in trained.reference])
    if not trained.plan.hashed:
        shown.to_parquet(path, index=False)
        return
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        shown.to_parquet(file, index=False)
    fresh.replace(path)


def hidden_as_before(folder: Path, trained: TrainedModel) -> TrainedModel:
    """Return a training that also hides the features and metadata hidden by a monitoring.json in the folder.

    A training overwrites that file, and must not reveal hidden values. Raises MonitoringError, OSError.
    """
    path = folder / MONITORING
    if not path.exists():
        return trained
    plan, before = trained.plan, read_monitoring(path).columns
    given = {*plan.redact, *plan.hashed}
    redact, hashed = (
        (*now, *(name for name in names if name not in given))
        for now, names in ((plan.redact, before.redact), (plan.hashed, before.hash))
    )
    return replace(trained, plan=replace(plan, redact=redact, hashed=hashed))


def monitoring_of(trained: TrainedModel) -> dict[str, object]:
    """Return monitoring.json for the reference: its columns by their roles; all other keys keep their defaults."""
    kinds, plan = trained.inputs.kinds, trained.plan
    categorical = [name for name, kind in kinds.items() if kind == "categorical" or name in plan.hashed]
    columns: dict[str, object] = {
        "features": list(kinds),
        "categorical": [name for name in categorical if name not in plan.redact],
        "target": plan.target,
    }
    columns |= {key: list(names) for key, names in (("redact", plan.redact), ("hash", plan.hashed)) if names}
    told: dict[str, object] = {"columns": columns, "task": trained.task}
    if trained.positive_label is not None:
        told["positive_label"] = trained.positive_label
    if trained.task != "regression":
        told["labels"] = sorted(spelled(label) for label in trained.pipeline.classes_.tolist())
    return told
