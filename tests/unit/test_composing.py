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
