"""Likely causes: faults of the usual kinds, planted in columns like those of a day's flights."""

from __future__ import annotations

import shlex
from collections.abc import Callable

import numpy as np
import pytest

from app.alerting.events.alert_event import alert_of
from app.alerting.events.related_window import noted
from app.alerting.notify.muting import labels_of
from app.alerting.rules.lifecycle import Transition
from app.alerting.rules.model_rules import rule_of, verdicts_of
from app.core.config.matchers import Matcher, all_match, matchers_of
from app.core.config.monitoring import Alerting, Monitoring, PerformanceThresholds, Rule
from app.core.evaluation.causes import cause_of
from app.core.reference.layout import Layout
from app.registration.monitoring import MonitoringError, monitoring_of
from tests.support.columns import Values
from tests.support.flights import LAYOUT, Floats, flights, summed
from tests.support.reports import START, drift_report, end_of, feature, metric, performance_report
from topics.events import AlertEvent, AnyReport
from topics.events import Cause as CauseEvent
from topics.results import Cause

Fault = Callable[[Floats], Floats]


def cause(name: str, values: Values, layout: Layout = LAYOUT) -> Cause | None:
    place = [slots.column.name for slots in layout.slots].index(name)
    return cause_of(layout, summed(layout, {name: values}), place)


def fifth(column: Floats, value: float) -> Floats:
    return np.where(np.arange(len(column)) % 5 > 0, column, value)


FAULTS: dict[str, tuple[str, Fault, str, str]] = {
    "km": ("distance", lambda c: c * 1.609, "unit", "x 1.609 (miles as kilometres?)"),
    "rounded km": ("distance", lambda c: np.round(c * 1.609), "unit", "x 1.609"),
    "hours": ("air_time", lambda c: c / 60, "unit", "/ 60"),
    "seconds": ("dep_delay", lambda c: c * 60, "unit", "x 60"),
    "a year": ("distance", lambda c: c * 12, "unit", "x 12"),
    "thousands": ("distance", lambda c: c * 1000, "unit", "x 1000"),
    "ones": ("distance", lambda c: c / 1000, "unit", "/ 1000"),
    "celsius": ("temp", lambda c: (c - 32) / 1.8, "unit", "(value - 32) / 1.8"),
    "sign": ("distance", lambda c: -c, "unit", "x -1"),
    "utc": ("hour", lambda c: (c + 4) % 24, "shift", "+ 4 of 24 hours"),
    "west": ("hour", lambda c: (c - 8) % 24, "shift", "- 8 of 24 hours"),
    "zero": ("dep_delay", lambda c: c + 250, "shift", "+ 250"),
    "factor": ("distance", lambda c: c * 4.4, "factor", "about x 4"),
    "clipped": ("dep_delay", lambda c: c.clip(0), "clipped", "cut off at 0: nothing is below it any more"),
    "capped": ("air_time", lambda c: c.clip(max=150.0), "clipped", "cut off at 150: nothing is above it any more"),
    "zeros": ("distance", lambda c: fifth(c, 0.0), "filled", "20% of the values are below all of the reference"),
    "minus one": ("dep_delay", lambda c: fifth(c, -1.0), "filled", "of the values are -1"),
    "nines": ("air_time", lambda c: fifth(c, 9999.0), "filled", "20% of the values are above all of the reference"),
    "frozen": ("dep_delay", lambda c: np.full_like(c, 3.0), "constant", "always 3"),
    "nulls": ("distance", lambda c: fifth(c, np.nan), "missing", "20% of the values are missing (0% before)"),
    "all nulls": ("distance", lambda c: np.full_like(c, np.nan), "missing", "all values are missing"),
}


@pytest.mark.parametrize("rows", [40, 400, 5000])
@pytest.mark.parametrize("fault", FAULTS)
def test_the_usual_faults_are_named(fault: str, rows: int) -> None:
    column, change, kind, words = FAULTS[fault]
    if rows < 100 and fault in ("utc", "west", "zero", "factor", "celsius", "a year", "minus one", "nines"):
        return  # so few rows leave it open: nothing is said, or another cause
    values = flights(7, rows)[column]
    assert isinstance(values, np.ndarray)
    found = cause(column, change(values))
    assert found is not None
    assert found.kind == kind
    assert words in found.words


