"""A model in a folder: `model.joblib`, `feature_metadata.json`, `training_metadata.json`.

joblib files run code when they are loaded. So a bundle is loaded from the configured folder only, and not if
`model.joblib` has another SHA-256 than its metadata names: that finds damage and mix-ups, it does not make a
stranger's folder safe.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, cast, get_args

from app.core.metadata import kinds_by_stats
from app.core.naming import wrong_name
from app.core.profile import Kind
from app.core.values.reading import spelled

MODEL, FEATURES, TRAINING = "model.joblib", "feature_metadata.json", "training_metadata.json"

ValueType = Literal["number", "text", "integer", "boolean"]
"""What the model was trained to take: numeric features are numbers, categorical ones text, integers or booleans."""


class BundleError(ValueError):
    """Why a folder is not a model to serve, and what to do about it."""


@dataclass(frozen=True, slots=True)
class Training:
    """What training_metadata.json says. `labels`: a prediction, spelled as a category, -> its name for people.

    `positive_label` (spelled as a category) is the class whose probability is told; None: the estimator's last.
    """

    model: str
    model_version: str
    model_type: str
    timestamp: str
    training_metrics: Mapping[str, float] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    positive_label: str | None = None


@dataclass(frozen=True)
class Bundle:
    """A loaded model: its estimator, its features by name, and what is known of its training.

    `cautions`: what somebody should know who relies on it, in a sentence each.
    """

    estimator: Any
    kinds: Mapping[str, Kind]
    types: Mapping[str, ValueType]
    training: Training
    cautions: tuple[str, ...] = ()


def save_bundle(
    folder: Path,
    estimator: object,
    kinds: Mapping[str, Kind],
    *,
    model: str,
    model_version: str,
    training: Mapping[str, Any] | None = None,
    types: Mapping[str, ValueType] | None = None,
    feature_stats: Mapping[str, Mapping[str, object]] | None = None,
) -> str:
    """Write a bundle; answers the SHA-256 of its model. `kinds`: each feature's, in the order of training.

    `training`: any of Training's other fields (timestamp: now; model_type: the estimator's class). `types`: of
    categorical features that are not text. `feature_stats`: what each feature's values were in training.
    """
    given = {"model_type": _type_of(estimator), "timestamp": datetime.now(UTC).isoformat(timespec="seconds")}
    import joblib  # scikit-learn is half of the API's start, which most serve no model with
    import sklearn

    told = Training(model=model, model_version=model_version, **(given | dict(training or {})))
    written = io.BytesIO()
    joblib.dump(estimator, written, compress=3)
    folder.mkdir(parents=True, exist_ok=True)
    sha256 = hashlib.sha256(written.getvalue()).hexdigest()
    _replace(folder / MODEL, written.getvalue())
    described = {"features": dict(kinds), "types": dict(types or {}), "feature_stats": dict(feature_stats or {})}
    _replace(folder / FEATURES, _json(described))
    versions = {"scikit_learn": sklearn.__version__, "python": platform.python_version()}
    _replace(folder / TRAINING, _json(asdict(told) | {"sha256": sha256, "versions": versions}))
    return sha256


def load_bundle(folder: Path) -> Bundle:
    """Load a bundle. Raises BundleError naming the file and the field."""
    home = folder.expanduser().resolve()
    if not home.is_dir():
        raise BundleError(f"{folder}: no such folder; model_path must be a folder with {MODEL}")
    features, training = _object(home / FEATURES), _object(home / TRAINING)
    known = Training.__dataclass_fields__
    _check(home / TRAINING, training)
    names, unnamed = _names(home, training)
    kinds = _kinds(home / FEATURES, features)
    if not kinds:
        raise BundleError(f"{home / FEATURES}: features names none")
    given = _choices(home / FEATURES, "types", features.get("types", {}), get_args(ValueType))
    types = {name: given.get(name, "number" if kind == "numeric" else "text") for name, kind in kinds.items()}
    estimator, cautions = _estimator(home, training.get("sha256"))
    positive, classes = training.get("positive_label"), classes_of(estimator)
    if positive is not None and positive not in classes:
        raise BundleError(f"{home / TRAINING}: positive_label {positive!r} is not one of {', '.join(classes)}")
    return Bundle(
        estimator=estimator,
        kinds=cast(Mapping[str, Kind], kinds),
        types=cast(Mapping[str, ValueType], types),
        training=Training(**{name: value for name, value in (training | names).items() if name in known}),
        cautions=(*unnamed, *cautions),
    )


def _check(path: Path, training: Mapping[str, Any]) -> None:
    """Refuse what is missing, or of the wrong type."""
    given = [name for name in ("model", "model_version", "sha256") if name in training]
    for name in ("model_type", "timestamp", *given):
        if not isinstance(training.get(name), str) or not training[name]:
            raise BundleError(f"{path}: {name} must be a text")
    for name in ("training_metrics", "labels"):
        if not isinstance(training.get(name, {}), dict):
            raise BundleError(f"{path}: {name} must be an object")
    for label, told in training.get("labels", {}).items():
        if not isinstance(told, str):
            raise BundleError(f"{path}: labels.{label} must be a text, not {told!r}")


def _names(home: Path, training: Mapping[str, Any]) -> tuple[dict[str, str], tuple[str, ...]]:
    """The model's name and version, and what is to be said where the metadata, written elsewhere, has none."""
    instead = {"model": ("the folder's name", home.name), "model_version": ("its timestamp", training["timestamp"])}
    names = {key: training.get(key, other) for key, (_, other) in instead.items()}
    for key, name in names.items():
        if wrong := wrong_name(name):
            raise BundleError(f"{home / TRAINING}: {key}: {wrong}")
    unnamed = (
        f"{TRAINING} names no {key}, so it goes by {what}: {other}"
        for key, (what, other) in instead.items()
        if key not in training
    )
    return names, tuple(unnamed)


