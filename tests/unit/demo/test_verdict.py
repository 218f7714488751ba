"""The demo's verdict: passes on what must be seen, and fails on each thing that must not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from app.core.config.monitoring import Monitoring, Windows
from app.demo.seen import DemoSeen
from app.demo.story import Fault
from app.demo.verdict import Expected, settled, verdict
from tests.support.reports import drift_report, end_of, feature, metric, performance_report
from topics.events import AlertEvent

FAULT = Fault(feature="age", start=end_of(0), end=end_of(20))
MONITORING = Monitoring(windows=Windows(pane=3600.0, panes=4))
HOURS = range(-20, 60)
"""The hours with people in them: 100 in each."""


def expected() -> Expected:
    times = [end_of(hour).timestamp() + 36.0 * i for hour in HOURS for i in range(100)]
    return Expected(FAULT, MONITORING, np.array(times))


def alert(rule: str, subject: str, first: int, last: int | None) -> AlertEvent:
    return AlertEvent(
        alert_id=f"{rule}{first}{last}", fingerprint=rule, status="firing" if last is None else "resolved",
        level="error", rule=rule, title=rule, message="", labels={"subject": subject}, started_at=end_of(first),
        ended_at=None if last is None else end_of(last), evidence={}, links={}, emitted_at=datetime.now(UTC),
    )  # fmt: skip


def good() -> DemoSeen:
    """What must be seen: all windows exact, the fault's windows loud, three alerts that come and go."""
    seen = DemoSeen()
    for hour in HOURS:
        window, broken = hour + 1, 0 < hour + 1 <= 23
        n = 100 * min(4, window + 20)
        age = feature("age", 0.9 if broken else 0.02)
        seen.report(drift_report(window, features=[age, *(feature(f"f{i}") for i in range(9))], n=n))
        seen.report(performance_report(window, metric(relative=0.4 if broken else 0.0), n=n, feedback=n))
    for rule, subject in (
        ("critical_feature", "age"), ("prediction_drift", "prediction"), ("performance", "accuracy"),
    ):  # fmt: skip
        seen.alert(alert(rule, subject, 1, None))
        seen.alert(alert(rule, subject, 1, 24))
    return seen


def failed(seen: DemoSeen) -> list[str]:
    return [check.words for check in verdict(seen, expected()) if not check.passed]


def test_what_must_be_seen_passes() -> None:
    seen = good()
    assert failed(seen) == []
    assert settled(seen, expected())
    assert expected().margin == timedelta(hours=7)


def lose_alerts(seen: DemoSeen) -> None:
    seen.alerts.clear()


def leave_firing(seen: DemoSeen) -> None:
    seen.alerts = [a for a in seen.alerts if (a.rule, a.status) != ("performance", "resolved")]


def resolve_late(seen: DemoSeen) -> None:
    seen.alerts = [alert(a.rule, a.labels["subject"], 1, 29) for a in seen.alerts]


def alarm_in_quiet_times(seen: DemoSeen) -> None:
    seen.alert(alert("data_quality", "inputs", -10, -5))


def name_another_feature(seen: DemoSeen) -> None:
    features = [feature("age", 0.9), feature("f0", 0.3)]
    seen.report(drift_report(10, features=features, n=400))


def drift_in_quiet_times(seen: DemoSeen) -> None:
    seen.report(drift_report(40, features=[feature("f0", 0.3), *(feature(f"g{i}") for i in range(9))], n=400))


def miss_predictions_alert(seen: DemoSeen) -> None:
    seen.alerts = [a for a in seen.alerts if a.rule != "prediction_drift"]


def count_one_twice(seen: DemoSeen) -> None:
    seen.report(performance_report(40, n=400, feedback=401))


def lose_a_window(seen: DemoSeen) -> None:
    del seen.windows[end_of(40)]


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lose_alerts, "no alert names age"),
        (leave_firing, "not resolved: performance"),
        (resolve_late, "resolved: all 3 alerts"),
        (alarm_in_quiet_times, "false alarms: 1"),
        (name_another_feature, "explained by: age, f0"),
        (drift_in_quiet_times, "with any finding: 1"),
        (miss_predictions_alert, "prediction drift alert did not fire"),
        (count_one_twice, "1 not equal"),
        (lose_a_window, "1 missing"),
    ],
)
def test_whatever_is_wrong_fails_and_says_what(harm: Callable[[DemoSeen], None], words: str) -> None:
    seen = good()
    harm(seen)
    assert any(words in line for line in failed(seen)), failed(seen)


def test_windows_are_not_settled_before_all_of_their_truth_is_in() -> None:
    seen = good()
    seen.report(performance_report(40, n=400, feedback=399))
    assert not settled(seen, expected())


def test_an_older_revision_replaces_nothing() -> None:
    seen = DemoSeen()
    seen.report(drift_report(1, revision=2, n=7))
    seen.report(drift_report(1, revision=1, n=8))
    assert [window.drift.n for window in seen.ordered if window.drift] == [7]
