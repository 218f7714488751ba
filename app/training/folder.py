"""What a training leaves behind: the bundle, the reference, and how it is to be watched."""

from __future__ import annotations

import json
from pathlib import Path

from app.core.values.reading import spelled
from app.serving.bundle import save_bundle
from app.training.columns import stats_of
from app.training.fitting import Trained

REFERENCE, MONITORING = "reference.parquet", "monitoring.json"


def write(folder: Path, trained: Trained, model: str, version: str) -> str:
    """Write the bundle, and what `register` takes, into one folder; answers the model's SHA-256. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    trained.reference.to_parquet(folder / REFERENCE, index=False)
    watched = json.dumps(monitoring_of(trained), indent=2, ensure_ascii=False)
    (folder / MONITORING).write_text(f"{watched}\n", encoding="utf-8")
    categorical = {name: kind for name, kind in trained.inputs.types.items() if kind != "number"}
    return save_bundle(
        folder, trained.pipeline, trained.inputs.kinds, model=model, model_version=version, types=categorical,
        feature_stats=stats_of(trained.inputs),
        training={
            "timestamp": trained.finished_at.isoformat(timespec="seconds"),
            "training_metrics": dict(trained.metrics), "labels": dict(trained.plan.labels),
            "positive_label": trained.positive_label,
        },
    )  # fmt: skip


def monitoring_of(trained: Trained) -> dict[str, object]:
    """monitoring.json for the reference: its columns by their roles; all else keeps its default."""
    kinds = trained.inputs.kinds
    columns: dict[str, object] = {
        "features": list(kinds),
        "categorical": [name for name, kind in kinds.items() if kind == "categorical"],
        "target": trained.plan.target,
    }
    told: dict[str, object] = {"columns": columns, "task": trained.task}
    if trained.positive_label is not None:
        told["positive_label"] = trained.positive_label
    if trained.task != "regression":
        told["labels"] = sorted(spelled(label) for label in trained.pipeline.classes_.tolist())
    return told
