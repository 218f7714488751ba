"""What the API keeps of the stream: bounded, the newest revision of everything."""

from __future__ import annotations

import random
from datetime import timedelta

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from app.read_model.changes import Changes
from app.read_model.report_store import MAX_PACKED_BYTES, MAX_WINDOWS, ReportStore
from app.read_model.reports_table import MAX_ALERTS, ModelReports, ReportsTable
from app.settings.settings import load_settings
from tests.support.model_reports import START, a_drift_report, an_alert
from tests.support.reports import feature
from topics.events import (
    DriftReport,
    FeatureDrift,
)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9)), max_size=40))
def test_the_highest_revision_of_each_window_is_kept_in_any_order(reports: list[tuple[int, int]]) -> None:
    windows: ReportStore[DriftReport] = ReportStore()
    for end, revision in reports:
        windows.put(a_drift_report(end, revision))
    expected: dict[int, int] = {}
    for end, revision in reports:
        expected[end] = max(revision, expected.get(end, 0))
    assert [(window.report.window_end, window.report.revision) for window in windows.last()] == [
        (START + timedelta(minutes=end), revision) for end, revision in sorted(expected.items())
    ]


def test_a_new_profile_starts_its_revisions_anew() -> None:
    windows: ReportStore[DriftReport] = ReportStore()
    windows.put(a_drift_report(1, revision=9))
    assert windows.put(a_drift_report(1, revision=1, profile_id="q", emitted_at=START + timedelta(seconds=1)))
    assert not windows.put(a_drift_report(1, revision=10))
    assert windows.latest is not None
    assert windows.latest.profile_id == "q"


def test_views_are_bounded_and_keep_the_newest() -> None:
    windows: ReportStore[DriftReport] = ReportStore()
    for end in range(MAX_WINDOWS + 20):
        windows.put(a_drift_report(end))
    assert not windows.put(a_drift_report(3))
    assert len(windows.last()) == MAX_WINDOWS
    assert windows.last(1)[0].report.window_end == START + timedelta(minutes=MAX_WINDOWS + 19)
    found = ModelReports()
    for number in range(MAX_ALERTS + 20):
        found.alert(an_alert(number, "firing" if number == 0 else "resolved"))
    assert len(found.alerts) == MAX_ALERTS
    assert [alert.fingerprint for alert in found.firing] == ["0"]


def test_a_resolved_alert_replaces_its_firing_and_never_the_other_way_round() -> None:
    found = ModelReports()
    found.alert(an_alert(1, "resolved", after=5))
    found.alert(an_alert(1, "firing"))
    assert found.firing == []


def test_whole_reports_are_let_go_when_they_are_too_much_and_the_newest_never() -> None:
    windows: ReportStore[DriftReport] = ReportStore()
    chance = random.Random(1)
    last = 60
    wide: tuple[FeatureDrift, ...] = ()
    for end in range(last + 1):
        wide = (feature("age", 0.5, reference=chance.randbytes(80_000).hex()),)
        windows.put(a_drift_report(end, features=wide))
    kept = list(windows.whole())
    assert 1 <= len(kept) <= last
    assert kept[-1].window_end == START + timedelta(minutes=last)
    assert kept[-1].features == wide
    assert sum(len(window.packed) for window in windows.last()) <= MAX_PACKED_BYTES
    assert windows.at(START) is None
    assert len(windows.last()) == last + 1


def test_what_was_found_of_a_version_is_kept_as_long_as_the_topics_have_it() -> None:
    now = [0.0]
    view = ReportsTable(load_settings(), Changes(), now=lambda: now[0])
    for days, version in ((0, "1"), (20, "2"), (29, "1"), (51, "3"), (60, "4")):
        now[0] = days * 86_400.0
        view.apply("reports", [msgspec.json.encode(a_drift_report(days, model_version=version))])
    assert [version for _, version in view.findings] == ["3", "4"]
