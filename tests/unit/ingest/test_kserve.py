"""KServe's requests and responses as predictions, and as records of Kafka."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.ingest.kserve import HalfOf, InferenceError, UnknownOrder, predictions_of
from topics.inferences import REQUEST, RESPONSE, Inference, inference_of

ORDER = ("age", "plan")


def half(kind: str, data: object, model: str | None = "churn", **more: Any) -> HalfOf:
    given = {"id": "a", "type": kind, "model": model, "version": "3", **more}
    return Inference(**given), json.dumps(data).encode()


def found(request: object, response: object) -> list[tuple[Any, dict[str, Any], Any, Any]]:
    made = predictions_of(half(REQUEST, request), half(RESPONSE, response), lambda *_: ORDER, 5.0)
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


def test_a_request_of_values_alone_waits_for_the_registration() -> None:
    request, response = half(REQUEST, {"instances": [[1]]}), half(RESPONSE, {"predictions": [1]})
    with pytest.raises(UnknownOrder, match=r"instances\[0\]: values without names"):
        predictions_of(request, response, lambda *_: None, 5.0)


def test_a_refused_request_is_no_prediction() -> None:
    response = half(RESPONSE, {"error": "no"}, status="500")
    with pytest.raises(InferenceError, match=r"^response: status 500, so nothing was predicted$"):
        predictions_of(half(REQUEST, {"instances": [{"age": 1}]}), response, lambda *_: None, 5.0)


def test_the_model_is_named_by_the_url_or_the_service_and_must_be() -> None:
    response = half(RESPONSE, {"predictions": [1]}, model=None)
    with pytest.raises(InferenceError, match=r"^model: missing; name it in the logger's URL"):
        predictions_of(half(REQUEST, {"instances": [{"age": 1}]}, model=None), response, lambda *_: None, 5.0)
    served = half(REQUEST, {"instances": [{"age": 1}]}, model=None, service="churn")
    (one,) = predictions_of(served, response, lambda *_: None, 5.0)
    assert (one.model, one.model_version, one.timestamp) == ("churn", "3", 5.0)


def test_a_batch_is_bounded_and_its_ids_are_numbered() -> None:
    rows = [{"age": i} for i in range(10_001)]
    with pytest.raises(InferenceError, match=r"^instances: 10,001 in one request; it must be from 1 to 10,000$"):
        found({"instances": rows}, {"predictions": [1] * 10_001})
    assert [one[0] for one in found({"instances": rows[:3]}, {"predictions": [1, 0, 1]})] == ["a-0", "a-1", "a-2"]
    huge = {"inputs": [tensor("x", [1 << 62], [])]}
    with pytest.raises(InferenceError, match=r"^inputs: "):
        found(huge, {"predictions": []})


payloads = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["instances", "inputs", "predictions", "outputs", "name", "shape", "data", "prediction", "x"]),
        inner, max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip


@given(payloads, payloads, st.binary(max_size=60), st.integers(0, 3))
def test_no_payload_raises_anything_else(asked: object, answered: object, raw: bytes, which: int) -> None:
    request, response = half(REQUEST, asked), half(RESPONSE, answered)
    if which:
        request = (request[0], (raw, b"[" * 5000, b'{"instances": [{"a": 1}]}')[which - 1])
    if which == 3:
        response = (response[0], b'{"predictions": [1]}')
    with contextlib.suppress(InferenceError):
        assert predictions_of(request, response, lambda *_: ORDER, 5.0)


texts = st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=180), texts, texts, texts, st.datetimes())
def test_attributes_come_back_from_the_headers(id_: str, a: str | None, b: str | None, c: str | None, at: Any) -> None:
    sent = Inference(id=id_, type=RESPONSE, source=a, service=b, version=c, status=a, time=at.replace(tzinfo=UTC))
    assert inference_of([*sent.headers(), ("traceparent", b"00-1"), ("ce_other", b"x"), ("ce_namespace", None)]) == sent


@pytest.mark.parametrize(
    "headers", [[], [("ce_id", b"a")], [("ce_id", b""), ("ce_type", b"t")], [("ce_id", b"\xff"), ("ce_type", b"t")]]
)
def test_headers_that_are_no_half_are_refused(headers: list[tuple[str, bytes]]) -> None:
    with pytest.raises((msgspec.ValidationError, UnicodeDecodeError)):
        inference_of(headers)
