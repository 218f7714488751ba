"""setup_monitoring: the complete configuration of a model, from its metadata and the values that a user changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import msgspec
from pydantic import ValidationError

from app.core.config.close_names import did_you_mean
from app.core.config.monitoring import DriftThresholds, Monitoring, PerformanceThresholds
from app.core.reference.metadata import METRICS, by_metric_name, kinds_by_stats, metric_name
from app.core.reference.profile import Kind
from app.registration.monitoring import MonitoringError, MonitoringFile, TableColumns, monitoring_of
from app.registration.setup_keys import FREQUENCIES, MonitoringSetup

OWN_KEYS = ("enabled", "performance_monitoring", "data_drift_monitoring")
"""Keys that only a configuration of this form has, not monitoring.json's own form."""
HOUR = 3600.0
NEVER = 1e9
"""Threshold of a metric that is reported but not judged: no drop reaches it."""


def setup_monitoring(
    model_metadata: Mapping[str, Any] | None = None,
    feature_metadata: Mapping[str, Any] | None = None,
    config: Mapping[str, Any] | None = None,
) -> MonitoringSetup:
    """Return the complete configuration of a model. Values of `config` override values derived from the metadata.

    `model_metadata`: training_metadata.json, whose `training_metrics` are the baseline. `feature_metadata`:
    feature_metadata.json; a feature is numeric where `feature_stats` has mean and std, categorical otherwise.

    Raises MonitoringError that names the key.
    """
    given = dict(config or {})
    performance, drift = _part(given, "performance_monitoring"), _part(given, "data_drift_monitoring")
    said = {key: _by_metric(performance, "performance_monitoring", key) for key in ("baseline", "thresholds", "limits")}
    baseline, limits = _baseline(model_metadata or {}) | said["baseline"], said["limits"]
    metrics = performance.get("metrics", [name for name in METRICS if name in baseline or name in limits])
    if isinstance(metrics, list):
        metrics = [metric_name(name) if isinstance(name, str) else name for name in metrics]
    thresholds = dict.fromkeys(metrics if isinstance(metrics, list) else (), PerformanceThresholds().default)
    thresholds |= said["thresholds"]
    numeric, categorical = _features(feature_metadata or {}, drift)
    return _valid(given | {
        "performance_monitoring": {
            **performance, "metrics": metrics, "thresholds": thresholds, "limits": limits, "baseline": baseline,
        },
        "data_drift_monitoring": {
            **_with_alpha(drift), "numerical_features": numeric, "categorical_features": categorical
        },
    })  # fmt: skip


def read_monitoring(path: Path | None) -> MonitoringFile:
    """Return a configuration file of either form, or the defaults.

    Raises MonitoringError that names file and key; OSError.
    """
    return MonitoringFile() if path is None else decode_monitoring(path.read_bytes(), str(path))


def decode_monitoring(document: bytes, name: str) -> MonitoringFile:
    """Return a configuration of either form from its JSON. Raises MonitoringError that starts with `name`."""
    try:
        return monitoring_from(msgspec.json.decode(document))
    except (msgspec.DecodeError, UnicodeDecodeError, MonitoringError) as error:
        raise MonitoringError(f"{name}: {error}") from None


def monitoring_from(raw: Any) -> MonitoringFile:
    """Return a configuration of either form from decoded JSON. Raises MonitoringError naming the key."""
    return file_of(setup_monitoring(config=raw)) if is_setup(raw) else monitoring_of(raw)


def is_setup(raw: object) -> bool:
    """Return whether decoded JSON has the form of a MonitoringSetup, not monitoring.json's own."""
    if not isinstance(raw, dict):
        return False
    alerting = raw.get("alerting")
    return any(key in raw for key in OWN_KEYS) or (isinstance(alerting, dict) and "thresholds" in alerting)


def file_of(setup: MonitoringSetup) -> MonitoringFile:
    """Return the configuration in the form of monitoring.json."""
    drift = setup.data_drift_monitoring
    numeric, categorical = tuple(drift.numerical_features), tuple(drift.categorical_features)
    columns = TableColumns(features=(*numeric, *categorical) or None, numeric=numeric, categorical=categorical)
    return MonitoringFile(
        columns=columns,
        monitoring=watched_by(setup),
        rules={name: {"enabled": False} for name, on in _rules(setup).items() if not on},
        baseline=dict(setup.performance_monitoring.baseline),
        reference=drift.reference_data_path,
        current=drift.current_data_path,
    )


def read_metadata(path: Path) -> dict[str, Any]:
    """Return the content of a metadata file. Raises MonitoringError that names the file; OSError."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise MonitoringError(f"{path}: {error}") from None


def watched_by(setup: MonitoringSetup) -> Monitoring:
    """Return the stream's monitoring. A window is an hour, or the interval between checks where that is longer."""
    performance, drift, alerting = setup.performance_monitoring, setup.data_drift_monitoring, setup.alerting
    frequency = drift.check_frequency
    pane = FREQUENCIES[frequency] if isinstance(frequency, str) else frequency
    default = Monitoring()
    switched = {name: replace(getattr(default.alerting, name), enabled=on) for name, on in _rules(setup).items()}
    unjudged = {name: NEVER for name in METRICS if name not in performance.metrics} if performance.metrics else {}
    return Monitoring(
        windows=replace(default.windows, pane=pane, panes=max(1, round(HOUR / pane))),
        drift=DriftThresholds(**drift.drift_thresholds.model_dump(), share=alerting.thresholds.drift),
        performance=replace(
            default.performance,
            policy=performance.policy,
            metrics=unjudged | performance.thresholds,
            limits=dict(performance.limits),
            degradation=alerting.thresholds.degradation,
        ),
        alerting=replace(default.alerting, channels=tuple(alerting.channels), **switched),
    )


