"""Strict reader of monitoring.json: roles of the columns, and the monitoring configuration."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

import msgspec

from app.core.config.close_names import name_hint
from app.core.config.monitoring import MOST_LONGEST, DefaultTruth, Monitoring, MovingReference
from app.core.config.routes import Route, RouteError, check_channels, check_route
from app.core.config.rule_layers import RULES, check_runbook
from app.core.reference.metadata import METRIC_NAMES, METRICS, by_metric_name, metric_name
from app.core.reference.profile import Task
from app.core.scales.levels import per_second
from app.registration.literal_values import values_at

T = TypeVar("T")

_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}
_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*(s|min|h|d)")

SECTIONS = tuple(field.name for field in fields(Monitoring))
POSITIVE = (
    "windows.pane", "windows.retention", "windows.idle_after", "drift.numerical_effect", "drift.categorical",
    "alerting.lag_seconds", "alerting.not_judged_after", "performance.default_truth.after", "reference.moving",
)  # fmt: skip
AT_LEAST_ZERO = (
    "windows.allowance", "windows.lateness", "windows.ahead", "windows.longest", "drift.min_samples",
    "performance.min_samples", "performance.default", "performance.degradation", "reference.behind",
)  # fmt: skip
AT_LEAST_ONE = ("windows.panes", "for_windows", "clear_windows")
SHARES = (
    "drift.alpha", "drift.share", "performance.confidence", "performance.chance", "hysteresis",
    "alerting.missing_share", "alerting.unseen_share", "alerting.stray_share",
    "alerting.volume_drop", "alerting.coverage_drop", "alerting.too_late_share",
    "alerting.dead_letter_share",
)  # fmt: skip


class MonitoringError(ValueError):
    """Error in monitoring.json; names the key."""


class Missing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Texts that are missing values: for numbers in any case, with or without spaces; for categories exactly as given.

    None: the defaults, MISSING_NUMBERS and MISSING_CATEGORIES of `app.core.values.reading`. Null is missing everywhere.
    """

    numeric: tuple[str, ...] | None = None
    categorical: tuple[str, ...] | None = None


