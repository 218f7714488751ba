"""What the newest panes say to the rules, and how an alert says it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from app.alerting.events.alert_event import alert_of
from app.alerting.rules.lifecycle import Transition
from app.alerting.rules.model_rules import Verdict, VerdictState, rule_of, verdicts_of
from app.core.config.monitoring import Alerting, Monitoring
from tests.support.reports import START, drift_report, end_of, feature
from topics.events import DriftAtScale, DriftReport, ScaleFinding, Scales

MONITORING = Monitoring(alerting=Alerting(critical_features=("age",)))
SINCE = end_of(0) - timedelta(minutes=3)


def found(name: str = "age", fault: Any = "distribution", **changes: Any) -> ScaleFinding:
    """A column that the newest 4 panes of a minute show best."""
    fields: dict[str, Any] = {
        "name": name, "fault": fault, "panes": 4, "shortest": 2, "n": 166, "effect_size": 0.4, "threshold": 0.1,
        "p_value": 1e-9, "since_panes": 3, "earliest_panes": 4, "latest_panes": 3,
        "start": end_of(0) - timedelta(minutes=4), "since": SINCE, "earliest": end_of(0) - timedelta(minutes=4),
        "latest": SINCE, "column": feature(name, 0.4) if fault == "distribution" else None,
    }  # fmt: skip
    return ScaleFinding(**fields | changes)


def scales(**changes: Any) -> Scales:
    return Scales(spans=(1, 2, 4), chance=1e-5, **changes)


def report(said: Scales | None, *, statistic: float = 0.02, **changes: Any) -> DriftReport:
    return drift_report(features=[feature("age", statistic), feature("size")], scales=said, **changes)


def verdict(of: DriftReport, rule: str, subject: str = "") -> Verdict:
    return next(v for v in verdicts_of(of, MONITORING) if v.rule == rule and subject in ("", v.subject))


NEWEST = [
    (scales(found=(found(),)), 0.02, "breach", True),
    (scales(calm={"distribution": {"age": 2}}), 0.3, "clear", True),  # over, though the window still holds it
    (scales(quiet={"distribution": ("age",)}), 0.3, "between", False),  # likely to be over
    (scales(suspected={"distribution": ("age",)}), 0.02, "between", False),  # an alert does not end by this
    (scales(), 0.3, "breach", False),
    (scales(), 0.02, "clear", False),
    (None, 0.3, "breach", False),
]


@pytest.mark.parametrize(("said", "statistic", "state", "sure"), NEWEST)
def test_a_column_by_its_newest_panes(said: Scales | None, statistic: float, state: VerdictState, sure: bool) -> None:
    judged = verdict(report(said, statistic=statistic), "critical_feature")
    assert (judged.state, judged.sure) == (state, sure)
    output = None if said is None else msgspec.convert(
        msgspec.json.decode(msgspec.json.encode(said).replace(b'"age"', b'"prediction"')), Scales
    )  # fmt: skip
    predicted = report(output, prediction=feature("prediction", statistic))
    assert verdict(predicted, "prediction_drift").state == state


@pytest.mark.parametrize(("said", "statistic", "state", "sure"), NEWEST)
def test_a_feature_that_nobody_named_by_its_newest_panes(
    said: Scales | None, statistic: float, state: VerdictState, sure: bool
) -> None:
    """The same as of a critical one, but for what a window alone says where the newest panes are judged."""
    scales = None if said is None else msgspec.convert(
        msgspec.json.decode(msgspec.json.encode(said).replace(b'"age"', b'"size"')), Scales
    )  # fmt: skip
    of = drift_report(features=[feature("age"), feature("size", statistic), feature("f")], scales=scales)
    judged = verdict(of, "feature_drift", "size")
    alone = said is not None and state == "breach" and not sure
    assert (judged.state, judged.sure) == ("between" if alone else state, sure)
    assert [v.subject for v in verdicts_of(of, MONITORING) if v.rule == "feature_drift"] == ["size", "f"]
    assert rule_of(judged, MONITORING.alerting).level == "warning"


def test_the_data_as_a_whole_by_its_newest_panes() -> None:
    whole = DriftAtScale(panes=2, n=80, drift_share=0.5, drifted_features=("age",), start=SINCE)
    fires = verdict(report(scales(found=(found(),), data_drift=whole)), "data_drift")
    assert (fires.state, fires.sure, fires.value, fires.since) == ("breach", True, 0.5, SINCE.timestamp())
    assert verdict(report(scales(data_calm=True), statistic=0.3), "data_drift").state == "clear"
    assert verdict(report(scales(data_quiet=True), statistic=0.3), "data_drift").state == "between"
    assert verdict(report(scales(data_suspected=True)), "data_drift").state == "between"


def test_shares_by_the_newest_panes() -> None:
    nulls = report(scales(found=(found("size", "missing", effect_size=0.9, threshold=0.05),)))
    fires = verdict(nulls, "data_quality", "missing")
    assert (fires.state, fires.sure, fires.value, fires.evidence["columns"]) == ("breach", True, 0.9, {"size": 0.9})
    assert verdict(nulls, "data_quality", "unseen").state == "clear"
    bad = feature("age", missing=300, missing_rises=True)
    over = drift_report(features=[bad], scales=scales(calm={"missing": {"age": 1}}))
    assert verdict(over, "data_quality", "missing").state == "clear"
    assert verdict(drift_report(features=[bad], scales=scales()), "data_quality", "missing").state == "breach"


def test_a_window_with_too_few_rows_keeps_what_the_newest_panes_are_sure_of() -> None:
    few = report(scales(found=(found(),)), sufficient=False, n=80)
    assert verdict(few, "critical_feature").state == "breach"
    assert verdict(few, "prediction_drift").state == "insufficient"


def test_the_alert_says_where_it_is_seen_and_since_when() -> None:
    of = report(scales(found=(found(),)))
    fires = verdict(of, "critical_feature")
    change = Transition(status="firing", window_end=of.window_end.timestamp(), started_at=SINCE.timestamp())
    alert = alert_of(of, fires, change, rule_of(fires, MONITORING.alerting), emitted_at=START)
    assert alert.started_at == SINCE
    four, three = "2017-04-30 23:56 UTC", "2017-04-30 23:57 UTC"
    assert alert.message.splitlines()[2:-1] == [
        "age: ks 0.4 (threshold 0.1, p < 1e-12), higher, median 40 -> median 480",
        f"age: seen in the newest 4 panes (from {four}, 166 rows), changed at {three} (between {four} and {three}).",
    ]
    evidence = alert.evidence
    assert isinstance(evidence["scales"], list)
    assert evidence["scales"][0]["panes"] == 4
    assert evidence["scales"][0]["column"] is None
    assert isinstance(evidence["features"], list)
    assert evidence["features"][0]["statistic"] == 0.4  # that of the newest panes, not of the window
