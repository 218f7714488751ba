"""Bodies and errors of the API: decoded strictly, with the field that is wrong; views that stay bounded."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.bodies import MAX_ITEMS, decode_items, decode_one
from api.incoming import feedback, predictions, wrong_feedback, wrong_prediction
from api.problems import Problem
from api.state import state_of
from api.timeline import timeline_of
from api.views import MAX_ALERTS, MAX_WINDOWS, Findings, Windows
from topics.events import AlertEvent, DriftReport, MetricChange, PerformanceReport

EVENT: dict[str, Any] = {
    "prediction_id": "a", "model": "m", "model_version": "1", "timestamp": "2026-01-01T00:00:00Z",
    "features": {"age": 3}, "prediction": 1, "probability": 0.5,
}  # fmt: skip
START = datetime(2026, 1, 1, tzinfo=UTC)


def taken(body: bytes, kind: str = "application/json") -> list[int]:
    return [index for index, _ in decode_items(body, kind, predictions, wrong_prediction).accepted]


def encoded(*events: object) -> bytes:
    return msgspec.json.encode(events[0] if len(events) == 1 else list(events))


LINES = b"\n".join([encoded(EVENT)] * 3)


@pytest.mark.parametrize(
    ("body", "kind", "indices"),
    [
        (encoded(EVENT), "application/json", [0]),
        (msgspec.json.format(encoded(EVENT), indent=2), "application/json; charset=utf-8", [0]),
        (encoded(EVENT, EVENT), "", [0, 1]),
        (LINES, "application/x-ndjson", [0, 1, 2]),
        (LINES + b"\n\n", "application/json", [0, 1, 2]),
    ],
)
def test_one_a_list_and_lines_are_taken(body: bytes, kind: str, indices: list[int]) -> None:
    assert taken(body, kind) == indices


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"timestamp": "yesterday"}, "timestamp: invalid RFC3339 encoded datetime"),
        ({"timestamp": "2026-01-01T00:00:00"}, "timestamp: expected datetime with a timezone component"),
        ({"timestamp": 1.7e12}, "timestamp: must be RFC 3339 or seconds since the epoch, from 1970 to 2100"),
        ({"features": [1]}, "features: expected object, got array"),
        ({"features": {"age": [1]}}, "features.*: expected"),
        ({"prediction_id": ""}, "prediction_id: expected str of length >= 1"),
        ({"prediction_id": 5}, "prediction_id: expected str | null, got int"),
        ({"model": msgspec.UNSET}, "model: missing"),
        ({"prediction": None}, "prediction: expected"),
        ({"probability": 1.5}, "probability: must be from 0 to 1"),
        ({"probability": {"yes": -0.1}}, "probability.yes: must be from 0 to 1"),
        ({"probability": "high"}, "probability: expected"),
        ({"metadata": {"a": {}}}, "metadata.*: expected"),
    ],
)
def test_the_wrong_field_is_named_with_the_position(change: dict[str, object], words: str) -> None:
    bad = {name: value for name, value in {**EVENT, **change}.items() if value is not msgspec.UNSET}
    found = decode_items(encoded(EVENT, bad, EVENT), "", predictions, wrong_prediction)
    assert [index for index, _ in found.accepted] == [0, 2]
    (rejection,) = found.rejected
    assert rejection.index == 1
    assert rejection.error.startswith(words)


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"", 400, "the body has no event"),
        (b"  \n", 400, "the body has no event"),
        (b"[]", 400, "the body has no event"),
        (b'{"a": ', 400, "not JSON: input data was truncated"),
        (b'[{"a": 1}, ', 400, "not JSON: input data was truncated"),
        (b"\xff\xfe", 400, "not JSON: "),
        (b"[" + b",".join([b"{}"] * (MAX_ITEMS + 1)) + b"]", 413, "10,001 events in one request; at most 10,000"),
    ],
)
def test_a_body_that_is_no_json_is_refused_as_a_whole(body: bytes, status: int, words: str) -> None:
    with pytest.raises(Problem) as error:
        taken(body)
    assert error.value.status == status
    assert error.value.detail.lower().startswith(words.lower())


def test_a_bad_line_costs_itself_only() -> None:
    found = decode_items(LINES + b'\n{"a":\nnull', "application/x-ndjson", predictions, wrong_prediction)
    assert [index for index, _ in found.accepted] == [0, 1, 2]
    assert [(one.index, one.error.partition(":")[0]) for one in found.rejected] == [
        (3, "not JSON"), (4, "expected object, got null"),
    ]  # fmt: skip


@given(st.lists(st.sampled_from(["sound", "no id", "no model", "late", "null", "extra"]), min_size=1, max_size=12))
def test_a_list_is_taken_as_its_items_are_one_by_one(kinds: list[str]) -> None:
    made: dict[str, object] = {
        "sound": EVENT, "no id": {**EVENT, "prediction_id": None}, "no model": {**EVENT, "model": ""},
        "late": {**EVENT, "timestamp": 1e12}, "null": None, "extra": {**EVENT, "more": [1]},
    }  # fmt: skip
    at_once = decode_items(msgspec.json.encode([made[kind] for kind in kinds]), "", predictions, wrong_prediction)
    lines = b"\n".join(msgspec.json.encode(made[kind]) for kind in kinds)
    one_by_one = decode_items(lines, "application/x-ndjson", predictions, wrong_prediction)
    assert list(at_once.accepted) == list(one_by_one.accepted)
    assert list(at_once.rejected) == list(one_by_one.rejected)


@given(st.binary(max_size=200), st.sampled_from(["", "application/x-ndjson"]))
def test_no_body_raises_anything_but_a_problem(body: bytes, kind: str) -> None:
    statuses = []
    try:
        decode_items(body, kind, predictions, wrong_prediction)
        decode_items(body, kind, feedback, wrong_feedback)
    except Problem as problem:
        statuses.append(problem.status)
    assert set(statuses) <= {400, 413}


def test_one_object_says_what_is_wrong_with_it() -> None:
    told = []
    for body in (b"{", b"[]", b"{}"):
        with pytest.raises(Problem) as error:
            decode_one(body, feedback)
        told.append((error.value.status, error.value.detail.partition(": ")))
    assert [status for status, _ in told] == [400, 422, 422]
    assert told[2][1] == ("prediction_id", ": ", "missing")


def test_what_is_left_out_is_made_up() -> None:
    slim = {name: value for name, value in EVENT.items() if name not in ("prediction_id", "timestamp")}
    found = decode_items(encoded(slim, slim, EVENT), "", predictions, wrong_prediction)
    events = [item.event(START) for _, item in found.accepted]
    assert len({event.prediction_id for event in events}) == 3
    assert [event.timestamp for event in events] == [START, START, START]
    assert events[2].prediction_id == "a"


def a_drift_report(end: int, revision: int = 1, **changes: Any) -> DriftReport:
    values: dict[str, Any] = {
        "model": "m", "model_version": "1", "profile_id": "p", "window_start": START, "revision": revision, "n": 900,
        "window_end": START + timedelta(minutes=end), "sufficient": True, "emitted_at": START, "drift_detected": False,
        "drift_share": 0.1, "drift_threshold": 0.3, "drifted_features": (), "prediction_drift": False, "features": (),
        "prediction": None, "probability": None, "missing_share": 0.0, "unknown_features": {},
    }  # fmt: skip
    return DriftReport(**values | changes)


def a_performance_report(end: int, accuracy: float, **changes: Any) -> PerformanceReport:
    metric = MetricChange(
        name="accuracy", value=accuracy, baseline=0.9, absolute=0.0, relative=0.0, low=accuracy - 0.01,
        high=accuracy + 0.01, threshold=0.05, error_bound=0.0, degraded=False,
    )  # fmt: skip
    values: dict[str, Any] = {
        "model": "m", "model_version": "1", "profile_id": "p", "window_start": START, "revision": 1, "n": 900,
        "window_end": START + timedelta(minutes=end), "sufficient": True, "emitted_at": START, "feedback": 450,
        "coverage": 0.5, "degraded": False, "degraded_metrics": (), "metrics": (metric,), "estimated": (metric,),
        "confusion": (), "labels": (),
    }  # fmt: skip
    return PerformanceReport(**values | changes)


def an_alert(number: int, status: str = "firing", after: int = 0) -> AlertEvent:
    return AlertEvent(
        alert_id=f"{number}{status}", fingerprint=str(number), status=status, level="error", rule="data_drift",  # type: ignore[arg-type]
        title="t", message="m", labels={"model": "m", "model_version": "1"}, evidence={}, links={}, ended_at=None,
        started_at=START + timedelta(minutes=number), emitted_at=START + timedelta(minutes=number + after),
    )  # fmt: skip


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9)), max_size=40))
def test_the_highest_revision_of_each_window_is_kept_in_any_order(reports: list[tuple[int, int]]) -> None:
    windows: Windows[DriftReport] = Windows()
    for end, revision in reports:
        windows.put(a_drift_report(end, revision))
    expected: dict[int, int] = {}
    for end, revision in reports:
        expected[end] = max(revision, expected.get(end, 0))
    assert [(report.window_end, report.revision) for report in windows.last()] == [
        (START + timedelta(minutes=end), revision) for end, revision in sorted(expected.items())
    ]


def test_a_new_profile_starts_its_revisions_anew() -> None:
    windows: Windows[DriftReport] = Windows()
    windows.put(a_drift_report(1, revision=9))
    assert windows.put(a_drift_report(1, revision=1, profile_id="q", emitted_at=START + timedelta(seconds=1)))
    assert not windows.put(a_drift_report(1, revision=10))
    assert windows.latest is not None
    assert windows.latest.profile_id == "q"


def test_views_are_bounded_and_keep_the_newest() -> None:
    windows: Windows[DriftReport] = Windows()
    for end in range(MAX_WINDOWS + 20):
        windows.put(a_drift_report(end))
    assert not windows.put(a_drift_report(3))
    assert len(windows.last()) == MAX_WINDOWS
    assert windows.last(1)[0].window_end == START + timedelta(minutes=MAX_WINDOWS + 19)
    found = Findings()
    for number in range(MAX_ALERTS + 20):
        found.alert(an_alert(number, "firing" if number == 0 else "resolved"))
    assert len(found.alerts) == MAX_ALERTS
    assert [alert.fingerprint for alert in found.firing] == ["0"]


def test_a_resolved_alert_replaces_its_firing_and_never_the_other_way_round() -> None:
    found = Findings()
    found.alert(an_alert(1, "resolved", after=5))
    found.alert(an_alert(1, "firing"))
    assert found.firing == []


def test_the_state_is_the_worst_that_is_known() -> None:
    found = Findings()
    assert state_of(found) == "waiting"
    found.drift.put(a_drift_report(1, sufficient=False, drift_detected=True))
    assert state_of(found) == "insufficient"
    found.drift.put(a_drift_report(2))
    assert state_of(found) == "healthy"
    found.drift.put(a_drift_report(3, drift_detected=True))
    assert state_of(found) == "drifting"
    found.performance.put(a_performance_report(3, 0.7, degraded=True))
    assert state_of(found) == "degraded"
    found.alert(an_alert(3))
    assert state_of(found) == "alerting"


def test_a_timeline_has_drift_and_performance_of_a_window_side_by_side() -> None:
    found = Findings()
    for end in (1, 2):
        found.drift.put(a_drift_report(end, drift_share=end / 10))
    for end in (2, 3):
        found.performance.put(a_performance_report(end, 0.8 + end / 100))
    found.alert(an_alert(2))
    told = timeline_of(found, 10)
    assert [p.drift_share for p in told.points] == [0.1, 0.2, None]
    assert [p.value for p in told.points] == [None, pytest.approx(0.82), pytest.approx(0.83)]
    assert [p.estimated for p in told.points] == [p.value for p in told.points]
    assert (told.metric, told.baseline, told.drift_threshold) == ("accuracy", 0.9, 0.3)
    assert [mark.fingerprint for mark in told.marks] == ["2"]
    assert len(timeline_of(found, 2).points) == 2
