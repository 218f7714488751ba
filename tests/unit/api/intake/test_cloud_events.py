"""CloudEvents as the CloudEvents SDK writes them, in every mode that HTTP has."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from cloudevents.core.bindings.http import HTTPMessage, to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from api.http.problems import Problem
from api.intake.bodies import MAX_ITEMS, Items
from api.intake.cloud_events import BATCH, STRUCTURED, are_cloud_events, decoded, envelopes_of
from api.intake.events import IncomingPrediction, completed, predictions, wrong_prediction

DATA: dict[str, Any] = {"model": "m", "model_version": "1", "features": {"age": 3, "wo": "Åbo"}, "prediction": 1}
TIME = datetime(2026, 1, 1, 12, tzinfo=UTC)


def event(number: str = "a b", **more: Any) -> CloudEvent:
    attributes = {
        "id": number, "source": "/shop/ä", "type": "prediction", "specversion": "1.0", "time": TIME,
        "datacontenttype": "application/json", **more,
    }  # fmt: skip
    return CloudEvent(attributes, DATA)


def taken(body: bytes, headers: Mapping[str, str]) -> Items[IncomingPrediction]:
    lower = Headers(headers)
    assert are_cloud_events(lower)
    return decoded(enumerate(envelopes_of(body, lower)), predictions, wrong_prediction, completed)


def bytes_of(message: HTTPMessage) -> bytes:
    return bytes(message.body)


@pytest.mark.parametrize("write", [to_structured_event, to_binary_event])
def test_what_the_sdk_writes_is_taken_and_the_envelope_says_what_the_data_does_not(write: Any) -> None:
    message = write(event())
    ((index, found),) = taken(bytes_of(message), message.headers).accepted
    assert (index, found.prediction_id, found.timestamp, found.features) == (0, "a b", TIME, DATA["features"])


def test_what_the_data_says_wins() -> None:
    whole = {**DATA, "prediction_id": "mine", "timestamp": 5.0}
    body = json.dumps({"specversion": "1.0", "id": "a", "source": "s", "type": "t", "data": whole}).encode()
    ((_, found),) = taken(body, {"content-type": f"{STRUCTURED}; charset=utf-8"}).accepted
    assert (found.prediction_id, found.timestamp) == ("mine", 5.0)


def envelope(**change: Any) -> dict[str, Any]:
    given = {"specversion": "1.0", "id": "a", "source": "s", "type": "t", "data": DATA, **change}
    return {name: value for name, value in given.items() if value is not None}


def test_of_a_batch_each_event_is_taken_or_refused_by_its_position() -> None:
    events = [
        envelope(), envelope(id=""), envelope(specversion="0.3"), envelope(data={**DATA, "model": 5}), envelope(id="e"),
        envelope(data=None, data_base64=base64.b64encode(json.dumps(DATA).encode()).decode()), envelope(source=None), 7,
        envelope(data=None), envelope(time="noon"),
    ]  # fmt: skip
    found = taken(json.dumps(events).encode(), {"content-type": BATCH})
    assert [index for index, _ in found.accepted] == [0, 4, 5]
    assert {one.index: one.error.partition(":")[0] for one in found.rejected} == {
        1: "id", 2: "specversion", 3: "data", 6: "source", 7: "expected object, got int", 8: "data", 9: "time",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({"ce-specversion": "0.3", "ce-id": "a", "ce-source": "s", "ce-type": "t"}, "ce-specversion: "),
        ({"ce-specversion": "1.0", "ce-source": "s", "ce-type": "t"}, "ce-id: missing"),
        ({"ce-specversion": "1.0", "ce-id": "a", "ce-source": "s", "ce-type": ""}, "ce-type: "),
        ({"ce-specversion": "1.0", "ce-id": "a", "ce-source": "s", "ce-type": "t", "ce-time": "x"}, "ce-time: "),
    ],
)
def test_a_header_that_is_wrong_is_named(headers: dict[str, str], words: str) -> None:
    (rejection,) = taken(json.dumps(DATA).encode(), headers).rejected
    assert rejection.error.startswith(words)


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{}", "application/cloudevents+avro", 415),
        (b"{", BATCH, 400),
        (b"[]", BATCH, 400),
        (b"[" + b",".join([b"{}"] * (MAX_ITEMS + 1)) + b"]", BATCH, 413),
    ],
)
def test_a_body_of_another_form_is_refused_as_a_whole(body: bytes, kind: str, status: int) -> None:
    with pytest.raises(Problem) as error:
        taken(body, {"content-type": kind})
    assert error.value.status == status


@given(st.binary(max_size=200), st.sampled_from([STRUCTURED, BATCH, "text/plain"]), st.text(max_size=20))
def test_no_event_raises_anything_but_a_problem(body: bytes, kind: str, number: str) -> None:
    headers = {"content-type": kind, "ce-specversion": "1.0", "ce-id": number.encode().decode("latin-1")}
    statuses = []
    try:
        taken(body, headers)
    except Problem as problem:
        statuses.append(problem.status)
    assert set(statuses) <= {400, 413}
