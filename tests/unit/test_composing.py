"""What a notification of several alerts is called."""

from __future__ import annotations

import pytest

from app.alerting.composing import compose
from app.alerting.group import Telling
from app.alerting.telling import Reason
from tests.notifications import MOMENT, alert
from topics.events import AlertEvent

GROUP = {"model": "income", "model_version": "3"}


def of(rule: str, subject: str) -> AlertEvent:
    return alert(f"{rule}-{subject}", rule=rule, labels={**GROUP, "rule": rule, "subject": subject})


@pytest.mark.parametrize(
    ("firing", "title"),
    [
        ([of("performance", name) for name in ("accuracy", "f1")], "2 alerts firing (performance: accuracy, f1)"),
        (
            [of("performance", name) for name in ("accuracy", "f1", "recall", "precision", "brier")],
            "5 alerts firing (performance: accuracy, f1, recall and 2 more)",
        ),
        ([of("performance", "f1"), of("data_drift", "features")], "2 alerts firing (performance, data_drift)"),
    ],
)
def test_a_title_names_the_rules_or_what_the_only_rule_is_about(firing: list[AlertEvent], title: str) -> None:
    telling = Telling(channel="slack", reason=Reason.FIRST, firing=tuple(firing), resolved=(), sequence=1)
    assert compose("g", GROUP, telling, MOMENT).title == f"income 3: {title}"


def test_the_link_to_a_feature_is_to_the_worst() -> None:
    alerts = [
        alert(f"{rule}-{name}", rule=rule, evidence={"value": value}, links={"feature": f"http://x/{name}"})
        for rule, name, value in (
            ("critical_feature", "income", 0.3),
            ("critical_feature", "age", 0.9),
            ("performance", "recall", 0.99),
        )
    ]
    del alerts[2].links["feature"]

    def link(*told: AlertEvent) -> str:
        telling = Telling(channel="slack", reason=Reason.FIRST, firing=told, resolved=(), sequence=1)
        return compose("g", GROUP, telling, MOMENT).links["feature"]

    assert link(*alerts) == "http://x/age"
    every = alert("d", rule="data_drift", evidence={"value": 0.4}, links={"feature": "http://x/all"})
    assert link(*alerts, every) == "http://x/all"