def _kinds(path: Path, metadata: Mapping[str, Any]) -> Mapping[str, str]:
    """Kinds by name; a plain list of names goes by `feature_stats`."""
    given, stats = metadata.get("features"), metadata.get("feature_stats", {})
    if not isinstance(stats, dict):
        raise BundleError(f"{path}: feature_stats must be an object")
    if isinstance(given, list):
        if not all(isinstance(name, str) for name in given):
            raise BundleError(f"{path}: features must be names")
        return kinds_by_stats(given, stats)
    return _choices(path, "features", given, get_args(Kind))


def _estimator(home: Path, expected: str | None) -> tuple[object, tuple[str, ...]]:
    """The estimator, and what is to be said of its file."""
    path = home / MODEL
    if path.resolve().parent != home:
        raise BundleError(f"{path}: leads out of the folder; put the file itself there")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path}: {error.strerror}") from None
    if expected is not None and hashlib.sha256(content).hexdigest() != expected:
        raise BundleError(f"{path}: not the file that {TRAINING} names (SHA-256 differs); save the bundle again")
    import joblib  # see save_bundle
    import pandas  # noqa: F401, ICN001 - so that the first prediction does not wait for it
    from sklearn.exceptions import InconsistentVersionWarning

    try:
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always", InconsistentVersionWarning)
            estimator: object = joblib.load(io.BytesIO(content))
    except Exception as error:  # unpickling raises anything
        raise BundleError(f"{path}: cannot be loaded ({type(error).__name__}: {error})") from error
    if not callable(getattr(estimator, "predict", None)):
        raise BundleError(f"{path}: a {type(estimator).__name__} has no predict")
    unchecked = () if expected else (f"{TRAINING} names no sha256, so {MODEL} is not checked",)
    return estimator, (*_skew([warning.message for warning in found]), *unchecked)


def _skew(found: Sequence[Warning | str]) -> tuple[str, ...]:
    """What scikit-learn says of a file that another version of it has written, once."""
    import sklearn  # see save_bundle
    from sklearn.exceptions import InconsistentVersionWarning

    written = {w.original_sklearn_version for w in found if isinstance(w, InconsistentVersionWarning)}
    if not written:
        return ()
    versions = f"{', '.join(sorted(written))}, here is {sklearn.__version__}"
    return (f"{MODEL} was saved with scikit-learn {versions}: it may predict otherwise; train it with this version",)


def classes_of(estimator: Any) -> tuple[str, ...]:
    """A classifier's classes, spelled as categories; none of a regression."""
    classes = getattr(estimator, "classes_", ())
    return tuple(spelled(value if isinstance(value, (str, int, float)) else str(value)) for value in list_of(classes))


def list_of(values: Any) -> list[Any]:
    """Plain Python values of an array or a sequence."""
    return list(values.tolist() if hasattr(values, "tolist") else values)


def _object(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except OSError as error:
        raise BundleError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise BundleError(f"{path}: {error}") from None
    if not isinstance(found, dict):
        raise BundleError(f"{path}: must be a JSON object")
    return found


def _choices(path: Path, name: str, found: object, allowed: tuple[str, ...]) -> dict[str, str]:
    if not isinstance(found, dict):
        raise BundleError(f"{path}: {name} must be an object")
    for key, value in found.items():
        if value not in allowed:
            raise BundleError(f"{path}: {name}.{key} must be one of {', '.join(allowed)}, not {value!r}")
    return found


def _type_of(estimator: object) -> str:
    """The class's name; of a pipeline, its last step's."""
    steps = getattr(estimator, "steps", None)
    return type(steps[-1][1] if steps else estimator).__name__


def _json(value: Mapping[str, object]) -> bytes:
    return json.dumps(value, indent=2, ensure_ascii=False).encode() + b"\n"


def _replace(path: Path, content: bytes) -> None:
    """Never half a file, even if it ends here."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_bytes(content)
    fresh.replace(path)
