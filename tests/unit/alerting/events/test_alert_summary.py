"""What an alert carries as values: nothing is lost on the wire, and what has no values is rendered all the same."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from app.alerting.events import templates
from app.alerting.events.sentences import COMPOSED
from app.alerting.events.text import (
    fact,
    headline_of,
    line_of,
    lines_of,
    rendered,
    summary_of_alert,
    title_of,
    title_of_all,
)
from app.alerting.rendering.content import build_content
from app.alerting.rendering.templates import html_of, text_of
from tests.support.alert_scenes import SCENES
from tests.support.alert_stream import Stream
from tests.support.notifications import alert, notification
from topics.events import AlertEvent, AlertSummary, Fact


@pytest.fixture(scope="module")
def alerts() -> list[AlertEvent]:
    """Every transition of every scene, as Kafka has it, and as people are notified of those that flap."""
    found: list[AlertEvent] = []
    for scene in SCENES.values():
        stream = Stream(scene)
        asyncio.run(stream.play())
        found += stream.published
        for one in stream.people.found:
            found += (*one.firing, *one.resolved)
    return found


def facts_of(summary: AlertSummary) -> list[Fact]:
    related = () if summary.related is None else summary.related.facts
    return [*summary.notes, *summary.facts, *related, *summary.advice]


def test_title_and_message_are_those_of_the_summary_and_an_older_event_has_the_same(
    alerts: list[AlertEvent],
) -> None:
    with_summary = [one for one in alerts if one.summary is not None]
    assert len(with_summary) > 100
    for one in with_summary:
        assert one.summary is not None
        assert (one.title, one.message) == (title_of(one.summary), "\n".join(lines_of(one.summary)))
    for one in alerts:
        older = replace(one, summary=None)
        again = rendered(older, summary_of_alert(older))
        assert (again.title, again.message) == (one.title, one.message)
        story = build_content(notification(older))
        assert story.title == build_content(notification(one)).title
        assert not [line for line in story.facts if line.startswith("dashboard: ")]
        assert text_of(story)
        assert html_of(story)


def test_every_template_is_of_something_that_happens(alerts: list[AlertEvent]) -> None:
    summaries = [one.summary for one in alerts if one.summary is not None]
    kinds = {one.kind for summary in summaries for one in facts_of(summary)}
    unseen = (templates.FACTS.keys() | COMPOSED.keys()) - kinds
    assert unseen == {"text"}, "that of older events"
    headlines = {summary.headline.kind for summary in summaries}
    unseen = (templates.HEADLINES.keys() | templates.SUBJECT_HEADLINES.keys()) - headlines
    assert unseen == {"text", "data_drift_unnamed", "bad_data_unnamed"}


@pytest.mark.parametrize(
    "changes",
    [
        {"headline": fact("a headline of a later release")},
        {"facts": (fact("a fact of a later release", n=1),)},
        {"facts": (fact("column", name="not there"),)},
        {"facts": (fact("truth", feedback=None, n=1000, coverage=0.9),)},
        {"facts": (fact("truth", feedback=900),)},
    ],
)
def test_what_cannot_be_rendered_is_rendered_from_title_and_message(changes: dict[str, object]) -> None:
    made = alert(title="income 3: age has drifted", message="Since noon.\nfirst")
    assert made.summary is not None
    story = build_content(notification(replace(made, summary=replace(made.summary, **changes))))
    assert (story.title, story.facts) == ("income 3: age has drifted", ("Since noon.", "first"))


@given(st.text(min_size=1), st.text(min_size=1))
def test_names_are_never_taken_for_templates(name: str, other: str) -> None:
    columns = fact("cause", name=f"{{{name}}}", words="{0.__class__}")
    summary = AlertSummary(about=name, subject="{subject}", headline=fact("drifted"), facts=(columns,))
    assert headline_of(summary) == "{subject} has drifted"
    assert line_of(columns, summary) == f"Likely cause: {{{name}}}: {{0.__class__}}."
    sent = msgspec.json.decode(msgspec.json.encode(summary), type=AlertSummary)
    assert sent == summary
    both = title_of_all(name, [summary, replace(summary, subject=other)])
    assert both == f"{name}: {{subject}}, {other} have drifted"
