"""KServe's requests and responses: made predictions, and waiting for each other, bounded."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.cloud_events import Envelope
from api.inference.kserve import InferenceError, predictions_of
from api.inference.pairing import REQUEST, RESPONSE, Half, Pair, Pairing

ORDER = ("age", "plan")


def half(kind: str, data: object, number: str = "a", arrived: float = 0.0, model: str | None = "churn") -> Half:
    envelope = Envelope(
        specversion="1.0", id=number, source="http://logger", type=kind, data=msgspec.Raw(json.dumps(data).encode())
    )
    return Half.of(envelope, model, "3", arrived)


def found(request: object, response: object) -> list[tuple[Any, dict[str, Any], Any, Any]]:
    made = predictions_of(Pair(half(REQUEST, request), half(RESPONSE, response)), lambda *_: ORDER)
    return [(one.prediction_id, dict(one.features), one.prediction, one.probability) for one in made]


def tensor(name: str, shape: list[int], data: list[Any]) -> dict[str, Any]:
    return {"name": name, "shape": shape, "datatype": "FP64", "data": data}


def test_v1_by_name_and_by_place() -> None:
    rows = {"instances": [{"age": 30, "plan": "gold"}, [41.5, "basic"]]}
    assert found(rows, {"predictions": [1, {"prediction": 0, "probability": 0.2}]}) == [
        ("a-0", {"age": 30, "plan": "gold"}, 1, None), ("a-1", {"age": 41.5, "plan": "basic"}, 0, 0.2),
    ]  # fmt: skip
    assert found({"instances": [[30, "gold"]]}, {"predictions": ["stays"]}) == [
        ("a", {"age": 30, "plan": "gold"}, "stays", None)
    ]


def test_v2_by_name_and_by_place() -> None:
    named = {"inputs": [tensor("age", [2], [30, 41]), tensor("plan", [2, 1], [["gold"], ["basic"]])]}
    answered = {
        "model_name": "m", "outputs": [tensor("predict_proba", [2, 2], [0.9, 0.1, 0.3, 0.7]), tensor("y", [2], [0, 1])],
    }  # fmt: skip
    expected = [("a-0", {"age": 30, "plan": "gold"}, 0, 0.1), ("a-1", {"age": 41, "plan": "basic"}, 1, 0.7)]
    assert found(named, answered) == expected
    assert found({"inputs": [tensor("x", [2, 2], [30, "gold", 41, "basic"])]}, answered) == expected
    assert found({"inputs": [tensor("x", [2, 2], [[30, "gold"], [41, "basic"]])]}, answered) == expected


@pytest.mark.parametrize(
    ("request_", "response", "words"),
    [
        ({}, {"predictions": [1]}, "request: has neither instances nor inputs"),
        ({"instances": [[1]]}, {"predictions": [1]}, r"instances\[0\]: 1 values for 2 features"),
        ({"instances": [{"age": 1}]}, {"predictions": [1, 0]}, "predictions: 2 for 1 instances"),
        ({"instances": [{"age": [1]}]}, {"predictions": [1]}, "request: instances"),
        ({"instances": [{"age": 1}]}, {"predictions": [[0.1]]}, "response: predictions"),
        ({"instances": [{"age": 1}]}, {}, "response: has neither predictions nor"),
        ({"inputs": [tensor("x", [], [1])]}, {"predictions": [1]}, r"inputs\.x\.shape: "),
        ({"inputs": [tensor("x", [2, 2], [1, 2, 3])]}, {"predictions": [1]}, r"inputs\[0\]: 3 values do not"),
        ({"inputs": [tensor("a", [2], [1, 2]), tensor("b", [2], [1])]}, {"predictions": [1]}, r"inputs\.b: 1 values"),
        ({"inputs": [tensor("a", [1], [1])]}, {"outputs": [tensor("y", [1], [None])]}, "outputs: value 0 is null"),
    ],
)  # fmt: skip
def test_a_pair_that_is_no_prediction_says_why(request_: object, response: object, words: str) -> None:
    with pytest.raises(InferenceError, match=f"^{words}"):
        found(request_, response)


def test_the_model_is_named_by_the_url_or_the_service_and_must_be() -> None:
    request = half(REQUEST, {"instances": [{"age": 1}]}, model=None)
    response = half(RESPONSE, {"predictions": [1]}, model=None)
    with pytest.raises(InferenceError, match=r"^model: missing; name it in the logger's URL"):
        predictions_of(Pair(request, response), lambda *_: None)
    served = msgspec.structs.replace(request.envelope, inferenceservicename="churn")
    (one,) = predictions_of(Pair(Half.of(served, None, "3", 0.0), response), lambda *_: None)
    assert (one.model, one.model_version) == ("churn", "3")


@given(st.binary(max_size=100), st.recursive(st.none() | st.floats() | st.text(max_size=3), st.lists, max_leaves=6))
def test_no_payload_raises_anything_else(raw: bytes, value: object) -> None:
    for data in (raw, msgspec.json.encode({"instances": value, "inputs": [value], "predictions": value})):
        for other in (data, b'{"instances": [{"a": 1}], "predictions": [1]}'):
            envelope = half(REQUEST, 0).envelope
            pair = Pair(
                Half(msgspec.structs.replace(envelope, data=msgspec.Raw(data)), "m", "1", 0.0),
                Half(msgspec.structs.replace(envelope, type=RESPONSE, data=msgspec.Raw(other)), "m", "1", 0.0),
            )
            with contextlib.suppress(InferenceError):
                assert predictions_of(pair, lambda *_: ORDER) is not None


def test_halves_meet_in_either_order_and_a_repeat_changes_nothing() -> None:
    pairing = Pairing(60.0)
    first, second = half(RESPONSE, 1), half(REQUEST, 2)
    assert pairing.meet(first) is None
    assert pairing.meet(half(RESPONSE, 3)) is None
    assert pairing.meet(half(REQUEST, 2, "b")) is None
    assert pairing.meet(second) == Pair(second, first)
    assert len(pairing) == 1


def test_a_half_that_waits_too_long_or_among_too_many_is_given_up_with_the_reason() -> None:
    pairing = Pairing(60.0, most_halves=2)
    for i in range(3):
        pairing.meet(half(REQUEST, i, str(i), arrived=float(i)))
    assert [(one.half.envelope.id, one.reason) for one in pairing.over(3.0)] == [
        ("0", "its response has not come, and too many others wait for theirs")
    ]
    assert [(one.half.envelope.id, one.reason) for one in pairing.over(61.0)] == [
        ("1", "its response has not come within 60 s")
    ]
    assert [one.reason for one in pairing.end()] == ["the API stopped before its response came"]
    assert len(pairing) == 0
    small = Pairing(60.0, most_bytes=5000)
    for i in range(2):
        small.meet(half(RESPONSE, "x" * 2500, str(i)))
    assert [one.half.envelope.id for one in small.over(0.0)] == ["0"]
    assert small.over(0.0) == []