class TableColumns(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Roles of the table's columns. A role without a name is found by its usual name.

    `features`: None takes all other columns. `ignore`: columns that do not belong to the model. `probabilities`: the
    column of each class's probability, where each class has one. `truth_timestamp`: the time at which the truth of each
    row came. `redact`: features and metadata that are dropped before they are sent to Kafka. `hash`: those that are
    replaced by a keyed hash.
    """

    features: tuple[str, ...] | None = None
    categorical: tuple[str, ...] = ()
    numeric: tuple[str, ...] = ()
    prediction: str | None = None
    probability: str | None = None
    probabilities: dict[str, str] = {}
    target: str | None = None
    id: str | None = None
    timestamp: str | None = None
    truth_timestamp: str | None = None
    ignore: tuple[str, ...] = ()
    missing: Missing = Missing()
    redact: tuple[str, ...] = ()
    hash: tuple[str, ...] = ()


class MonitoringFile(msgspec.Struct, frozen=True, kw_only=True):
    """Content of monitoring.json.

    `rules`: the file's own rule settings, by rule and setting; the rules in `monitoring` are complete. `baseline`:
    metrics that replace those computed from the reference. `reference` and `current`: paths for commands that are
    called without a path; in the file, `reference` is an object where the reference moves.
    """

    columns: TableColumns = TableColumns()
    task: Task | None = None
    labels: tuple[str, ...] = ()
    positive_label: str | None = None
    monitoring: Monitoring = msgspec.field(default_factory=Monitoring)
    rules: dict[str, dict[str, Any]] = {}
    baseline: dict[str, float] = {}
    reference: str | None = None
    current: str | None = None


class _Head(msgspec.Struct, frozen=True):
    columns: TableColumns = TableColumns()
    task: Task | None = None
    labels: tuple[str, ...] = ()
    positive_label: str | None = None
    baseline: dict[str, float] = {}
    reference: str | None = None
    current: str | None = None


KEYS = tuple(dict.fromkeys((*msgspec.structs.asdict(_Head()), *SECTIONS)))  # `reference` is a path, or a section


def monitoring_of(raw: object) -> MonitoringFile:
    """Return the configuration from decoded JSON. Missing values keep their defaults. Raises MonitoringError."""
    if not isinstance(raw, dict):
        raise MonitoringError("must be a JSON object")
    for key in raw:
        _known(key, KEYS, "")
    default = Monitoring()
    given = {name: raw[name] for name in SECTIONS if name in raw and not _is_path(name, raw[name])}
    sections = _with_metric_names(given)
    _check_keys(sections, default, "")
    merged = _moving(_with_seconds(_merged(msgspec.to_builtins(default), sections)))
    head = _converted({key: value for key, value in raw.items() if key not in sections}, _Head)
    head = msgspec.structs.replace(head, baseline=_checked_baseline(head.baseline))
    _check_hidden(head.columns)
    monitoring = _converted(merged, Monitoring)
    for path, value in _leaves(merged, ""):
        _check_range(path, value)
    try:
        per_second(monitoring.decision.false_alarms)
    except ValueError as error:
        raise MonitoringError(f"decision.false_alarms: {error}") from None
    _check_words(monitoring)
    _check_silence(monitoring)
    _check_moving(monitoring)
    _check_routes(monitoring.alerting.routes, sections)
    with _named():
        check_channels("alerting.channels", monitoring.alerting.channels)
    rules = _rules_given(sections.get("alerting", {}), monitoring)
    return MonitoringFile(**msgspec.structs.asdict(head), monitoring=monitoring, rules=rules)


def _is_path(name: str, value: object) -> bool:
    """Return whether a value is the path of the reference; `reference` is also the section of one that moves."""
    return name == "reference" and isinstance(value, str)


def _check_words(monitoring: Monitoring) -> None:
    alerting = monitoring.alerting
    for where, url in (("", alerting.runbook_url), *((f"{r}.", getattr(alerting, r).runbook_url) for r in RULES)):
        try:
            check_runbook(url)
        except ValueError as error:
            raise MonitoringError(f"alerting.{where}runbook_url: {error}") from None
    performance = monitoring.performance
    named = [("show", name) for name in performance.show]
    named += [(f"metrics.{name}", name) for name in performance.metrics]
    named += [(f"limits.{name}", name) for name in performance.limits]
    for where, name in named:
        if name not in METRICS:
            raise MonitoringError(f"performance.{where}: no metric {name!r}; {name_hint(name, METRIC_NAMES)}")
    if performance.limits and performance.policy != "threshold":
        raise MonitoringError('performance.limits: decide with performance.policy "threshold" alone; set it too')


def _with_metric_names(sections: dict[str, Any]) -> dict[str, Any]:
    """Return the sections with canonical names of metrics in `performance`. Raises MonitoringError."""
    performance = sections.get("performance")
    if not isinstance(performance, dict):
        return sections
    found = dict(performance)
    for key in ("metrics", "limits"):
        if isinstance(found.get(key), dict):
            try:
                found[key] = by_metric_name(found[key])
            except ValueError as error:
                raise MonitoringError(f"performance.{key}.{error}") from None
    show = found.get("show")
    if isinstance(show, list) and all(isinstance(name, str) for name in show):
        found["show"] = list(dict.fromkeys(map(metric_name, show)))
    return {**sections, "performance": found}


def _checked_baseline(given: Mapping[str, float]) -> dict[str, float]:
    """Return the baseline with metrics by their own names. Raises MonitoringError."""
    try:
        found = by_metric_name(given)
    except ValueError as error:
        raise MonitoringError(f"baseline.{error}") from None
    for name, value in found.items():
        if name not in METRICS:
            raise MonitoringError(f"baseline: no metric {name!r}; {name_hint(name, METRIC_NAMES)}")
        if not math.isfinite(value):
            raise MonitoringError(f"baseline.{name}: must be finite, not {value}")
    return found


def _check_hidden(columns: TableColumns) -> None:
    outputs = {
        "prediction": columns.prediction, "probability": columns.probability, "target": columns.target,
        "id": columns.id, "timestamp": columns.timestamp,
    }  # fmt: skip
    for key, names in (("redact", columns.redact), ("hash", columns.hash)):
        for name in names:
            its = next((role for role, column in outputs.items() if column == name), None)
            if its is not None:
                raise MonitoringError(f"columns.{key}: {name} is columns.{its}, which is needed as it is")
            if name in columns.numeric:
                raise MonitoringError(f"columns.{key}: {name} is listed under columns.numeric")
            if key == "hash" and name in columns.redact:
                raise MonitoringError(f"columns.hash: {name} is listed under columns.redact too")


def _with_seconds(merged: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration with `performance.default_truth.after` in seconds. Raises MonitoringError."""
    performance = merged["performance"]
    silence = performance.get("default_truth") if isinstance(performance, dict) else None
    if not isinstance(silence, dict):
        return merged
    where = "performance.default_truth"
    for key in silence:
        _known(key, tuple(field.name for field in fields(DefaultTruth)), f"{where}.")
    if "after" not in silence:
        return merged
    seconds = _seconds(f"{where}.after", silence["after"])
    return {**merged, "performance": {**performance, "default_truth": {**silence, "after": seconds}}}


def _seconds(path: str, value: object) -> object:
    """Return a span such as 30d in seconds; any other value unchanged. Raises MonitoringError."""
    if not isinstance(value, str):
        return value
    found = _SPAN.fullmatch(value.strip())
    if found is None:
        raise MonitoringError(f"{path}: must be seconds, or a text such as 30d, 12h, 90min, not {value!r}")
    return float(found[1]) * _SECONDS[found[2]]


def _moving(merged: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration with the spans of `reference` in seconds. Raises MonitoringError."""
    reference = merged["reference"]
    if not isinstance(reference, dict):
        return merged
    for key in reference:
        _known(key, tuple(field.name for field in fields(MovingReference)), "reference.")
    found = {key: _seconds(f"reference.{key}", reference[key]) for key in ("moving", "behind") if key in reference}
    return {**merged, "reference": {**reference, **found}}


def _check_moving(monitoring: Monitoring) -> None:
    """Check that no window is in its own reference, and that it has hours. Raises MonitoringError."""
    reference, windows = monitoring.reference, monitoring.windows
    if reference is None:
        return
    window = windows.pane * windows.panes
    if reference.behind < window:
        raise MonitoringError(
            f"reference.behind: must be at least a window ({window:g} s), not {reference.behind:g}: a window must not "
            "be in its own reference"
        )
    least, why = (604_800.0, "a week, with same") if reference.same else (3600.0, "an hour")
    if reference.moving < least:
        raise MonitoringError(f"reference.moving: must be at least {why}, not {reference.moving:g} s")
    if reference.moving + reference.behind > MOST_LONGEST:
        raise MonitoringError("reference.moving and reference.behind: must be at most 365 days together")


def _check_silence(monitoring: Monitoring) -> None:
    """Check that silence becomes a truth before a prediction expires. Raises MonitoringError."""
    silence, retention = monitoring.performance.default_truth, monitoring.windows.retention
    if silence is not None and silence.after >= retention:
        raise MonitoringError(
            f"performance.default_truth.after: must be below windows.retention ({retention:g} s): so long predictions "
            f"wait for truth: set windows.retention to {2 * silence.after:.0f}, so that late truth corrects it too"
        )


def _rules_given(raw: Mapping[str, Any], monitoring: Monitoring) -> dict[str, dict[str, Any]]:
    """Return the rule settings that are given, converted to their types."""
    given = {rule: raw[rule] for rule in RULES if rule in raw}
    return {rule: {name: getattr(getattr(monitoring.alerting, rule), name) for name in given[rule]} for rule in given}


def _known(key: str, keys: tuple[str, ...], where: str) -> None:
    if key in keys:
        return
    raise MonitoringError(f"unknown key {where}{key}; {name_hint(key, keys, where)}")


def _check_keys(raw: object, default: object, where: str) -> None:
    if not is_dataclass(default) or not isinstance(raw, dict):
        return
    names = tuple(field.name for field in fields(default))
    for key, value in raw.items():
        _known(key, names, where)
        _check_keys(value, getattr(default, key), f"{where}{key}.")


def _check_routes(routes: Sequence[Route], sections: Mapping[str, Any]) -> None:
    names = tuple(field.name for field in fields(Route))
    for number, route in enumerate(routes):
        where = f"alerting.routes[{number}]"
        for key in sections["alerting"]["routes"][number]:
            _known(key, names, f"{where}.")
        with _named():
            check_route(where, route)
            check_channels(f"{where}.channels", route.channels)


@contextmanager
def _named() -> Iterator[None]:
    """Raise MonitoringError for a route or channel that cannot be used."""
    try:
        yield
    except RouteError as error:
        raise MonitoringError(str(error)) from None


def _merged(default: dict[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the defaults with the given values in their place, at any depth.

    A rule with only `for_windows` keeps its level.
    """
    found = dict(default)
    for key, value in given.items():
        known = found.get(key)
        found[key] = _merged(known, value) if isinstance(known, dict) and isinstance(value, dict) else value
    return found


def _converted(raw: object, kind: type[T]) -> T:
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        words, _, where = str(error).partition(" - at `$")
        where = where.strip("`.")
        if words.startswith("Object contains unknown field"):
            _known(words.split("`")[1], tuple(msgspec.structs.asdict(TableColumns())), f"{where}.")
        if words.startswith("Invalid enum value"):
            value = words.removeprefix("Invalid enum value ").strip("'")
            words += f"; {name_hint(value, values_at(kind, where))}"
        raise MonitoringError(f"{where}: {words[0].lower()}{words[1:]}") from None


def _leaves(raw: dict[str, Any], where: str) -> Iterator[tuple[str, object]]:
    for key, value in raw.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{where}{key}.")
        else:
            yield f"{where}{key}", value


def _check_range(path: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return
    named = {path, path.rpartition(".")[2]}
    checks = (
        (named.isdisjoint(POSITIVE) or value > 0, "must be above 0"),
        (named.isdisjoint(AT_LEAST_ZERO) or value >= 0, "must not be below 0"),
        (named.isdisjoint(AT_LEAST_ONE) or value >= 1, "must be at least 1"),
        (named.isdisjoint(SHARES) or 0 < value <= 1, "must be above 0 and at most 1"),
        (not path.startswith("performance.metrics.") or value >= 0, "must not be below 0"),
        (math.isfinite(value), "must be finite"),
        (path != "windows.longest" or value <= MOST_LONGEST, "must be at most 31,536,000 (365 days)"),
    )
    for passed, words in checks:
        if not passed:
            raise MonitoringError(f"{path}: {words}, not {value}")
