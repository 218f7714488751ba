"""Loading of a bundle from its folder, checked as far as possible before the first prediction.

joblib files run code when they are loaded. So a bundle is loaded only from the configured folder. A bundle is rejected
where its metadata has another SHA-256 than `model.joblib`. The hash finds damage and mix-ups. It does not make a
stranger's folder safe.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast, get_args

from app.core.reference.metadata import kinds_by_stats
from app.core.reference.names import wrong_name
from app.core.reference.profile import Kind
from app.serving.bundle import FEATURES, MODEL, TRAINING, Bundle, BundleError, Training
from app.serving.fitted import FeaturesDiffer, checked_order, takes_no_objects
from app.serving.model_file import read_model
from app.serving.outputs import classes_of
from app.serving.trial import examples_of, known_good_of, try_examples
from app.serving.types import FeatureType, WrongType, feature_type
from app.serving.versions import compared, skew


def load_bundle(folder: Path) -> Bundle:
    """Load a bundle, compare its features with the model's, and try the model on its examples.

    Raises BundleError, which names the file and the field.
    """
    home = folder.expanduser().resolve()
    if not home.is_dir():
        raise BundleError(f"{folder}: no such folder; model_path must be a folder with {MODEL}")
    _check_owners(home)
    training = _object(home / TRAINING)  # first, see save_bundle
    features = _object(home / FEATURES)
    known = Training.__dataclass_fields__
    _check(home / TRAINING, training)
    names, unnamed = _names(home, training)
    kinds = _kinds(home / FEATURES, features)
    if not kinds:
        raise BundleError(f"{home / FEATURES}: features names none")
    types = _types(home / FEATURES, features.get("types", {}), kinds)
    model = read_model(home, training.get("sha256"))
    positive, classes = training.get("positive_label"), classes_of(model.estimator)
    if positive is not None and positive not in classes:
        raise BundleError(f"{home / TRAINING}: positive_label {positive!r} is not one of {', '.join(classes)}")
    try:
        order, differing = checked_order(tuple(kinds), model.estimator)
    except FeaturesDiffer as error:
        raise BundleError(f"{home / FEATURES}: {error}") from None
    libraries = compared(training.get("versions"))
    skewed = skew(libraries, but="scikit_learn" if model.skewed else "")
    examples = examples_of(home / FEATURES, features.get("examples", training.get("examples", [])))
    bundle = Bundle(
        estimator=model.estimator,
        kinds={name: cast(Kind, kinds[name]) for name in order},
        types={name: types[name] for name in order},
        training=Training(**{name: value for name, value in (training | names).items() if name in known}),
        cautions=(*unnamed, *model.cautions, *skewed, *differing),
        sha256=model.sha256,
        libraries=libraries,
        known_good=known_good_of(examples, features.get("feature_stats", {}), types),
        extended=takes_no_objects(model.estimator),
    )
    try_examples(home / FEATURES, bundle, examples)
    return replace(bundle, examples=len(examples))


def _check_owners(home: Path) -> None:
    """Raise BundleError for a model that other users can replace, because loading a model runs its code."""
    groups = {os.getegid(), *os.getgroups()}
    for path in (home, *(home / name for name in (MODEL, FEATURES, TRAINING))):
        if not path.exists():
            continue
        about = path.stat()
        if about.st_mode & stat.S_IWOTH or (about.st_mode & stat.S_IWGRP and about.st_gid not in groups):
            raise BundleError(
                f"{path}: others may write there, and a model is code that runs when it is loaded; chmod go-w {path}"
            )


def _check(path: Path, training: Mapping[str, Any]) -> None:
    """Raise BundleError for metadata that is missing, or of the wrong type."""
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
    """Return the model's name and version, and warnings where the metadata has none.

    Then the folder's name and the metadata's timestamp are used.
    """
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
    """Return the kinds of the features by name.

    For a plain list of names, the kinds are derived from `feature_stats`.
    """
    given, stats = metadata.get("features"), metadata.get("feature_stats", {})
    if not isinstance(stats, dict):
        raise BundleError(f"{path}: feature_stats must be an object")
    if isinstance(given, list):
        if not all(isinstance(name, str) for name in given):
            raise BundleError(f"{path}: features must be names")
        return kinds_by_stats(given, stats)
    if not isinstance(given, dict):
        raise BundleError(f"{path}: features must be an object")
    for name, kind in given.items():
        if kind not in get_args(Kind):
            raise BundleError(
                f"{path}: features.{name} must be one of {', '.join(get_args(Kind))}, not {kind!r}"
            )  # fmt: skip
    return given


def _types(path: Path, given: object, kinds: Mapping[str, str]) -> dict[str, FeatureType]:
    """Return the type of each feature; where `types` has none, the type follows from the kind."""
    if not isinstance(given, dict):
        raise BundleError(f"{path}: types must be an object")
    types = {name: feature_type("number" if kind == "numeric" else "text") for name, kind in kinds.items()}
    for name, entry in given.items():
        try:
            found = feature_type(entry)
        except WrongType as error:
            raise BundleError(f"{path}: types.{name}{error}") from None
        if name in types:
            types[name] = found
    return types


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
