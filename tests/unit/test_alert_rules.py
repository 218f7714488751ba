"""Each rule's verdict on a report."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from app.alerting.rules import Verdict, VerdictState, rule_of, verdicts_of
from app.core.config import Alerting, Monitoring, Rule
from tests.unit.reports import drift_report, feature, metric, performance_report
from topics.events import AnyReport

MONITORING = Monitoring(alerting=Alerting(critical_features=("age", "age")))


def verdict(report: AnyReport, rule: str, monitoring: Monitoring = MONITORING) -> Verdict:
    found = [v for v in verdicts_of(report, monitoring) if v.rule == rule]
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize(
    ("share", "state"), [(0.0, "clear"), (0.27, "clear"), (0.28, "between"), (0.3, "breach"), (1.0, "breach")]
)
def test_data_drift_is_clear_only_below_its_hysteresis(share: float, state: VerdictState) -> None:
    found = verdict(drift_report(drift_share=share, drift_detected=share >= 0.3), "data_drift")
    assert (found.state, found.value, found.threshold) == (state, share, 0.3)


@pytest.mark.parametrize(
    ("statistic", "significant", "state"),
    [
        (0.5, True, "breach"),
        (0.095, True, "between"),
        (0.09, True, "clear"),
        (0.3, False, "clear"),  # the bias of many categories in few rows
        (None, False, "insufficient"),
    ],
)
def test_a_column_is_clear_below_its_hysteresis_or_without_significance(
    statistic: float | None, significant: bool, state: VerdictState
) -> None:
    column = feature(
        "age", statistic, significant=significant, drifted=significant and statistic is not None and statistic >= 0.1
    )
    assert verdict(drift_report(features=[column]), "critical_feature:age").state == state
    output = msgspec.structs.replace(column, name="prediction")
    assert verdict(drift_report(prediction=output), "prediction_drift").state == state


def test_prediction_drift_follows_the_probability_too() -> None:
    report = drift_report(prediction_drift=True, probability=feature("probability", 0.4))
    found = verdict(report, "prediction_drift")
    assert (found.state, found.value) == ("breach", 0.4)
    assert found.evidence == {"columns": ["probability"]}


def test_a_critical_feature_that_the_profile_lacks_is_not_judged() -> None:
    assert verdict(drift_report(), "critical_feature:age").state == "insufficient"


@pytest.mark.parametrize(
    ("changes", "state", "problems"),
    [
        ({}, "clear", []),
        ({"missing_share": 0.051}, "breach", ["missing"]),
        ({"missing_share": 0.05}, "between", []),
        ({"missing_share": 0.045}, "clear", []),
        ({"unknown_features": {"agee": 11}}, "breach", ["unknown"]),
        ({"unknown_features": {"agee": 1}}, "clear", []),
        ({"features": [feature("age", invalid=500)]}, "breach", ["invalid"]),
        ({"features": [feature("age", invalid=10)]}, "between", []),
    ],
)
def test_data_quality_breaches_on_each_of_its_problems(
    changes: dict[str, Any], state: VerdictState, problems: list[str]
) -> None:
    found = verdict(drift_report(**changes), "data_quality")
    assert (found.state, found.evidence["problems"]) == (state, problems)


@pytest.mark.parametrize(
    ("drops", "state"),
    [((0.0, -0.2), "clear"), ((0.045, 0.0), "clear"), ((0.0, 0.047), "between"), ((0.0, 0.06), "breach")],
)
def test_one_degraded_metric_breaches_and_all_must_recover(drops: tuple[float, float], state: VerdictState) -> None:
    report = performance_report(0, metric("accuracy", drops[0]), metric("recall", drops[1]))
    assert verdict(report, "performance").state == state


def test_a_drop_within_its_sampling_error_is_neither_breach_nor_recovery() -> None:
    report = performance_report(0, metric("recall", 0.2, degraded=False))
    assert verdict(report, "performance").state == "between"


def test_performance_names_the_metric_furthest_beyond_its_threshold() -> None:
    report = performance_report(0, metric("accuracy", 0.06), metric("log_loss", 0.3, threshold=0.2))
    found = verdict(report, "performance")
    assert (found.value, found.threshold) == (0.3, 0.2)
    assert found.evidence == {"degraded_metrics": ["accuracy", "log_loss"]}


def test_performance_without_any_metric_is_not_judged() -> None:
    assert verdict(performance_report(0, metric(relative=None)), "performance").state == "insufficient"


@pytest.mark.parametrize("report", [drift_report(sufficient=False), performance_report(sufficient=False)])
def test_an_insufficient_window_is_judged_by_no_rule(report: AnyReport) -> None:
    assert {v.state for v in verdicts_of(report, MONITORING)} == {"insufficient"}


def test_disabled_rules_are_silent_and_critical_features_are_not() -> None:
    off = Rule(enabled=False)
    monitoring = Monitoring(alerting=replace(MONITORING.alerting, data_drift=off, data_quality=off))
    found = verdicts_of(drift_report(), monitoring)
    assert [v.rule for v in found] == ["prediction_drift", "critical_feature:age"]
    assert rule_of(found[1], monitoring.alerting) == Rule()
