"""What a notification says, before any medium."""

from __future__ import annotations

import unicodedata

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.alerting.channels.slack_blocks import escaped
from app.alerting.events.alert_event import alert_of
from app.alerting.events.related_window import RelatedWindows, noted
from app.alerting.rendering.content import build_content
from app.alerting.rendering.sanitize import clean
from app.alerting.rendering.templates import html_of, text_of
from app.alerting.rules.model_rules import rule_of, verdicts_of
from app.core.config.monitoring import Monitoring
from tests.support.alert_events import FIRED
from tests.support.notifications import MOMENT, alert, drifted, hostile, metric, notification, resolved
from tests.support.reports import drift_report, feature, performance_report
from tests.support.reports import metric as metric_change
from topics.events import AlertEvent, AnyReport


def genuine(report: AnyReport, rule: str, beside: RelatedWindows | None = None) -> AlertEvent:
    """An alert as the stream makes it."""
    monitoring = Monitoring()
    verdict = next(v for v in verdicts_of(report, monitoring) if v.rule == rule)
    rule_ = rule_of(verdict, monitoring.alerting)
    return alert_of(report, verdict, FIRED, rule_, emitted_at=MOMENT, page="http://x:1", beside=beside)


def test_the_five_largest_effects_are_told_and_the_rest_is_counted() -> None:
    features = [feature(f"f{i}", 0.2 + i / 10) for i in range(7)]
    story = build_content(notification(genuine(drift_report(features=[*features, feature("calm")]), "data_drift")))
    assert [column.name for column in story.columns] == ["f6", "f5", "f4", "f3", "f2"]
    assert story.more_columns == 2
    first = story.columns[0]
    assert (first.effect, first.sure, first.direction) == ("KS distance 0.8 (threshold 0.1)", "p < 1e-12", "higher")
    assert (first.reference, first.current) == ("median 40", "median 480")


def test_what_the_rows_say_the_sentences_do_not_say_again() -> None:
    features = [feature(f"f{i}", 0.2 + i / 10) for i in range(7)]
    story = build_content(notification(genuine(drift_report(features=features), "data_drift")))
    assert story.facts == (
        "Since 2017-05-01 00:00 UTC.",
        "Seen in the window 2017-04-30 20:00 UTC to 2017-05-01 00:00 UTC: 1,000 predictions.",
        "7 of 7 features differ from the reference (100%, threshold 30%).",
        (
            "Silence it: driftline alerts silence --model income --version 3 --rule data_drift"
            " --for 2h --comment 'looked at'"
        ),
    )
    assert story.alerts == ()
    assert text_of(story).count("f6") == 1, "in its row"


def test_an_incident_of_several_alerts_is_one_message() -> None:
    drift = genuine(drift_report(features=[feature("age", 0.5)]), "data_drift")
    worse = genuine(performance_report(0, metric_change("recall", 0.4), metric_change("f1", 0.01)), "performance")
    story = build_content(notification(drift, worse, title="income 3: 2 alerts"))
    assert story.facts == (
        "Since 2017-05-01 00:00 UTC.",
        "Seen in the window 2017-04-30 20:00 UTC to 2017-05-01 00:00 UTC: 1,000 predictions.",
    ), "what all of them say is said once"
    assert [told.title for told in story.alerts] == sorted([drift.title, worse.title])
    assert [row.name for row in story.columns] == ["age"]
    assert [(row.name, row.change, row.degraded) for row in story.metrics] == [
        ("recall", "40.0% worse", True),
        ("f1", "1.0% worse", False),
    ]
    text = text_of(story)
    assert "The truth of 900 of 1,000 predictions is known (90%)." in text
    assert "recall 0.48 (95 % interval 0.47 to 0.49), baseline 0.8: 40.0% worse" in text


def test_a_column_in_several_alerts_is_told_once_with_its_picture() -> None:
    points = {"at": [1.0], "reference": [1.0], "current": [1.0]}
    story = build_content(notification(alert(features=[drifted()]), alert("a2", features=[drifted(shape=points)])))
    assert [column.name for column in story.columns] == ["age"]
    assert story.worst is not None


def test_the_highest_level_is_told_first_and_then_what_is_over() -> None:
    over = alert("a3", status="resolved", ended_at=MOMENT, title="over")
    mild, grave = alert("a1", level="warning", title="mild"), alert("a2", level="critical", title="grave")
    story = build_content(notification(mild, grave, over, level="critical"))
    assert [(told.mark, told.level, told.title) for told in story.alerts] == [
        ("🚨", "critical", "grave"), ("⚠️", "warning", "mild"), ("✅", "resolved", "over"),
    ]  # fmt: skip
    assert story.subject.startswith("🚨 [critical] ")


