"""Model bundle, a folder with `model.joblib`, `feature_metadata.json` and `training_metadata.json`."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app.core.reference.profile import Kind
from app.serving.outputs import classes_of, list_of
from app.serving.types import FeatureType, Scalar, ValueType
from app.serving.versions import Versions, versions_of_training

__all__ = [
    "FEATURES",
    "MODEL",
    "TRAINING",
    "Bundle",
    "BundleError",
    "Training",
    "ValueType",
    "classes_of",
    "list_of",
    "save_bundle",
]

MODEL, FEATURES, TRAINING = "model.joblib", "feature_metadata.json", "training_metadata.json"
MOST_EXAMPLES = 10


class BundleError(ValueError):
    """Raised for a folder that is not a servable model. The message says what to do."""


@dataclass(frozen=True, slots=True)
class Training:
    """Content of training_metadata.json.

    `labels` maps a prediction, spelled as a category, to its readable name. `positive_label` (spelled as a category) is
    the class whose probability is returned; None means the estimator's last class. `warnings`: the warnings of the
    training. `examples_left_out`: why no example rows are stored, if so.
    """

    model: str
    model_version: str
    model_type: str
    timestamp: str
    training_metrics: Mapping[str, float] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    positive_label: str | None = None
    warnings: Sequence[Mapping[str, Any]] = ()
    examples_left_out: str = ""


@dataclass(frozen=True)
class Bundle:
    """A loaded model: its estimator, its features in the order of its frame, and its training metadata.

    `cautions`: warnings for users of the model, one sentence each. `examples`: the number of stored examples that were
    tried at loading. `known_good`: a row that the model should be able to predict, where there is one. `extended`: the
    argument of `types.frame_of`.
    """

    estimator: Any
    kinds: Mapping[str, Kind]
    types: Mapping[str, FeatureType]
    training: Training
    cautions: tuple[str, ...] = ()
    sha256: str = ""
    libraries: Mapping[str, Versions] = field(default_factory=dict)
    examples: int = 0
    known_good: Mapping[str, Scalar] | None = None
    extended: bool = False


def save_bundle(  # noqa: PLR0913 (the arguments are independent, and passed by name)
    folder: Path,
    estimator: object,
    kinds: Mapping[str, Kind],
    *,
    model: str,
    model_version: str,
    training: Mapping[str, Any] | None = None,
    types: Mapping[str, ValueType | Mapping[str, object]] | None = None,
    feature_stats: Mapping[str, Mapping[str, object]] | None = None,
    categories: Mapping[str, Sequence[str | int | bool]] | None = None,
) -> str:
    """Write a bundle; return the SHA-256 of its model.

    `kinds`: the kind of each feature, in the order of training. `training`: any other field of Training, and
    `examples`. The default of timestamp is now, and that of model_type the estimator's class. Each example has
    "features", "prediction" and "probability", and is tried when the bundle is loaded. `types`: the types of
    categorical features that are not text, as `types.feature_type` reads them. `feature_stats`: statistics of each
    feature's values. `categories`: those known to a model that encodes raw values itself; they are for readers, and are
    not checked.
    """
    saved_at = datetime.now(UTC).isoformat(timespec="seconds")
    import joblib  # scikit-learn is half of the API's start, and most APIs serve no model

    more: dict[str, Any] = {"model_type": _type_of(estimator), "timestamp": saved_at, **(training or {})}
    examples = {"examples": more.pop("examples")} if "examples" in more else {}
    told = Training(model=model, model_version=model_version, **more)
    written = io.BytesIO()
    joblib.dump(estimator, written, compress=3)
    folder.mkdir(parents=True, exist_ok=True)
    sha256 = hashlib.sha256(written.getvalue()).hexdigest()
    _replace(folder / MODEL, written.getvalue())
    described = {"features": dict(kinds), "types": dict(types or {}), "feature_stats": dict(feature_stats or {})}
    if categories is not None:
        described["categories"] = {name: list(known) for name, known in categories.items()}
    _replace(folder / FEATURES, _json(described))
    written_last = asdict(told) | examples | {"sha256": sha256, "versions": versions_of_training()}
    _replace(folder / TRAINING, _json(written_last))  # last, so that a reader finds the other files too
    return sha256


def _type_of(estimator: object) -> str:
    """Return the name of the estimator's class; of a pipeline, the name of its last step's class."""
    steps = getattr(estimator, "steps", None)
    return type(steps[-1][1] if steps else estimator).__name__


def _json(value: Mapping[str, object]) -> bytes:
    return json.dumps(value, indent=2, ensure_ascii=False).encode() + b"\n"


def _replace(path: Path, content: bytes) -> None:
    """Replace a file completely, even if the process is killed meanwhile."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_bytes(content)
    fresh.replace(path)