def _rules(setup: MonitoringSetup) -> dict[str, bool]:
    """Return whether each rule is enabled, by name."""
    told = setup.enabled and setup.alerting.enabled
    of_drift = told and setup.data_drift_monitoring.enabled
    of_performance = told and setup.performance_monitoring.enabled
    return {
        **dict.fromkeys(
            ("data_drift", "prediction_drift", "critical_feature", "feature_drift", "data_quality", "not_judged"),
            of_drift,
        ),
        **dict.fromkeys(("performance", "performance_estimate"), of_performance),
        **dict.fromkeys(("traffic", "feedback", "monitor"), told),
    }


def _part(given: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = given.get(name, {})
    if not isinstance(found, Mapping):
        raise MonitoringError(f"{name}: must be an object")
    return dict(found)


def _mapping(part: Mapping[str, Any], where: str, name: str) -> dict[str, Any]:
    found = part.get(name, {})
    if not isinstance(found, Mapping):
        raise MonitoringError(f"{where}.{name}: must be an object")
    return dict(found)


def _baseline(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return the training metrics that Driftline can judge. Others, such as a training time, are ignored."""
    found = _by_metric(metadata, "model metadata", "training_metrics")
    return {name: value for name, value in found.items() if name in METRICS}


def _by_metric(part: Mapping[str, Any], where: str, name: str) -> dict[str, Any]:
    try:
        return by_metric_name(_mapping(part, where, name))
    except ValueError as error:
        raise MonitoringError(f"{where}.{name}.{error}") from None


def _with_alpha(drift: dict[str, Any]) -> dict[str, Any]:
    """Return the thresholds with `drift_thresholds.numerical` (the p-value below which numbers differ) renamed to
    `alpha`.

    Raises MonitoringError where both are given.
    """
    thresholds = drift.get("drift_thresholds")
    if not isinstance(thresholds, Mapping) or "numerical" not in thresholds:
        return drift
    if "alpha" in thresholds:
        raise MonitoringError(
            "data_drift_monitoring.drift_thresholds.numerical: alpha is the same; leave one of them out"
        )
    named = {"alpha" if key == "numerical" else key: value for key, value in thresholds.items()}
    return {**drift, "drift_thresholds": named}


def kinds_of_metadata(metadata: Mapping[str, Any]) -> dict[str, Kind]:
    """Return the features of feature_metadata.json with their kinds: by `feature_stats`, else as written in the file.

    Raises MonitoringError that names the key.
    """
    features, stats = metadata.get("features", []), _mapping(metadata, "feature metadata", "feature_stats")
    if not isinstance(features, (list, Mapping)) or not all(isinstance(name, str) for name in features):
        raise MonitoringError("feature metadata.features: must be names, or an object of them")
    if stats or isinstance(features, list):
        return kinds_by_stats(list(features), stats)
    for name, kind in features.items():
        if kind not in get_args(Kind):
            raise MonitoringError(f"feature metadata.features.{name}: must be {' or '.join(get_args(Kind))}")
    return dict(features)


def _features(metadata: Mapping[str, Any], drift: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Return numeric and categorical features: as the configuration names them, the others by the metadata."""
    kinds = kinds_of_metadata(metadata)
    named = {"numeric": "numerical_features", "categorical": "categorical_features"}
    given = {kind: drift.get(key, []) for kind, key in named.items()}
    for kind, names in given.items():
        key = f"data_drift_monitoring.{named[kind]}"
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise MonitoringError(f"{key}: must be a list of names")
        for name in names if kinds else ():
            if name not in kinds:
                raise MonitoringError(
                    f"{key}: {name!r} is not one of the features{did_you_mean(name, kinds, before='; ')}"
                )
    claimed = {name for names in given.values() for name in names}
    numeric, categorical = (
        [*given[kind], *(name for name, its in kinds.items() if its == kind and name not in claimed)] for kind in named
    )
    return numeric, categorical


def _valid(raw: Mapping[str, Any]) -> MonitoringSetup:
    try:
        return MonitoringSetup.model_validate(raw)
    except ValidationError as error:
        raise MonitoringError("; ".join(_line(dict(problem)) for problem in error.errors())) from None


def _line(problem: Mapping[str, Any]) -> str:
    location = [str(part) for part in problem["loc"] if part not in ("float", "constrained-float") and part]
    where = ".".join(part for part in location if not part.startswith(("literal[", "function-")))
    message = str(problem["msg"]).removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        *sections, key = location
        before = "".join(f"{section}." for section in sections)
        return f"unknown key {where}{did_you_mean(key, _keys_of(sections), before, before='; ')}"
    if problem["type"] == "value_error":  # about a key, or about a part: then the message names the key within
        return f"{where}{': ' if message.startswith('must') else '.'}{message}"
    return f"{where}: {message[0].lower()}{message[1:]}, not {problem['input']!r}"


def _keys_of(sections: Sequence[str]) -> tuple[str, ...]:
    """Return the keys of a part of the configuration."""
    part: Any = MonitoringSetup
    for section in sections:
        part = part.model_fields[section].annotation
    return tuple(part.model_fields)
