"""What an alert says."""

from __future__ import annotations

import msgspec
import pytest

from app.alerting.events.alert_event import alert_of
from app.alerting.events.sentences import metric_line
from app.alerting.rendering.rows import metric_row
from app.alerting.rules.lifecycle import Transition
from app.alerting.rules.model_rules import rule_of, verdicts_of
from app.core.config.monitoring import Alerting, Monitoring, Rule
from tests.support.alert_events import FIRED
from tests.support.reports import START, drift_report, end_of, feature, metric, performance_report
from topics.events import AlertEvent, AnyReport

MONITORING = Monitoring(alerting=Alerting(critical_features=("age",)))
RESOLVED = msgspec.structs.replace(
    FIRED, status="resolved", window_end=end_of(3).timestamp(), ended_at=end_of(2).timestamp()
)


def alert(report: AnyReport, rule: str, transition: Transition = FIRED, page: str = "") -> AlertEvent:
    verdict = next(v for v in verdicts_of(report, MONITORING) if v.rule == rule)
    setting = rule_of(verdict, MONITORING.alerting)
    return alert_of(report, verdict, transition, setting, emitted_at=START, page=page)


def test_data_drift_tells_the_five_largest_effects_in_order() -> None:
    drifted = [feature(f"f{i}", 0.2 + i / 10) for i in range(7)]
    found = alert(drift_report(features=[*drifted, feature("calm")]), "data_drift")
    assert found.title == "income 3: data drift in 7 of 8 features (f0, f1, f2, f3, f4 and 2 more)"
    lines = found.message.splitlines()
    assert lines[0] == "Since 2017-05-01 00:00 UTC."
    assert lines[1] == "Seen in the window 2017-04-30 20:00 UTC to 2017-05-01 00:00 UTC: 1,000 predictions."
    assert lines[2] == "7 of 8 features differ from the reference (88%, threshold 30%)."
    assert lines[3] == "f6: ks 0.8 (threshold 0.1, p < 1e-12), higher, median 40 -> median 480"
    told = [line.partition(":")[0] for line in lines[3:]]
    assert told == ["f6", "f5", "f4", "f3", "f2", "and 2 more", "Silence it"]


def test_a_critical_feature_is_named_and_explained() -> None:
    found = alert(drift_report(features=[feature("age", 0.7), feature("sex")]), "critical_feature")
    assert found.title == "income 3: age has drifted"
    assert "age: ks 0.7" in found.message
    assert "sex" not in found.message
    assert found.labels == {
        "model": "income", "model_version": "3", "rule": "critical_feature", "subject": "age",
    }  # fmt: skip


def test_performance_tells_change_and_certainty() -> None:
    report = performance_report(1, metric("accuracy", 0.1), metric("recall", -0.02))
    found = alert(report, "performance")
    assert found.title == "income 3: accuracy has got worse"
    assert "The truth of 900 of 1,000 predictions is known (90%)." in found.message
    assert "accuracy 0.72 (95 % interval 0.71 to 0.73), baseline 0.8: 10.0% worse (threshold 5.0%)" in found.message
    assert "recall" not in found.message
    assert (found.level, "Critical" in found.message) == ("error", False)


def test_performance_tells_what_its_metrics_leave_out_and_which_was_not_judged() -> None:
    bare = metric("roc_auc", 0.2, baseline=None, judged=False, degraded=False, reason="no baseline: undefined")
    report = performance_report(
        1, metric("accuracy", 0.4), bare, unknown_actuals={"d": 369}, not_judged={"missing prediction": 60}
    )
    verdict = {v.subject: v for v in verdicts_of(report, MONITORING)}
    assert (verdict["accuracy"].state, verdict["roc_auc"].state) == ("breach", "insufficient")
    assert verdict["roc_auc"].evidence == {"reason": "no baseline: undefined"}
    found = alert(report, "performance")
    assert "41 % of the truth is `d`, which the reference does not have." in found.message
    assert "60 of 900 rows with truth enter no metric: missing prediction 60." in found.message
    assert "Not judged: roc_auc (no baseline: undefined)." in found.message
    assert found.evidence["unknown_actuals"] == {"d": 369}
    assert metric_row(bare).change == "not judged: no baseline: undefined"
    assert "not judged (no baseline: undefined)" in metric_line(bare)
    perfect = metric("mae", 0.08, baseline=0.0, value=0.8, absolute=0.8, scale=10.0, low=0.7, high=0.9)
    assert "mae 0.8 (95 % interval 0.7 to 0.9), baseline 0: 8.0% worse (0.8 of 10)" in metric_line(perfect)