def test_nothing_is_named_where_nothing_simple_was_done() -> None:
    """The same columns again; and one whose spread alone is not what it was."""
    for seed in range(20):
        for name, values in flights(100 + seed, 300).items():
            assert cause(name, values) is None, name
    temp = flights(7, 2000)["temp"]
    assert isinstance(temp, np.ndarray)
    assert cause("temp", 55.0 + (temp - 55.0) * 2.0) is None


def test_a_cause_names_its_factor() -> None:
    distance = flights(7, 400)["distance"]
    assert isinstance(distance, np.ndarray)
    found = cause("distance", distance * 1.609)
    assert found is not None
    assert found.factor == pytest.approx(1.609, rel=1e-3)
    assert found.offset == 0.0


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        (lambda names: ["AA" if i % 4 == 0 else name for i, name in enumerate(names)], "new category",
         "a new category “AA” (25% of the rows)"),
        (lambda names: ["ua" if name == "UA" else name for name in names], "spelling", "another spelling of “UA”"),
        (lambda names: ["WN" if name == "UA" else name for name in names], "new category", "in the place of “UA”"),
        (lambda names: [str(i) for i, _ in enumerate(names)], "new category", "100% of the rows have categories"),
        (lambda names: [name for name in names if name != "DL"], "category gone", "“DL” (20% before)"),
        (lambda names: [name for i, name in enumerate(names) if name == "EV" or i % 3 == 0], "mix",
         "more “EV”: 10% before"),
        (lambda names: [None if i % 2 else name for i, name in enumerate(names)], "missing",
         "50% of the values are missing"),
        (lambda names: names, None, ""),
    ],
)  # fmt: skip
def test_what_has_been_done_to_categories(
    change: Callable[[list[str]], list[str | None]], kind: str | None, words: str
) -> None:
    carriers = flights(7, 1000)["carrier"]
    assert isinstance(carriers, list)
    found = cause("carrier", change(carriers))
    assert (None if found is None else found.kind) == kind
    assert found is None or words in found.words


KM = CauseEvent(kind="unit", words="x 1.609 (miles as kilometres?)", factor=1.609, offset=0.0)
LINE = "Likely cause: distance: x 1.609 (miles as kilometres?)."
DRIFTED = drift_report(
    features=[feature("age", 0.3, significant=True, drifted=True),
              feature("distance", 0.4, significant=True, drifted=True, cause=KM)],
    drift_share=1.0, drift_detected=True, drifted_features=("age", "distance"), prediction_drift=True,
    prediction=feature("prediction", 0.3, significant=True, drifted=True),
)  # fmt: skip
WORSE = performance_report(0, metric("f1", 0.3, degraded=True), metric("accuracy", 0.1, degraded=True))


def alerts(report: AnyReport, alerting: Alerting, *before: AnyReport, status: str = "firing") -> dict[str, AlertEvent]:
    """The alert of each rule, by the window's own verdicts, beside what reports before it showed."""
    beside = None
    for one in (*before, report):
        beside = noted(beside, one)  # type: ignore[arg-type]
    start = end_of(0).timestamp()
    change = Transition(status=status, window_end=start, started_at=start)  # type: ignore[arg-type]
    return {
        verdict.rule: alert_of(report, verdict, change, rule_of(verdict, alerting), emitted_at=START, beside=beside)
        for verdict in reversed(verdicts_of(report, Monitoring(alerting=alerting)))
    }  # fmt: skip


def test_every_alert_of_an_incident_says_the_likely_cause() -> None:
    found = alerts(DRIFTED, Alerting()) | alerts(WORSE, Alerting(), DRIFTED)
    for rule in ("data_drift", "prediction_drift", "feature_drift", "performance"):
        assert found[rule].message.split("\n")[1] == LINE, rule
    assert LINE not in alerts(DRIFTED, Alerting(), status="resolved")["data_drift"].message


