"""Each rule's verdict on a report."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from app.alerting.events.alert_event import alert_of
from app.alerting.rules.lifecycle import RuleState, step
from app.alerting.rules.model_rules import Verdict, VerdictState, rule_of, verdicts_of
from app.core.config.monitoring import Alerting, Monitoring, PerformanceThresholds, Rule
from tests.support.reports import START, drift_report, end_of, feature, metric, performance_report
from topics.events import AnyReport, DriftReport, MetricChange, Scales

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
    assert verdict(drift_report(features=[column]), "critical_feature").state == state
    output = replace(column, name="prediction")
    assert verdict(drift_report(prediction=output), "prediction_drift").state == state


@pytest.mark.parametrize(("effect_size", "state"), [(0.095, "between"), (0.09, "clear"), (0.0, "clear")])
def test_a_column_of_many_categories_is_clear_by_its_effect_and_not_by_its_distance(
    effect_size: float, state: VerdictState
) -> None:
    column = feature("age", 0.4, significant=True, drifted=False, effect=False, effect_size=effect_size)
    assert verdict(drift_report(features=[column]), "critical_feature").state == state


def test_prediction_drift_follows_the_probability_too() -> None:
    report = drift_report(prediction_drift=True, probability=feature("probability", 0.4))
    found = verdict(report, "prediction_drift")
    assert (found.state, found.value) == ("breach", 0.4)
    assert found.evidence == {"columns": ["probability"]}


def test_a_critical_feature_that_the_profile_lacks_is_off() -> None:
    assert verdict(drift_report(), "critical_feature").state == "off"


@pytest.mark.parametrize(
    ("changes", "problem", "state", "columns"),
    [
        ({}, "missing", "clear", []),
        ({"features": [feature("age", missing=60, missing_rises=True)]}, "missing", "breach", ["age"]),
        ({"features": [feature("age", missing=50, missing_rises=True)]}, "missing", "between", []),
        ({"features": [feature("age", missing=45, missing_rises=True)]}, "missing", "clear", []),
        ({"features": [feature("age", missing=300, reference_missing=0.3)]}, "missing", "clear", []),
        (
            {"features": [feature("age", missing=360, reference_missing=0.3, missing_rises=True)]},
            "missing", "breach", ["age"],
        ),
        ({"features": [feature("age", missing=360, reference_missing=0.3)]}, "missing", "clear", []),  # by chance
        ({"features": [feature("c", unseen=20, unseen_rises=True)]}, "unseen", "breach", ["c"]),
        ({"features": [feature("c", unseen=20)]}, "unseen", "clear", []),  # by chance
        ({"features": [feature("c", unseen=20, unseen_rises=True, reference_unseen=0.015)]}, "unseen", "clear", []),
        ({"unknown_features": {"agee": 11}}, "unknown", "breach", ["agee"]),
        ({"unknown_features": {"agee": 1}}, "unknown", "clear", []),
        ({"features": [feature("age", invalid=500)]}, "type", "breach", ["age"]),
        ({"features": [feature("age", invalid=10)]}, "type", "between", []),
        ({"prediction": feature("prediction", missing=200, missing_rises=True)}, "missing", "breach", ["prediction"]),
        ({"prediction": feature("prediction", None, missing=1000, missing_rises=True)}, "missing", "clear", []),
        ({"prediction": feature("prediction", unseen=20, unseen_rises=True)}, "unseen", "breach", ["prediction"]),
        ({"probability": feature("probability", invalid=20)}, "type", "breach", ["probability"]),
    ],
)  # fmt: skip
def test_data_quality_breaches_on_each_of_its_problems_by_itself(
    changes: dict[str, Any], problem: str, state: VerdictState, columns: list[str]
) -> None:
    found = {v.subject: v for v in verdicts_of(drift_report(**changes), MONITORING) if v.rule == "data_quality"}
    assert set(found) == {"missing", "unseen", "unknown", "type"}
    told = found[problem].evidence["columns"]
    assert isinstance(told, dict)
    assert (found[problem].state, list(told)) == (state, columns)
    assert all(v.state == "clear" for name, v in found.items() if name != problem)


@pytest.mark.parametrize(
    ("real", "guess", "state"),
    [
        (0.80, 0.80, "clear"),
        (0.77, 0.80, "clear"),  # 3.75 %, within 0.9 of the threshold
        (0.762, 0.80, "between"),
        (0.75, 0.80, "breach"),
        (0.85, 0.80, "clear"),
    ],
)
def test_realised_below_what_was_estimated_beyond_both_errors(real: float, guess: float, state: VerdictState) -> None:
    def one(value: float, half: float = 0.01) -> MetricChange:
        return metric("accuracy", 0.0, value=value, low=value - half, high=value + half, degraded=False)

    report = performance_report(0, one(real), estimated=(one(guess),))
    assert verdict(report, "performance_estimate").state == state
    wide = performance_report(0, one(real, 0.05), estimated=(one(guess),))
    assert verdict(wide, "performance_estimate").state != "breach"
    unknown = metric("accuracy", None)
    assert verdict(performance_report(0, unknown, estimated=(one(guess),)), "performance_estimate").state == (
        "insufficient"
    )
    rules = [v.rule for v in verdicts_of(performance_report(0, one(real)), MONITORING)]
    assert rules == ["performance"], "what is not estimated is not compared"


@pytest.mark.parametrize(
    ("drop", "state"), [(-0.2, "clear"), (0.0, "clear"), (0.045, "clear"), (0.047, "between"), (0.06, "breach")]
)
def test_each_metric_is_judged_by_itself(drop: float, state: VerdictState) -> None:
    report = performance_report(0, metric("accuracy", 0.2), metric("log_loss", drop), metric("f1", None))
    found = {v.subject: v for v in verdicts_of(report, MONITORING) if v.rule == "performance"}
    assert list(found) == ["accuracy", "log_loss", "f1"]
    assert (found["accuracy"].state, found["log_loss"].state, found["f1"].state) == ("breach", state, "insufficient")
    assert (found["log_loss"].value, found["log_loss"].threshold) == (drop, 0.05)


def test_a_drop_within_its_sampling_error_is_neither_breach_nor_recovery() -> None:
    report = performance_report(0, metric("recall", 0.2, degraded=False))
    assert verdict(report, "performance").state == "between"


@pytest.mark.parametrize(
    ("changed", "severe"),
    [
        (metric("f1", 0.1), False),
        (metric("f1", 0.101), True),
        (metric("f1", 0.2, degraded=False), False),  # within its sampling error
    ],
)
def test_a_drop_beyond_degradation_is_severe(changed: MetricChange, severe: bool) -> None:
    found = verdict(performance_report(0, changed), "performance")
    assert (found.severe, "degradation" in found.evidence) == (severe, severe)
    critical = Monitoring(alerting=Alerting(performance=Rule(level="critical")))
    assert not verdict(performance_report(0, changed), "performance", critical).severe  # no level is higher
    lenient = Monitoring(performance=PerformanceThresholds(degradation=0.5))
    assert not verdict(performance_report(0, changed), "performance", lenient).severe


def test_performance_without_any_metric_is_not_judged() -> None:
    assert verdict(performance_report(0, metric(relative=None)), "performance").state == "insufficient"


@pytest.mark.parametrize("report", [drift_report(sufficient=False), performance_report(sufficient=False)])
def test_an_insufficient_window_is_judged_by_no_rule(report: AnyReport) -> None:
    found = verdicts_of(report, MONITORING)
    assert {v.state for v in found if v.rule != "critical_feature"} == {"insufficient"}
    assert not any(v.severe for v in found)


def test_what_is_not_judged_for_days_is_an_alert_that_says_since_when_and_ends_when_it_is() -> None:
    def judged(days: float, **changes: Any) -> DriftReport:
        report = drift_report(round(days * 24), n=20, sufficient=False, needed=480, **changes)
        return msgspec.structs.replace(report, not_judged_since=end_of(0))

    few, enough = judged(2.9), judged(3.1)
    assert verdict(few, "not_judged").state == "between"
    fired, transition = step(RuleState(), verdict(enough, "not_judged"), 3.1, 1, MONITORING.alerting.not_judged)
    assert transition is not None
    alert = alert_of(
        enough, verdict(enough, "not_judged"), transition, MONITORING.alerting.not_judged, emitted_at=START
    )
    assert (alert.level, alert.title) == ("warning", "income 3: not judged since 2017-05-01 00:00 UTC")
    assert "20 predictions in the window: 480 more are needed (drift.min_samples)." in alert.message
    found = Scales(spans=(1, 2), chance=1e-5, detectable=0.5)
    for again in (
        drift_report(80),
        judged(3.2, scales=found),
        judged(3.2, scales=msgspec.structs.replace(found, data_calm=True)),
    ):
        assert verdict(again, "not_judged").state == "clear"
    still = judged(3.2, scales=msgspec.structs.replace(found, detectable=0.51, needed=3))
    assert verdict(still, "not_judged").state == "breach"
    blind = judged(3.2, unjudged_share=0.6, scales=found)
    assert verdict(blind, "not_judged").state == "breach"
    _, over = step(fired, verdict(drift_report(80), "not_judged"), 80.0, 1, MONITORING.alerting.not_judged)
    assert over is not None
    assert over.status == "resolved"


def test_disabled_rules_are_off_and_critical_features_have_a_switch_of_their_own() -> None:
    disabled = Rule(enabled=False)
    report = drift_report(features=[feature("age", 0.5)])

    def on(monitoring: Monitoring) -> list[str]:
        return [v.rule for v in verdicts_of(report, monitoring) if v.state != "off"]

    without_drift = replace(MONITORING.alerting, data_drift=disabled, data_quality=disabled)
    assert on(Monitoring(alerting=without_drift)) == ["prediction_drift", "critical_feature", "not_judged"]
    without_critical = replace(MONITORING.alerting, critical_feature=disabled)
    usual = ["data_drift", "prediction_drift", *["data_quality"] * 4, "not_judged"]
    assert on(Monitoring(alerting=without_critical)) == usual
    stricter = replace(MONITORING.alerting, critical_feature=Rule(level="critical", for_windows=1))
    assert rule_of(verdict(report, "critical_feature"), stricter).for_windows == 1
    for sufficient in (True, False):
        silent = performance_report(0, metric("accuracy", 0.5), sufficient=sufficient)
        found = verdict(silent, "performance", Monitoring(alerting=Alerting(performance=disabled)))
        assert (found.state, found.severe) == ("off", False)
        assert found.evidence == {"reason": "the rule performance is switched off (driftline alerts rules says where)"}
