"""monitoring.json complete: it has every key, and is read as what it was made of."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.config.rule_layers import RULES
from app.registration.complete import complete
from app.registration.monitoring import MonitoringError, MonitoringFile, monitoring_of
from app.registration.setup import file_of, setup_monitoring
from manual.monitoring import keys_of_file
from manual.monitoring_words import WORDS

PARTS: dict[str, list[Any]] = {
    "columns": [{"target": "t", "ignore": ["a"], "missing": {"numeric": ["-"]}}, {"features": ["a"], "redact": ["b"]}],
    "task": ["binary", None],
    "labels": [["a", "b"]],
    "baseline": [{"f1_score": 0.5, "accuracy": 1}],
    "reference": ["r.csv", {"moving": "28d", "same": "hour-of-week"}],
    "windows": [{"pane": 5, "lateness": 7}, {"retention": 5_184_000}],
    "performance": [
        {"metrics": {"auc_roc": 0.1}, "show": ["f1"]}, {"policy": "threshold", "limits": {"mae": 3}},
    ],
    "alerting": [
        {"data_drift": {"level": "critical", "owner": "me"}, "channels": ["slack"]},
        {"routes": [{"channels": ["email"], "matchers": ["level=critical"], "repeat_seconds": 5}]},
    ],
}  # fmt: skip


def again(file: MonitoringFile) -> MonitoringFile:
    return monitoring_of(msgspec.json.decode(msgspec.json.encode(complete(file))))


@given(st.fixed_dictionaries({}, optional={key: st.sampled_from(values) for key, values in PARTS.items()}))
def test_what_is_shown_is_read_as_the_same(raw: dict[str, Any]) -> None:
    file = monitoring_of(raw)
    found = again(file)
    assert msgspec.structs.replace(found, rules=file.rules) == file
    assert complete(found) == complete(file)


def test_silence_and_the_complete_configuration_are_read_as_the_same() -> None:
    silent = monitoring_of({"performance": {"default_truth": {"value": 0, "after": "3d"}}})
    setup = file_of(setup_monitoring({"training_metrics": {"f1_score": 0.7}}, {"features": {"a": "numeric"}}))
    for file in (silent, setup):
        assert msgspec.structs.replace(again(file), rules=file.rules) == file
    assert again(setup).baseline == {"f1": 0.7}


@pytest.mark.parametrize(
    ("baseline", "words"),
    [
        ({"recal": 0.5}, "baseline: no metric 'recal'; did you mean recall?"),
        ({"f1": 0.5, "f1_score": 0.5}, "baseline.f1: is given twice"),
        ({"f1": "high"}, "baseline[...]: expected `float`, got `str`"),
    ],
)
def test_a_baseline_that_cannot_be_is_named(baseline: dict[str, Any], words: str) -> None:
    with pytest.raises(MonitoringError, match=re.escape(words)):
        monitoring_of({"baseline": baseline})


def test_the_reference_explains_every_key_and_no_other() -> None:
    paths = [key.path for key in keys_of_file()]
    assert sorted(paths) == sorted(WORDS)
    shown = complete(MonitoringFile())
    leaves = {path for key in shown for path in _paths(key, shown[key])}
    rules = {f"alerting.{rule}.{name.removeprefix('RULE.')}" for rule in RULES for name in WORDS if "RULE." in name}
    unset = ("performance.default_truth", "reference")  # objects that are null unless they are given
    named = {name for name in WORDS if not name.startswith(("RULE.", "ROUTE.", *(f"{one}." for one in unset)))}
    assert leaves == named | rules | set(unset)


def _paths(path: str, value: object) -> list[str]:
    if not isinstance(value, dict) or not value:
        return [path]
    return [found for key, one in value.items() for found in _paths(f"{path}.{key}", one)]
