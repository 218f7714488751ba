"""Bodies and errors of the API: decoded strictly, with the field that is wrong."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.http.problems import Problem
from api.intake.bodies import MAX_ITEMS, decode_items, decode_one
from api.intake.events import feedback, predictions, wrong_feedback, wrong_prediction

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
        ({"prediction_id": [5]}, "prediction_id: expected int | float | str | null, got array"),
        ({"model": msgspec.UNSET}, "model: missing"),
        ({"prediction": {"a": 1}}, "prediction: expected"),
        ({"prediction": msgspec.UNSET}, "prediction: missing"),
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