def test_where_no_feature_differs_the_model_is_to_be_looked_at() -> None:
    calm = drift_report(prediction_drift=True, prediction=feature("prediction", 0.3, significant=True, drifted=True))
    for found in (alerts(calm, Alerting())["prediction_drift"], alerts(WORSE, Alerting(), calm)["performance"]):
        assert "No feature differs from the reference: look at the model itself first" in found.message


def test_an_alert_has_its_owner_its_runbook_and_the_command_that_silences_it() -> None:
    own = Rule(owner="data team", runbook_url="https://wiki.example.com/drift")
    alerting = Alerting(data_drift=own, owner="fraud team", runbook_url="https://wiki.example.com/fraud")
    found = alerts(DRIFTED, alerting) | alerts(WORSE, alerting, DRIFTED)
    drift, worse = found["data_drift"], found["performance"]
    assert (drift.owner, drift.links["runbook"]) == ("data team", "https://wiki.example.com/drift")
    assert (worse.owner, worse.links["runbook"]) == ("fraud team", "https://wiki.example.com/fraud")
    assert {"Owner: data team.", "runbook: https://wiki.example.com/drift"} <= set(drift.message.split("\n"))
    assert labels_of(drift)["owner"] == "data team"
    for alert in found.values():
        (line,) = (line for line in alert.message.split("\n") if line.startswith("Silence it: "))
        words = shlex.split(line.removeprefix("Silence it: "))
        assert words[:3] == ["driftline", "alerts", "silence"]
        named = dict(zip(words[3::2], words[4::2], strict=True))
        silenced = silenced_by(named)
        assert all_match(silenced, labels_of(alert))
        assert [one.rule for one in found.values() if all_match(silenced, labels_of(one))] == [alert.rule]


def silenced_by(options: dict[str, str]) -> tuple[Matcher, ...]:
    names = {"--model": "model", "--version": "model_version", "--rule": "rule", "--subject": "subject"}
    return matchers_of([f'{label}="{options[option]}"' for option, label in names.items() if option in options])


def test_metrics_come_in_the_order_that_is_asked_for_and_never_by_the_alphabet() -> None:
    names = ("zeta", "f1", "accuracy", "recall", "brier", "roc_auc", "log_loss")
    report = performance_report(0, *(metric(name, 0.0) for name in names))
    shown = replace_show(report, ("log_loss", "recall"))
    evidence = alerts(shown, Alerting())["performance"].evidence["metrics"]
    assert isinstance(evidence, list)
    assert [one["name"] for one in evidence] == ["log_loss", "recall", "zeta", "f1", "accuracy", "brier", "roc_auc"]


def replace_show(report: AnyReport, show: tuple[str, ...]) -> AnyReport:
    import msgspec

    return msgspec.structs.replace(report, show=show)


def test_a_runbook_that_nobody_can_open_and_a_metric_that_is_none_are_refused() -> None:
    raw = {"alerting": {"owner": "x", "runbook_url": "https://wiki/x", "performance": {"runbook_url": "http://a/b"}}}
    assert monitoring_of(raw).monitoring.alerting.performance.runbook_url == "http://a/b"
    for bad in ("wiki/x", "javascript:alert(1)", "https://", "https://a b"):
        with pytest.raises(MonitoringError, match=r"alerting\.runbook_url: must be an address"):
            monitoring_of({"alerting": {"runbook_url": bad}})
    with pytest.raises(MonitoringError, match=r"alerting\.traffic\.runbook_url"):
        monitoring_of({"alerting": {"traffic": {"runbook_url": "wiki"}}})
    shown = monitoring_of({"performance": {"show": ["recall", "f1"]}}).monitoring.performance
    assert shown == PerformanceThresholds(show=("recall", "f1"))
    with pytest.raises(MonitoringError, match=r"performance\.show: no metric 'speed'"):
        monitoring_of({"performance": {"show": ["speed"]}})
