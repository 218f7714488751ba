"""Mistyped names in monitoring.json and in the complete configuration: one line that says what was meant."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest

from app.core.config.routes import CHANNELS
from app.registration.literal_values import values_at
from app.registration.monitoring import MonitoringError, MonitoringFile, monitoring_of
from app.registration.profiling import read_reference
from app.registration.setup import setup_monitoring
from app.tables import TableError

TABLE = pd.DataFrame({
    "age": np.arange(80.0) % 61, "plan": ["a", "b"] * 40, "prediction": ["no", "yes"] * 40, "actual": ["no", "yes"] * 40
})  # fmt: skip
KEY = b"k" * 32


def notes_of(raw: dict[str, Any], baseline: dict[str, float] | None = None, others: tuple[str, ...] = ()) -> list[str]:
    return list(read_reference("m", "1", TABLE, monitoring_of(raw), baseline, KEY, others).notes)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ({"alerting": {"channels": ["log", "slak"]}}, "channels: there is no channel 'slak'; did you mean slack?"),
        ({"alerting": {"channels": ["pager"]}}, f"no channel 'pager'; known are {', '.join(CHANNELS)}"),
        (
            {"alerting": {"routes": [{"channels": ["slack"]}, {"channels": ["e-mail"]}]}},
            "alerting.routes[1].channels: there is no channel 'e-mail'; did you mean email?",
        ),
        ({"performance": {"metrics": {"recal": 0.1}}}, "metrics.recal: no metric 'recal'; did you mean recall?"),
        ({"performance": {"show": ["F1-score"]}}, "performance.show: no metric 'F1-score'; did you mean f1_score?"),
        ({"alerting": {"traffic": {"level": "eror"}}}, "traffic.level: invalid enum value 'eror'; did you mean error?"),
        ({"task": "binry"}, "task: invalid enum value 'binry'; did you mean binary?"),
        ({"alerting": {"routes": [{"channels": ["log"], "min_level": "errors"}]}}, "did you mean error?"),
        ({"drift": {"policy": "x"}}, "known are decision, threshold"),
    ],
)  # fmt: skip
def test_of_monitoring_json(raw: dict[str, Any], words: str) -> None:
    with pytest.raises(MonitoringError, match=re.escape(words)) as error:
        monitoring_of(raw)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ({"alerting": {"channels": ["slak"]}}, "alerting.channels: there is no channel 'slak'; did you mean slack?"),
        ({"alerting": {"chanels": ["slack"]}}, "unknown key alerting.chanels; did you mean alerting.channels?"),
        ({"enabeld": True}, "unknown key enabeld; did you mean enabled?"),
        (
            {"data_drift_monitoring": {"drift_thresholds": {"alhpa": 0.1}}},
            "data_drift_monitoring.drift_thresholds.alhpa; did you mean data_drift_monitoring.drift_thresholds.alpha?",
        ),
        ({"performance_monitoring": {"metrics": ["recal"]}}, "no metric 'recal'; did you mean recall?"),
    ],
)
def test_of_the_complete_configuration(raw: dict[str, Any], words: str) -> None:
    with pytest.raises(MonitoringError, match=re.escape(words)):
        setup_monitoring(config=raw)


def test_every_channel_of_the_settings_and_that_of_a_receiver_can_be_named() -> None:
    names = [*CHANNELS, "webhook:on-call"]
    assert list(monitoring_of({"alerting": {"channels": names}}).monitoring.alerting.channels) == names


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        ({"columns": {"ignore": ["agee"]}}, "columns.ignore: the table has no column 'agee'; did you mean age?"),
        ({"columns": {"ignore": ["session"]}}, "columns.ignore: the table has no column 'session'"),
        (
            {"columns": {"redact": ["pan"]}},
            "WARNING: columns.redact: the table has no column 'pan'; did you mean plan?",
        ),
        ({"columns": {"hash": ["plam"]}}, "WARNING: columns.hash: the table has no column 'plam'; did you mean plan?"),
        (
            {"windows": {"pane": 60, "panes": 60, "retention": 600}},
            (
                "WARNING: windows.retention (10 min) is shorter than the window (1 h): truth that comes later, within "
                "the window, would enter no metric: did you mean 3600 or more?"
            ),
        ),
    ],
)  # fmt: skip
def test_what_may_be_meant_so_is_a_line_of_the_registration(raw: dict[str, Any], line: str) -> None:
    assert [note for note in notes_of(raw) if note == line] == [line]
    assert line not in notes_of({})


def test_what_is_meant_so_is_no_line() -> None:
    raw = {"columns": {"ignore": ["plan", "live"], "redact": ["email"], "hash": ["customer"]}}
    usual = {*notes_of({}), *notes_of({"columns": {"ignore": ["plan"]}})}
    assert set(notes_of(raw, {"recall": 0.5}, ("live",))) <= usual


def test_a_baseline_that_no_metric_is_compared_with_is_named() -> None:
    words = "baseline recal: there is no such metric, so nothing is compared with it; did you mean recall?"
    assert words in notes_of({}, {"recal": 0.8, "accuracy": 0.9})


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ({"columns": {"numeric": ["agee"]}}, "'agee' is not one of the features; did you mean age?"),
        ({"columns": {"features": ["agee"]}}, "it has age, plan, prediction, actual; did you mean age?"),
        ({"alerting": {"critical_features": ["agee"]}}, "agee is not one of the features; did you mean age?"),
    ],
)  # fmt: skip
def test_a_column_that_has_to_be_there(raw: dict[str, Any], words: str) -> None:
    with pytest.raises((TableError, MonitoringError), match=re.escape(words)):
        notes_of(raw)


def test_the_values_of_a_key_are_those_of_its_type() -> None:
    assert values_at(MonitoringFile, "task")
    assert values_at(MonitoringFile, "monitoring.drift.policy") == ("decision", "threshold")
    assert set(values_at(MonitoringFile, "monitoring.alerting.routes[...].min_level")) >= {"error", "critical"}
    assert not values_at(MonitoringFile, "monitoring.windows.pane")
    assert not values_at(MonitoringFile, "monitoring.no.such")