def test_a_metric_below_its_estimate_tells_both() -> None:
    guess = metric("recall", value=0.79, low=0.78, high=0.8, degraded=False)
    found = alert(performance_report(1, metric("recall", 0.1), estimated=(guess,)), "performance_estimate")
    assert found.title == "income 3: recall is worse than estimated"
    assert "recall 0.72 (95 % interval 0.71 to 0.73), baseline 0.8" in found.message
    assert "Without the truth, recall of this window was estimated as 0.79 (95 % interval 0.78 to 0.8)" in found.message
    assert found.evidence["estimated_value"] == 0.79


def test_a_severe_alert_is_critical_and_says_why() -> None:
    report = performance_report(1, metric("accuracy", 0.3), metric("f1", 0.06))
    found = alert(report, "performance", msgspec.structs.replace(FIRED, severe=True))
    assert (found.level, found.title) == ("critical", "income 3: accuracy has got much worse")
    assert "Critical: accuracy is more than 10.0% worse than its baseline." in found.message


@pytest.mark.parametrize("rule", ["data_drift", "prediction_drift", "data_quality", "critical_feature"])
def test_an_alert_whose_rule_was_switched_off_says_so(rule: str) -> None:
    disabled = Rule(enabled=False)
    monitoring = Monitoring(
        alerting=Alerting(
            data_drift=disabled, prediction_drift=disabled, data_quality=disabled, critical_feature=disabled,
            critical_features=("age",),
        )
    )  # fmt: skip
    report = drift_report(features=[feature("age", 0.7)])
    verdict = next(v for v in verdicts_of(report, monitoring) if v.rule == rule)
    found = alert_of(report, verdict, RESOLVED, disabled, emitted_at=START)
    named = {"critical_feature": "age"}.get(rule, rule.replace("_", " "))
    assert found.title == f"income 3: {named} is no longer watched"
    assert f"Closed, because the rule {rule} is switched off (driftline alerts rules says where)." in found.message


def test_bad_data_tells_which_and_how_many() -> None:
    bad = [
        feature("age", missing=700, invalid=300, reference_missing=0.1, missing_rises=True),
        feature("sex", missing=200, reference_missing=0.2, unseen=50, unseen_rises=True),
    ]
    report = drift_report(features=bad, missing_share=0.35, unknown_features={"agee": 700})
    found = {
        v.subject: alert_of(report, v, FIRED, MONITORING.alerting.data_quality, emitted_at=START)
        for v in verdicts_of(report, MONITORING)
        if v.rule == "data_quality"
    }
    assert found["missing"].title == "income 3: bad data, missing values in age"
    assert "Missing values: age 70.0% of its rows (10.0% expected from the reference)" in found["missing"].message
    for name, sure in (("missing", True), ("unseen", True), ("unknown", False), ("type", False)):
        assert ("Chance brings that in less than one window of 1,000." in found[name].message) is sure
    assert found["missing"].evidence["columns"] == {"age": pytest.approx(0.6)}
    assert found["unseen"].title == "income 3: bad data, unseen categories in sex"
    assert "Unknown features: agee 70.0% of its rows" in found["unknown"].message
    assert "Values of the wrong type: age 30.0% of its rows" in found["type"].message


