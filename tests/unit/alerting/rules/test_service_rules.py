"""Traffic, feedback and the monitor itself, against plain recomputation."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import poisson

from app.alerting.events.alert_event import alert_of
from app.alerting.events.sentences import span_text
from app.alerting.rules.lifecycle import Transition
from app.alerting.rules.model_rules import rule_of
from app.core.config.monitoring import Alerting, DecisionSettings, Monitoring, Rule
from app.core.config.rule_layers import RULES
from tests.support.reports import ENVELOPE, START, drift_report, end_of, feature, metric, performance_report, traffic
from tests.support.verdicts import DEFAULTS, found
from topics.events import AnyReport, IntakeReport, MonitorReport, PartitionStanding, TrafficReport, Volume


def dropped(recent: int, expected: float, **changes: Any) -> TrafficReport:
    """A report of a window whose newest pane has so many predictions, where so many are usual."""
    volume = Volume(**{"panes": 1, "recent": recent, "expected": expected, "p_value": 1.0} | changes)
    return traffic([100] * 11 + [recent], volume=volume, chance=1e-6)


def monitor(**changes: Any) -> MonitorReport:
    """A worker that has partition 3 alone."""
    fields: dict[str, Any] = {
        **ENVELOPE, "n": 10_000, "worker": "w1", "lag": {"predictions": 5}, "behind_seconds": 1.0, "dead_letters": {},
    }  # fmt: skip
    fields |= changes
    standing = PartitionStanding(
        n=fields["n"], lag=fields["lag"], behind_seconds=fields["behind_seconds"],
        dead_letters=sum(fields["dead_letters"].values()),
    )  # fmt: skip
    return MonitorReport(**fields | {"partitions": {"3": standing}})


def intake(**changes: Any) -> IntakeReport:
    fields: dict[str, Any] = {
        **ENVELOPE, "n": 10, "topic": "predictions", "partition": 0, "dead_letters": {}, "unregistered": {},
        "recent": 0, "recent_dead": 0, "recent_unregistered": 0, "settled": 0, "unmatched": 0, "threshold": 0.5,
        "unregistered_threshold": 0.01, "unmatched_threshold": 0.5,
    }  # fmt: skip
    return IntakeReport(**fields | changes)


@given(st.floats(0.01, 50.0), st.floats(0.01, 500.0), st.integers(0, 200), st.integers(0, 9))
def test_silence_breaches_once_chance_is_below_the_stated_level(
    usual: float, missed: float, silent: int, pause: int
) -> None:
    report = traffic([5] * 12, silent=silent, usual=usual, missed=missed, pause=pause, chance=1e-6)
    verdict = found(report)["traffic", "stopped"]
    rare = bool(poisson.pmf(0, missed) < 1e-6)
    assert (verdict.state == "breach") == verdict.sure == (rare and silent > pause)
    assert (verdict.state == "clear") == (silent == 0)


@pytest.mark.parametrize(
    ("silent", "longest", "gaps", "state"),
    [(0, 3, 20, "clear"), (3, 3, 20, "clear"), (4, 3, 20, "between"), (6, 3, 20, "between"), (7, 3, 20, "breach"),
     (100, 3, 4, "insufficient")],
)  # fmt: skip
def test_feedback_stops_after_twice_its_longest_pause(silent: int, longest: int, gaps: int, state: str) -> None:
    report = traffic([50] * 12, feedback_silent=silent, feedback_longest=longest, feedback_gaps=gaps)
    assert found(report)["feedback", "stopped"].state == state


@pytest.mark.parametrize(
    ("coverage", "usual", "state"),
    [(0.8, 0.8, "clear"), (0.45, 0.8, "clear"), (0.42, 0.8, "between"), (0.39, 0.8, "breach"),
     (0.0, 0.1, "insufficient")],
)  # fmt: skip
def test_coverage_falls_below_half_of_what_is_usual(coverage: float, usual: float, state: str) -> None:
    report = traffic([50] * 12, coverage=coverage, usual_coverage=usual)
    assert found(report)["feedback", "coverage"].state == state


@pytest.mark.parametrize(
    ("changes", "subject", "state"),
    [({}, "lag", "clear"), ({"behind_seconds": 61.0}, "lag", "breach"), ({"behind_seconds": 57.0}, "lag", "between"),
     ({}, "dead letters", "clear"), ({"dead_letters": {"late": 101}}, "dead letters", "breach"),
     ({"dead_letters": {"late": 95}}, "dead letters", "between"), ({"n": 4, "dead_letters": {"x": 4}}, "dead letters",
     "between")],
)  # fmt: skip
def test_the_monitor_tells_of_its_own_lag_and_dead_letters(changes: dict[str, Any], subject: str, state: str) -> None:
    assert found(monitor(**changes))["monitor", f"{subject} of partition 3"].state == state


def test_too_little_known_neither_fires_nor_resolves_and_rules_can_be_switched_off() -> None:
    report = traffic([0] * 12, silent=40, usual=9.0, sufficient=False)
    assert {v.state for v in found(report).values()} == {"insufficient"}
    off = Monitoring(alerting=Alerting(traffic=Rule(enabled=False), feedback=Rule(enabled=False)))
    assert {v.state for v in found(report, off).values()} == {"off"}


@pytest.mark.parametrize(
    ("report", "key", "title", "words"),
    [
        (traffic([9] * 8 + [0] * 4, silent=4, usual=9.0), ("traffic", "stopped"),
         "income 3: no predictions come any more",
         ("None in the last 80 min; usually there are 9 in 20 min.\n"
          "At the usual rate chance brings that less than once in 1,000 times.")),
        (traffic([9] * 8 + [0] * 4, silent=4, usual=9.0, missed=36.0, days=(1, 7), chance=1e-6), ("traffic", "stopped"),
         "income 3: no predictions come any more",
         ("By the same hours yesterday and a week ago, 36 would have come since.\n"
          "At the usual rate chance brings that less than once in 1,000,000 times.")),
        (dropped(40, 98.0, days=(1,), found=True), ("traffic", "volume"),
         "income 3: predictions have dropped suddenly",
         "40 in the last 20 min; 98 or more in the same hours yesterday.\nAt the usual rate chance"),
        (dropped(3, 10.0, found=True), ("traffic", "volume"), "income 3: predictions have dropped suddenly",
         "3 in the last 20 min; 10 are a tenth of the rate before, which counts while no day is known."),
        (traffic([9] * 12, feedback_silent=9), ("feedback", "stopped"), "income 3: no feedback comes any more",
         "None for 3 h; the longest of its last 20 pauses was 60 min."),
        (traffic([90] * 12, coverage=0.1), ("feedback", "coverage"), "income 3: fewer predictions get their feedback",
         "10%; usual are 80%"),
        (traffic([90] * 12, coverage=0.1, waiting=812), ("feedback", "coverage"),
         "income 3: fewer predictions get their feedback",
         "Feedback whose prediction has not come (are the ids the same?): 812."),
        (monitor(behind_seconds=90.0), ("monitor", "lag of partition 3"), "income 3: lag of partition 3 is too high",
         "It is 90 s behind"),
    ],
)  # fmt: skip
def test_alerts_say_what_happened(report: AnyReport, key: tuple[str, str], title: str, words: str) -> None:
    verdict = found(report)[key]
    fired = Transition(status="firing", window_end=end_of(1).timestamp(), started_at=end_of(0).timestamp())
    rule = rule_of(verdict, DEFAULTS.alerting)
    alert = alert_of(report, verdict, fired, rule, emitted_at=START)
    assert (alert.rule, alert.title) == (key[0], title)
    assert words in alert.message


@pytest.mark.parametrize(
    ("report", "state", "sure"),
    [(dropped(50, 100.0, found=True), "breach", True), (dropped(50, 100.0), "between", False),
     (dropped(65, 100.0), "clear", False), (traffic([50] * 12), "insufficient", False)],
)  # fmt: skip
def test_volume_is_what_the_report_has_found(report: TrafficReport, state: str, sure: bool) -> None:
    verdict = found(report)["traffic", "volume"]
    assert (verdict.state, verdict.sure) == (state, sure)
    alone = found(report, Monitoring(decision=DecisionSettings("off")))["traffic", "volume"]
    assert (alone.state, alone.sure) == (state, False)  # two windows in a row, as any rule of the window alone


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.5, "0.5 s"), (90, "90 s"), (120, "2 min"), (7200, "2 h"), (200_000, "2.31 days")]
)
def test_a_length_of_time_has_the_unit_that_suits_it(seconds: float, words: str) -> None:
    assert span_text(seconds) == words


NEAR: dict[str, tuple[AnyReport, str]] = {
    "data_drift": (drift_report(drift_share=0.21, drift_detected=False), "features"),
    "prediction_drift": (drift_report(prediction=feature("prediction", 0.07, significant=True)), "prediction"),
    "critical_feature": (drift_report(features=[feature("age", 0.07, significant=True)]), "age"),
    "feature_drift": (drift_report(features=[feature("sex", 0.07, significant=True)]), "sex"),
    "performance": (performance_report(0, metric("f1", 0.035)), "f1"),
    "performance_estimate": (
        performance_report(0, metric("f1", 0.035), estimated=(metric("f1", value=0.8, low=0.79, high=0.81),)), "f1",
    ),
    "data_quality": (drift_report(features=[feature("age", missing=35, missing_rises=True)]), "missing"),
    "traffic": (dropped(72, 100.0), "volume"),
    "feedback": (traffic([50] * 12, coverage=0.52), "coverage"),
    "monitor": (monitor(behind_seconds=42.0), "lag of partition 3"),
    "dead_letters": (intake(recent=1000, recent_dead=350), "predictions"),
    "unregistered": (intake(profile_id="", recent=10_000, recent_unregistered=70), "predictions"),
    "unmatched": (intake(profile_id="", topic="feedback", settled=1000, unmatched=350), "feedback"),
}  # fmt: skip
"""Of each rule a window that is at 0.7 of the way to its threshold."""


def test_each_rule_has_one() -> None:
    assert set(NEAR) == {*RULES} - {"not_judged"}  # that one ends by a window that is judged, not by a value


@pytest.mark.parametrize("rule", NEAR)
@pytest.mark.parametrize(("hysteresis", "state"), [(0.9, "clear"), (0.5, "between")])
def test_every_rules_own_hysteresis_and_level_hold(rule: str, hysteresis: float, state: str) -> None:
    report, subject = NEAR[rule]
    own = Rule(hysteresis=hysteresis, level="info")
    alerting = replace(Alerting(critical_features=("age",)), **{rule: own})  # type: ignore[arg-type]
    verdict = found(report, Monitoring(alerting=alerting))[rule, subject]
    assert verdict.state == state
    assert rule_of(verdict, alerting) is own
    resolved = Transition(status="resolved", window_end=1.0, started_at=0.0, ended_at=1.0)
    assert alert_of(report, verdict, resolved, own, emitted_at=START).level == "info"
