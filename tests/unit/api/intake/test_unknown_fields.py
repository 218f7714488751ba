"""Fields that no event has are left out and reported; versions that are not registered are reported."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.intake.bodies import decode_items
from api.intake.cloud_events import decoded, envelopes_of
from api.intake.events import (
    IncomingFeedback,
    IncomingPrediction,
    completed,
    feedback,
    predictions,
    wrong_feedback,
    wrong_prediction,
)
from api.intake.unknown_fields import LONGEST_NAME, MOST_NAMES
from api.intake.unregistered import MOST_LINES, unregistered_lines

EVENT: dict[str, Any] = {
    "prediction_id": "a", "model": "m", "model_version": "1", "features": {"age": 3}, "prediction": 1
}  # fmt: skip
LEFT_OUT = "an event has no such field, so it is left out"
KNOWN = frozenset(field.name for field in msgspec.structs.fields(IncomingPrediction))
NAMES = st.one_of(st.sampled_from(["probabilty", "tenant", "metadata", "timestamp"]), st.text(max_size=8))


@given(st.lists(st.dictionaries(NAMES, st.sampled_from([None, [1], "x"]), max_size=3), min_size=1, max_size=6))
def test_events_are_taken_as_if_the_unknown_fields_were_not_there(extras: list[dict[str, Any]]) -> None:
    whole = [{**extra, **EVENT} for extra in extras]
    bare = [{name: value for name, value in event.items() if name in KNOWN} for event in whole]
    lines = [b"\n".join(map(msgspec.json.encode, events)) for events in (whole, bare)]
    for body, wanted in (map(msgspec.json.encode, (whole, bare)), lines):
        found = decode_items(body, "application/x-ndjson" if body[:1] == b"{" else "", predictions, wrong_prediction)
        same = decode_items(wanted, "application/x-ndjson" if body[:1] == b"{" else "", predictions, wrong_prediction)
        assert (found.accepted, found.rejected) == (same.accepted, same.rejected)
        assert not same.warnings
        if not found.rejected:
            assert len(found.warnings) == min(len({name for event in whole for name in event} - KNOWN), MOST_NAMES + 1)


@pytest.mark.parametrize("kind", ["", "application/x-ndjson"])
def test_a_mistyped_field_is_named_with_the_one_that_was_meant(kind: str) -> None:
    events = [EVENT, {**EVENT, "probabilty": 0.5}, {**EVENT, "probabilty": 0.5, "tenant": {"a": [1]}}]
    body = b"\n".join(map(msgspec.json.encode, events)) if kind else msgspec.json.encode(events)
    found = decode_items(body, kind, predictions, wrong_prediction)
    assert [index for index, _ in found.accepted] == [0, 1, 2]
    assert found.warnings == (
        f"probabilty: {LEFT_OUT}; did you mean probability? (2 events, the first is 1)",
        f"tenant: {LEFT_OUT} (event 2)",
    )


def test_feedback_and_cloud_events_are_looked_at_too() -> None:
    told = decode_items(b'{"prediction_id": "a", "actual": 1, "actul": 2}', "", feedback, wrong_feedback)
    assert told.warnings == ("actul: an event has no such field, so it is left out; did you mean actual? (event 0)",)
    assert isinstance(told.accepted[0][1], IncomingFeedback)
    data = {**EVENT, "probabilty": 1}
    envelope = {"specversion": "1.0", "id": "1", "source": "s", "type": "t"}
    batch = [
        {**envelope, "data": EVENT}, {**envelope, "data": data},
        {**envelope, "data_base64": base64.b64encode(msgspec.json.encode(data)).decode()},
    ]  # fmt: skip
    envelopes = envelopes_of(msgspec.json.encode(batch), {"content-type": "application/cloudevents-batch+json"})
    found = decoded(enumerate(envelopes), predictions, wrong_prediction, completed)
    assert len(found.accepted) == 3
    assert [line.partition(":")[0] for line in found.warnings] == ["probabilty"]
    assert found.warnings[0].endswith("(2 events, the first is 1)")


def test_a_required_field_that_is_mistyped_is_named_where_it_is_missing() -> None:
    event = {**{name: value for name, value in EVENT.items() if name != "prediction"}, "predicton": 1}
    found = decode_items(msgspec.json.encode(event), "", predictions, wrong_prediction)
    assert found.rejected[0].error == (
        "prediction: missing; predicton: an event has no such field, so it is left out; did you mean prediction?"
    )


def test_names_of_any_number_and_length_make_a_short_response() -> None:
    odd = {f"{n}\n{'x' * 10_000}": n for n in range(1_000)}
    found = decode_items(msgspec.json.encode({**EVENT, **odd}), "", predictions, wrong_prediction)
    assert len(found.warnings) == MOST_NAMES + 1
    assert all(len(line) < LONGEST_NAME + 100 and "\n" not in line for line in found.warnings)


REGISTERED = [("churn", "2024-06"), ("churn", "2024-07"), ("fraud", "1")]


@pytest.mark.parametrize(
    ("counts", "line"),
    [
        (
            {("churn", "2024-70"): 3},
            "churn 2024-70 is not registered, so 3 events are not counted until it is; did you mean churn 2024-07?",
        ),
        (
            {("churn", "x"): 1},
            "churn x is not registered, so 1 event is not counted until it is; registered are 2024-06, 2024-07",
        ),
        (
            {("chrun", "1"): 2000},
            "chrun 1 is not registered, so 2,000 events are not counted until it is; did you mean churn?",
        ),
        ({("price", "1"): 2}, "price 1 is not registered, so 2 events are not counted until it is"),
    ],
)
def test_a_version_that_is_not_registered_is_named_with_the_one_that_was_meant(
    counts: dict[tuple[str, str], int], line: str
) -> None:
    assert list(unregistered_lines(counts, REGISTERED)) == [line]


def test_many_versions_make_a_short_response() -> None:
    lines = list(unregistered_lines({("m", f"{n:03d}\n"): 1 for n in range(100)}, []))
    assert len(lines) == MOST_LINES + 1
    assert lines[-1] == "95 further model versions are not registered"
    assert not any("\n" in line for line in lines)