@pytest.mark.parametrize(
    ("report", "rule", "title"),
    [
        (drift_report(3), "data_drift", "income 3: data drift is over"),
        (drift_report(3), "prediction_drift", "income 3: prediction drift is over"),
        (drift_report(3), "data_quality", "income 3: bad data is over, missing values"),
        (drift_report(3, features=[feature("age")]), "critical_feature", "income 3: age no longer drifts"),
        (performance_report(3), "performance", "income 3: accuracy is as good as before again"),
    ],
)
def test_a_resolved_alert_says_from_when_to_when(report: AnyReport, rule: str, title: str) -> None:
    found = alert(report, rule, RESOLVED)
    assert (found.status, found.title) == ("resolved", title)
    assert (found.started_at, found.ended_at) == (end_of(0), end_of(2))
    assert found.message.startswith("From 2017-05-01 00:00 UTC to 2017-05-01 02:00 UTC (2 h).")
    assert "Chance brings" not in found.message


def test_firing_and_resolved_are_one_alert_with_two_ids() -> None:
    fired, resolved = alert(drift_report(), "data_drift"), alert(drift_report(3), "data_drift", RESOLVED)
    assert fired.fingerprint == resolved.fingerprint
    assert fired.alert_id != resolved.alert_id
    assert fired.level == "error"


def test_evidence_has_the_numbers_and_survives_json() -> None:
    report = drift_report(features=[feature("age", 0.7, unseen_names={"secret": 3}), feature("sex")])
    found = alert(report, "data_drift")
    assert msgspec.json.decode(msgspec.json.encode(found), type=AlertEvent) == found
    assert found.evidence["value"] == 0.5
    assert found.evidence["n"] == 1000
    features = found.evidence["features"]
    assert isinstance(features, list)
    assert [(f["name"], f["statistic"], f["p_value"]) for f in features] == [("age", 0.7, 1e-20)]
    assert b"secret" not in msgspec.json.encode(found)


def test_performance_evidence_has_metrics_confusion_and_estimates() -> None:
    report = performance_report(0, metric("accuracy", 0.1), estimated=(metric("accuracy", 0.08),))
    evidence = alert(report, "performance").evidence
    assert msgspec.convert(evidence["metrics"], list[dict[str, object]])[0]["relative"] == 0.1
    assert msgspec.convert(evidence["estimated"], list[dict[str, object]])[0]["relative"] == 0.08
    assert evidence["confusion"] == [[400, 50], [50, 400]]


def test_links_lead_to_the_page_and_spell_names_safely() -> None:
    found = alert(drift_report(model="a/b &c"), "data_drift", page="http://localhost:8700/")
    assert found.links == {
        "dashboard": "http://localhost:8700/dashboard?model=a%2Fb%20%26c&version=3",
        "alerts": "http://localhost:8700/dashboard#/alerts",
    }
    assert found.links["dashboard"] in found.message
    assert alert(drift_report(), "data_drift").links == {}


def test_drift_leads_to_its_worst_column_in_its_window_while_it_fires() -> None:
    start = "http://x:1/dashboard#/model/income/3"
    window = "?window=2017-05-01T00%3A00%3A00Z"
    features = [feature("sex", 0.3), feature("age/x", 0.7), feature("calm")]
    report = drift_report(features=features, prediction=feature("prediction", 0.2))
    assert alert(report, "data_drift", page="http://x:1").links["feature"] == f"{start}/feature/age%2Fx{window}"
    assert alert(report, "prediction_drift", page="http://x:1").links["feature"] == (
        f"{start}/prediction/prediction{window}"
    )
    both = msgspec.structs.replace(report, probability=feature("probability", 0.9))
    assert "/probability/probability?" in alert(both, "prediction_drift", page="http://x:1").links["feature"]
    named = drift_report(features=[feature("age", 0.2), feature("sex", 0.9)])
    assert "/feature/age?" in alert(named, "critical_feature", page="http://x:1").links["feature"]
    for found in (alert(report, "data_drift", RESOLVED, "http://x:1"), alert(drift_report(), "data_drift", FIRED, "x")):
        assert set(found.links) == {"dashboard", "alerts"}
