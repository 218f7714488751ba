"""What a notification of several alerts is called."""

from __future__ import annotations

import msgspec
import pytest

from app.alerting.events.text import fact, rendered
from app.alerting.notify.decision import Reason
from app.alerting.notify.flapping import as_flapping
from app.alerting.notify.group_evaluation import PlannedNotification
from app.alerting.notify.notification_builder import build_notification
from tests.support.notifications import MOMENT, alert
from topics.events import AlertEvent, AlertSummary, Fact

GROUP = {"model": "income", "model_version": "3"}


def of(rule: str, subject: str, headline: Fact, level: str = "error") -> AlertEvent:
    labels = {**GROUP, "rule": rule, "subject": subject}
    summary = AlertSummary(about="income 3", subject=subject, headline=headline, facts=())
    return rendered(alert(f"{rule}-{subject}", rule=rule, labels=labels, level=level), summary)


def worse(*metrics: str, level: str = "error") -> list[AlertEvent]:
    return [of("performance", name, fact("worse"), level=level) for name in metrics]


def over(*metrics: str) -> list[AlertEvent]:
    return [of("performance", name, fact("as_before")) for name in metrics]


def older(*alerts: AlertEvent) -> list[AlertEvent]:
    """As a release before summaries wrote them."""
    return [msgspec.structs.replace(one, summary=None) for one in alerts]


NAMES = ("age", "income")
DRIFT = of("data_drift", "features", fact("data_drift", drifted=2, features=3, names=NAMES))
OUTPUT = of("prediction_drift", "prediction", fact("prediction_drift"), level="warning")
FLAPS = [as_flapping(one, 3) for one in worse("f1", "recall")]


@pytest.mark.parametrize(
    ("firing", "ended", "title"),
    [
        (worse("f1"), [], "f1 has got worse"),
        (worse("accuracy", "f1"), [], "accuracy, f1 have got worse"),
        (worse("accuracy", "f1", "recall", "precision", "brier"), [], "accuracy, f1, recall and 2 more have got worse"),
        (
            [OUTPUT, DRIFT, *worse("recall", level="critical")], [],
            "recall has got worse; data drift in 2 of 3 features (age, income); its predictions have drifted",
        ),
        (worse("f1"), over("recall", "brier"), "f1 has got worse (2 resolved)"),
        ([], over("recall", "brier"), "recall, brier are as good as before again"),
        ([], [of("critical_feature", name, fact("drift_over")) for name in "ab"], "a, b no longer drift"),
        ([OUTPUT, OUTPUT], [], "its predictions have drifted"),
        ([*FLAPS, *worse("f1")], [], "f1, recall have got worse (flapping); f1 has got worse"),
        (older(*worse("f1", "recall")), [], "f1 has got worse; recall has got worse"),
        ([of("external", "worse", fact("text", text="worse"))], over("recall"), "worse (1 resolved)"),
    ],
)  # fmt: skip
def test_a_title_says_what_has_happened_the_worst_first(
    firing: list[AlertEvent], ended: list[AlertEvent], title: str
) -> None:
    telling = PlannedNotification(
        channel="slack", reason=Reason.FIRST, firing=tuple(firing), resolved=tuple(ended), sequence=1
    )
    assert build_notification("g", GROUP, telling, MOMENT).title == f"income 3: {title}"


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
        telling = PlannedNotification(channel="slack", reason=Reason.FIRST, firing=told, resolved=(), sequence=1)
        return build_notification("g", GROUP, telling, MOMENT).links["feature"]

    assert link(*alerts) == "http://x/age"
    every = alert("d", rule="data_drift", evidence={"value": 0.4}, links={"feature": "http://x/all"})
    assert link(*alerts, every) == "http://x/all"
