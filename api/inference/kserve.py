"""KServe's protocols as predictions: v1 (`instances`, `predictions`) and v2 (`inputs`, `outputs`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec

from api.incoming import IncomingPrediction
from api.inference.pairing import Half, Pair
from api.problems import field_error
from topics.events import Scalar

Order = Callable[[str, str], Sequence[str] | None]
"""The features of a registered model version, in their order; None where it is not registered."""
Row = dict[str, Scalar]
Label = str | float | bool
T = TypeVar("T")

PROBABILITIES = frozenset({"probability", "probabilities", "predict_proba"})
"""Outputs of these names are the probability of the positive class, or of both."""


class InferenceError(ValueError):
    """Why a pair is no prediction, with the field that is wrong."""


class _Answered(msgspec.Struct, frozen=True):
    prediction: Label
    probability: float | dict[str, float] | None = None


class _Tensor(msgspec.Struct, frozen=True):
    name: str
    shape: list[int]
    data: list[Scalar | list[Scalar]]

    def flat(self) -> list[Scalar]:
        return [value for one in self.data for value in (one if isinstance(one, list) else [one])]


class _Request(msgspec.Struct, frozen=True):
    instances: list[Row | list[Scalar]] | None = None
    inputs: list[_Tensor] | None = None


class _Response(msgspec.Struct, frozen=True):
    predictions: list[Label | _Answered] | None = None
    outputs: list[_Tensor] | None = None
    model_name: str | None = None
    model_version: str | None = None


_requests, _responses = msgspec.json.Decoder(_Request), msgspec.json.Decoder(_Response)


def predictions_of(pair: Pair, order: Order) -> list[IncomingPrediction]:
    """A prediction for each instance of a pair: its id is the event's, with a number where there are several.

    Raises InferenceError.
    """
    asked, answered = _decoded(pair.request, _requests), _decoded(pair.response, _responses)
    model = pair.response.model or pair.request.model or answered.model_name or _service(pair)
    version = pair.response.model_version or pair.request.model_version or answered.model_version
    if not model or not version:
        raise InferenceError(
            f"{'model_version' if model else 'model'}: missing; name it in the logger's URL, "
            "/predictions?model=M&model_version=V"
        )
    rows = _rows(asked, lambda: order(model, version))
    answers = _answers(answered, len(rows))
    if len(answers) != len(rows):
        raise InferenceError(f"predictions: {len(answers)} for {len(rows)} instances")
    number = pair.request.envelope.id
    return [
        IncomingPrediction(
            prediction_id=number if len(rows) == 1 else f"{number}-{i}", model=model, model_version=version,
            timestamp=pair.request.envelope.time or pair.response.envelope.time, features=row,
            prediction=answer.prediction, probability=answer.probability,
        )
        for i, (row, answer) in enumerate(zip(rows, answers, strict=True))
    ]  # fmt: skip


def _decoded(half: Half, decoder: msgspec.json.Decoder[T]) -> T:
    try:
        return decoder.decode(half.envelope.content)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        side = half.envelope.type.rpartition(".")[2]
        raise InferenceError(f"{side}: {field_error(error)}") from None


def _service(pair: Pair) -> str | None:
    return pair.response.envelope.inferenceservicename or pair.request.envelope.inferenceservicename


def _rows(asked: _Request, order: Callable[[], Sequence[str] | None]) -> list[Row]:
    if asked.instances is not None:
        return [
            one if isinstance(one, dict) else _by_place(one, order(), f"instances[{i}]")
            for i, one in enumerate(asked.instances)
        ]
    if not asked.inputs:
        raise InferenceError("request: has neither instances nor inputs")
    n, first = _length(asked.inputs[0]), asked.inputs[0].flat()
    if len(asked.inputs) == 1 and len(first) != n:
        width = len(first) // n if n else 0
        if width * n != len(first):
            raise InferenceError(f"inputs[0]: {len(first)} values do not make {n} rows")
        return [_by_place(first[i * width : (i + 1) * width], order(), "inputs[0]") for i in range(n)]
    columns = {tensor.name: tensor.flat() for tensor in asked.inputs}
    for name, values in columns.items():
        if len(values) != n:
            raise InferenceError(f"inputs.{name}: {len(values)} values for {n} rows")
    return [{name: values[i] for name, values in columns.items()} for i in range(n)]


def _by_place(values: Sequence[Scalar], names: Sequence[str] | None, where: str) -> Row:
    if names is None:
        raise InferenceError(f"{where}: values without names, of a model version that is not registered")
    if len(names) != len(values):
        raise InferenceError(f"{where}: {len(values)} values for {len(names)} features")
    return dict(zip(names, values, strict=True))


def _answers(answered: _Response, n: int) -> list[_Answered]:
    if answered.predictions is not None:
        return [one if isinstance(one, _Answered) else _Answered(one) for one in answered.predictions]
    outputs = answered.outputs or []
    labels = next((one.flat() for one in outputs if one.name not in PROBABILITIES), None)
    if labels is None:
        raise InferenceError("response: has neither predictions nor an output with them")
    given = next((one.flat() for one in outputs if one.name in PROBABILITIES), None)
    probabilities = _positive(given, n)
    found: list[_Answered] = []
    for i, label in enumerate(labels):
        if label is None:
            raise InferenceError(f"outputs: value {i} is null")
        found.append(_Answered(label, probabilities[i] if i < len(probabilities) else None))
    return found


def _positive(given: Sequence[Scalar] | None, n: int) -> list[float | None]:
    """Of each row the positive class's probability; of more than two classes nobody says which is which."""
    if given is None or not n or len(given) not in (n, 2 * n):
        return []
    step = len(given) // n
    return [value if isinstance(value, float) else None for value in given[step - 1 :: step]]


def _length(tensor: _Tensor) -> int:
    if not tensor.shape or tensor.shape[0] < 0:
        raise InferenceError(f"inputs.{tensor.name}.shape: must have the number of rows first")
    return tensor.shape[0]
