"""The page of one window: what it says, what it draws, and that it needs nothing else."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from app.reporting.drawing import distribution, over_time
from app.reporting.page import Page, html_of, verdict_of
from tests.support.reports import START, drift_report, end_of, feature, metric, performance_report
from topics.events import AlertEvent, DriftReport, PerformanceReport, Shape

STEPS = Shape(at=(1.0, 2.0, 3.0, 4.0), reference=(0.25, 0.5, 0.75, 1.0), current=(0.0, 0.125, 0.625, 1.0))
HOSTILE = '<script>alert("x")</script> & "quotes"'


class Tags(HTMLParser):
    """The tags of a page, and what they refer to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.references: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.references += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "srcset")]


def page_of(drift: DriftReport | None, performance: PerformanceReport | None, *alerts: AlertEvent) -> Page:
    shares = [(end_of(window), 0.5 if window else 0.0) for window in range(3)]
    return Page("income", "3", drift, performance, shares, alerts, START)


def an_alert(title: str) -> AlertEvent:
    return AlertEvent(
        alert_id="1", fingerprint="f", status="firing", level="error", rule="data_drift", title=title, message="",
        labels={}, started_at=START, ended_at=None, evidence={}, links={}, emitted_at=START,
    )  # fmt: skip


def test_a_page_needs_nothing_else_and_what_it_quotes_is_text() -> None:
    columns = (feature(HOSTILE, 0.375, shape=STEPS, reference=HOSTILE), feature("plan", 0.02))
    page = page_of(drift_report(1, features=columns), performance_report(1, metric(relative=0.2)), an_alert(HOSTILE))
    text = html_of(page)
    tags = Tags(text)
    assert tags.references == []
    assert not {"script", "link", "img", "iframe", "object", "base"} & set(tags.names)
    assert "default-src 'none'" in text
    assert not re.search(r"url\(|@import|https?://", text)
    assert "&lt;script&gt;" in text
    assert tags.names.count("svg") == 2  # over time, and the column that has a shape


def test_the_drawn_gap_is_the_largest_difference_of_the_two_step_functions() -> None:
    drawn = distribution(feature("age", 0.375, shape=STEPS))
    assert "gap 0.375" in drawn
    (y1, y2) = re.findall(r'class="gap" x1="[^"]+" y1="([^"]+)" x2="[^"]+" y2="([^"]+)"', drawn)[0]
    grid = [float(y) for y in re.findall(r'class="grid"[^>]+y1="([^"]+)"', drawn)]
    assert abs(float(y1) - float(y2)) / (max(grid) - min(grid)) == pytest.approx(0.375, abs=0.002)


def test_categories_are_paired_bars_as_long_as_their_shares() -> None:
    shape = Shape(at=("red", "<b>"), reference=(0.8, 0.2), current=(0.4, 0.6))
    drawn = distribution(feature("colour", 0.3, kind="categorical", test="jensen-shannon", shape=shape))
    long = [float(width) for width in re.findall(r'class="bar \w+"[^>]+width="([^"]+)"', drawn)]
    assert [width / long[0] for width in long] == pytest.approx([1.0, 0.5, 0.25, 0.75], abs=0.01)
    assert "&lt;b&gt;" in drawn


def test_a_column_without_values_has_no_picture_and_gaps_in_time_are_left_out() -> None:
    assert distribution(feature("age", None)) == ""
    assert over_time([0.1, None, 0.2, 0.3], 0.3, 2, "share", 1.0).count('class="share"') == 1


def test_the_verdict_says_what_was_found_and_what_was_not_judged() -> None:
    drifted = drift_report(1, features=[feature("age", 0.5), feature("sex")])
    assert verdict_of(page_of(drifted, performance_report(1, metric(relative=0.2)))) == [
        "Data drift: 1 of 2 features have drifted (50%; data drift from 30%).",
        "Performance is worse than on the reference: accuracy.",
    ]
    few = drift_report(1, n=20, sufficient=False)
    assert verdict_of(page_of(few, performance_report(1, sufficient=False, feedback=0))) == [
        "20 predictions are too few to judge drift.", "No truth of these predictions has come yet."
    ]  # fmt: skip
    assert verdict_of(page_of(drift_report(1), performance_report(1)))[1] == "No metric has degraded."


def test_a_page_of_performance_alone_and_of_nothing() -> None:
    assert "No metric has degraded" in html_of(page_of(None, performance_report(1)))
    with pytest.raises(ValueError, match="about a window"):
        html_of(page_of(None, None))
