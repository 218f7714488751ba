"""Checks of KServe payloads in the API: unreadable payloads are rejected, and personal values are hidden."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from app.core.values.accepted import wrong_label, wrong_probability
from app.core.values.hiding import Hiding
from app.ingest.decoding import UNREADABLE
from app.ingest.kserve import InferenceError, answers_of, read_request, read_response, rows_of
from topics.inferences import Inference

__all__ = ["InferenceError", "hidden_payload", "wrong_payload"]

READ = ("instances", "inputs", "predictions", "outputs", "model_name", "model_version")
"""Fields of a payload that workers read. For a model with hidden columns, no other field is passed on."""

Order = Sequence[str] | None


def wrong_payload(half: Inference, payload: bytes) -> str:
    """Return why no worker can read a request's or response's payload; empty where one may be able to.

    The check holds for any other half of the inference. The payload of a failed response is not read.
    """
    if half.is_response and half.status is not None and not half.status.startswith("2"):
        return ""
    try:
        if not half.is_response:
            rows_of(read_request((half, payload)), lambda width: [f"{i}" for i in range(width)])
            return ""
        response = read_response((half, payload))
        for answer in answers_of(response, len(answers_of(response, 0))):
            if wrong := wrong_label("prediction", answer.prediction) or wrong_probability(answer.probability):
                return wrong
    except InferenceError as error:
        return str(error)
    return ""


def hidden_payload(payload: bytes, hiding: Hiding, order: Order, features: Order) -> bytes:
    """Return a payload with hidden values removed or hashed. `wrong_payload` must have accepted it.

    `order`: the model's inputs in their order, with the dropped ones. `features`: the inputs without the dropped ones.
    Both are None where the model version is not known. Raises InferenceError for values that their position does not
    identify.
    """
    try:
        given: dict[str, Any] = msgspec.json.decode(payload, type=dict[str, Any])
    except UNREADABLE as error:
        raise InferenceError(f"data: not JSON ({type(error).__name__}), so nothing of it can be passed on") from None
    found = {name: given[name] for name in READ if given.get(name) is not None}
    if "instances" in found:
        found["instances"] = [
            hiding.row(row) if isinstance(row, dict) else _by_place(row, hiding, order, features)
            for row in found["instances"]
        ]
    if "predictions" in found:
        found["predictions"] = [
            {name: one[name] for name in ("prediction", "probability") if name in one} if isinstance(one, dict) else one
            for one in found["predictions"]
        ]
    for key in ("inputs", "outputs"):
        if key in found:
            found[key] = _tensors(found[key], hiding, order, features, is_input=key == "inputs")
    return msgspec.json.encode(found)


def _tensors(
    tensors: list[dict[str, Any]], hiding: Hiding, order: Order, features: Order, *, is_input: bool
) -> list[dict[str, Any]]:
    kept: list[dict[str, Any]] = [
        {name: tensor[name] for name in ("name", "shape", "datatype", "data") if name in tensor}
        for tensor in tensors
        if tensor["name"] not in hiding.redact
    ]
    if is_input and len(tensors) == 1 and kept and (width := _width(kept[0])) > 1:
        return [_placed(kept[0], width, hiding, order, features)]
    return [
        tensor | {"datatype": "BYTES", "data": [hiding.value(value) for value in _flat(tensor["data"])]}
        if tensor["name"] in hiding.hashed
        else tensor
        for tensor in kept
    ]


def _placed(tensor: dict[str, Any], width: int, hiding: Hiding, order: Order, features: Order) -> dict[str, Any]:
    values = _flat(tensor["data"])
    rows = [_by_place(values[i : i + width], hiding, order, features) for i in range(0, len(values), width)]
    left = len(rows[0])
    return tensor | {"shape": [len(rows), left], "data": [value for row in rows for value in row]}


def _by_place(values: list[Any], hiding: Hiding, order: Order, features: Order) -> list[Any]:
    names = next((one for one in (order, features) if one is not None and len(one) == len(values)), None)
    if names is None:
        why = "the model version is not known" if order is None else f"the model has {len(order)} inputs"
        raise InferenceError(
            f"data: {len(values)} values without names, of which some are to be hidden, and {why}: "
            "name model and version in the logger's URL, /predictions?model=M&model_version=V"
        )
    return [
        hiding.value(value) if name in hiding.hashed else value
        for name, value in zip(names, values, strict=True)
        if name not in hiding.redact
    ]


def _flat(data: list[Any]) -> list[Any]:
    return [value for one in data for value in (one if isinstance(one, list) else [one])]


def _width(tensor: dict[str, Any]) -> int:
    n = tensor["shape"][0]
    return len(_flat(tensor["data"])) // n if n else 0