def test_what_is_over_names_no_drift_that_is_past() -> None:
    over = alert(
        status="resolved", ended_at=MOMENT, title="over", features=[drifted()], metrics=[metric("recall", 0.0)]
    )
    story = build_content(notification(over))
    assert (story.state, story.columns, len(story.metrics)) == ("resolved", (), 1)


@pytest.mark.parametrize(
    "evidence",
    [
        {},
        {"features": None},
        {"features": [1, None, {"name": 3}]},
        {"features": {"a": 1}},
        {"metrics": [{"name": "f1"}]},
    ],
)
def test_evidence_of_another_kind_is_left_out(evidence: dict[str, object]) -> None:
    story = build_content(notification(alert(evidence=evidence)))
    assert (story.columns, story.metrics) == ((), ())
    assert "1,000 predictions" in text_of(story)


def test_html_is_escaped_and_links_are_of_the_web_only() -> None:
    story = build_content(hostile())
    page = html_of(story, picture='"><script>', picture_says='"><script>')
    assert "<script" not in page
    assert "javascript:" not in page
    assert "7 * 7" in page
    assert 'href="https://example.org/?a=&lt;b&gt;|c&amp;d"' in page


@given(st.text(), st.one_of(st.none(), st.integers(1, 50)))
def test_clean_text_is_one_line_that_steers_nothing(text: str, limit: int | None) -> None:
    found = clean(text, limit)
    assert limit is None or len(found) <= limit
    assert all(unicodedata.category(character) not in ("Cc", "Cs", "Zl", "Zp") for character in found)
    assert not {*"\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f"} & set(found)
    found.encode()
    assert clean(found) == found


@given(st.text(), st.integers(1, 60))
def test_escaped_text_holds_its_limit_and_breaks_no_entity(text: str, limit: int) -> None:
    found = escaped(text, limit)
    assert len(found.encode("utf-16-le", "surrogatepass")) // 2 <= limit
    assert "<" not in found
    assert ">" not in found
    back = found.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    assert back == text or (back.endswith("…") and text.startswith(back[:-1]))


names = st.text(min_size=1, max_size=300)


@given(names, names, names)
def test_any_names_make_a_message(model: str, name: str, category: str) -> None:
    made = notification(
        alert(title=model, message=name, features=[drifted(name, kind="categorical", current=category)]),
        title=model, labels={"model": model}, notification_id=name, group=category,
    )  # fmt: skip
    story = build_content(made)
    assert len(story.subject) <= 160
    assert story.subject.isprintable() or not any(c in story.subject for c in "\r\n")
    text_of(story).encode()
    assert "<script" not in html_of(story)


def test_the_story_of_a_resolved_notification_is_green() -> None:
    assert build_content(resolved()).subject == "✅ [resolved] income 3: data drift is over"
    assert msgspec.json.encode(build_content(resolved()))


def test_what_is_beside_is_told_once_and_not_where_another_alert_of_the_group_is_about_it() -> None:
    fallen = performance_report(0, metric_change("recall", 0.4))
    drift = drift_report(features=[feature("age", 0.5), feature("sex")], prediction=feature("prediction", 0.3))
    known = noted(noted(None, fallen), drift)
    alone = build_content(notification(genuine(drift, "data_drift", known)))
    assert alone.facts[-1].startswith("How the model performs is as of the window 2017-04-30 20:00 UTC to")
    assert [row.name for row in alone.metrics] == ["recall"]
    assert text_of(alone).count("recall 0.48") == 1
    two = build_content(notification(genuine(drift, "data_drift", known), genuine(drift, "prediction_drift", known)))
    assert text_of(two).count("How the model performs is as of") == 1
    performance = build_content(notification(genuine(fallen, "performance", known)))
    assert "1 of its 2 features differs from the reference" in performance.facts[-1]
    assert [row.name for row in performance.columns] == ["age"]
    both = build_content(notification(genuine(drift, "data_drift", known), genuine(fallen, "performance", known)))
    text = text_of(both)
    assert "How the model performs is as of" not in text
    assert "of its 2 features" not in text
    assert (text.count("age: KS distance 0.5"), text.count("recall 0.48")) == (1, 1)
