"""Conversion of KServe's protocols to predictions: v1 (`instances`, `predictions`) and v2 (`inputs`, `outputs`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeVar

import msgspec

from app.core.values.accepted import wrong_prediction
from app.ingest.decoding import UNREADABLE
from topics.events import PredictionEvent, Scalar, to_epoch
from topics.inferences import Inference
from topics.reasons import field_error

Order = Callable[[str, str], Sequence[str] | None]
"""Function that returns the features of a model version in their order; None where it is not registered."""
Row = dict[str, Scalar]
Answer = str | float | bool
T = TypeVar("T")

PROBABILITIES = frozenset({"probability", "probabilities", "predict_proba"})
"""Names of outputs that are the probability of the positive class, or of both classes."""
MOST_ROWS = 10_000
"""Largest number of instances in one request, as many as predictions in one request to the API."""


class InferenceError(ValueError):
    """Raised when a request and its response are not a prediction. The message names the wrong field."""


class UnknownOrder(InferenceError):
    """Raised for values without names, of a model version that is not known to be registered."""


class Answered(msgspec.Struct, frozen=True):
    """Prediction for one row, with its probability."""

    prediction: Answer
    probability: float | dict[str, float] | None = None


class _Tensor(msgspec.Struct, frozen=True):
    name: str
    shape: list[int]
    data: list[Scalar | list[Scalar]]

    def flat(self) -> list[Scalar]:
        return [value for one in self.data for value in (one if isinstance(one, list) else [one])]


class Request(msgspec.Struct, frozen=True):
    """Payload of a request, of either protocol."""

    instances: list[Row | list[Scalar]] | None = None
    inputs: list[_Tensor] | None = None


class Response(msgspec.Struct, frozen=True):
    """Payload of a response, of either protocol."""

    predictions: list[Answer | Answered] | None = None
    outputs: list[_Tensor] | None = None
    model_name: str | None = None
    model_version: str | None = None


_requests, _responses = msgspec.json.Decoder(Request), msgspec.json.Decoder(Response)

HalfOf = tuple[Inference, bytes]
"""Attributes and payload of a request or a response."""


def predictions_of(request: HalfOf, response: HalfOf, order: Order, taken_at: float) -> list[PredictionEvent]:
    """Return a prediction for each instance. Raises InferenceError.

    A prediction's id is the event's id, with a number where there are several instances. `taken_at`: the predictions'
    time in seconds since the epoch, where neither event has a time.
    """
    (asking, _), (answering, _) = request, response
    if answering.status is not None and not answering.status.startswith("2"):
        raise InferenceError(f"response: status {answering.status}, so nothing was predicted")
    asked, answered = read_request(request), read_response(response)
    model = answering.model or asking.model or answered.model_name or answering.service or asking.service
    version = answering.version or asking.version or answered.model_version
    if not model or not version:
        raise InferenceError(
            f"{'model_version' if model else 'model'}: missing; name it in the logger's URL, "
            "/predictions?model=M&model_version=V"
        )
    rows = rows_of(asked, lambda _: order(model, version))
    answers = answers_of(answered, len(rows))
    if len(answers) != len(rows):
        raise InferenceError(f"predictions: {len(answers)} for {len(rows)} instances")
    number = asking.prediction_id
    timestamp: datetime | float = asking.time or answering.time or taken_at
    events = [
        PredictionEvent(
            prediction_id=number if len(rows) == 1 else f"{number}-{i}", model=model, model_version=version,
            timestamp=timestamp, features=row, prediction=answer.prediction, probability=answer.probability,
        )
        for i, (row, answer) in enumerate(zip(rows, answers, strict=True))
    ]  # fmt: skip
    for event in events:
        _check(event)
    return events


def _check(event: PredictionEvent) -> None:
    """Raise InferenceError for a prediction that no reader accepts."""
    wrong = wrong_prediction(
        event.prediction_id, event.model, event.model_version, to_epoch(event.timestamp), event.prediction,
        event.probability,
    )  # fmt: skip
    if wrong:
        raise InferenceError(wrong)


def read_request(half: HalfOf) -> Request:
    """Return the decoded payload of a request. Raises InferenceError."""
    return _decoded(half, _requests)


def read_response(half: HalfOf) -> Response:
    """Return the decoded payload of a response. Raises InferenceError."""
    return _decoded(half, _responses)


def _decoded(half: HalfOf, decoder: msgspec.json.Decoder[T]) -> T:
    try:
        return decoder.decode(half[1])
    except UNREADABLE as error:
        raise InferenceError(f"{half[0].side}: {field_error(error)}") from None


def rows_of(asked: Request, order: Callable[[int], Sequence[str] | None]) -> list[Row]:
    """Return the rows of a request. Raises InferenceError.

    `order`: returns the names of values without names, by the number of values in a row.
    """
    if asked.instances is not None:
        _number(len(asked.instances), "instances")
        return [
            one if isinstance(one, dict) else _by_place(one, order(len(one)), f"instances[{i}]")
            for i, one in enumerate(asked.instances)
        ]
    if not asked.inputs:
        raise InferenceError("request: has neither instances nor inputs")
    n, first = _number(_length(asked.inputs[0]), "inputs"), asked.inputs[0].flat()
    if len(asked.inputs) == 1 and len(first) != n:
        width = len(first) // n
        if width * n != len(first):
            raise InferenceError(f"inputs[0]: {len(first)} values do not make {n} rows")
        return [_by_place(first[i * width : (i + 1) * width], order(width), "inputs[0]") for i in range(n)]
    columns = {tensor.name: tensor.flat() for tensor in asked.inputs}
    if len(columns) < len(asked.inputs):
        raise InferenceError("inputs: a name is given twice")
    for name, values in columns.items():
        if len(values) != n:
            raise InferenceError(f"inputs.{name}: {len(values)} values for {n} rows")
    return [{name: values[i] for name, values in columns.items()} for i in range(n)]


def _number(n: int, field: str) -> int:
    if not 0 < n <= MOST_ROWS:
        raise InferenceError(f"{field}: {n:,} in one request; it must be from 1 to {MOST_ROWS:,}")
    return n


def _by_place(values: Sequence[Scalar], names: Sequence[str] | None, where: str) -> Row:
    if names is None:
        raise UnknownOrder(f"{where}: values without names, of a model version that is not registered")
    if len(names) != len(values):
        raise InferenceError(f"{where}: {len(values)} values for {len(names)} features")
    return dict(zip(names, values, strict=True))


def answers_of(answered: Response, n: int) -> list[Answered]:
    """Return the predictions in a response to n rows. Their number is not checked. Raises InferenceError."""
    if answered.predictions is not None:
        return [one if isinstance(one, Answered) else Answered(one) for one in answered.predictions]
    outputs = answered.outputs or []
    labels = next((one.flat() for one in outputs if one.name not in PROBABILITIES), None)
    if labels is None:
        raise InferenceError("response: has neither predictions nor an output with them")
    given = next((one.flat() for one in outputs if one.name in PROBABILITIES), None)
    probabilities = _positive(given, n)
    found: list[Answered] = []
    for i, label in enumerate(labels):
        if label is None:
            raise InferenceError(f"outputs: value {i} is null")
        found.append(Answered(label, probabilities[i] if i < len(probabilities) else None))
    return found


def _positive(given: Sequence[Scalar] | None, n: int) -> list[float | None]:
    """Return each row's probability of the positive class.

    Return an empty list for more than two classes, because the order of the classes is unknown.
    """
    if given is None or not n or len(given) not in (n, 2 * n):
        return []
    step = len(given) // n
    return [value if isinstance(value, float) else None for value in given[step - 1 :: step]]


def _length(tensor: _Tensor) -> int:
    if not tensor.shape or tensor.shape[0] < 0:
        raise InferenceError(f"inputs.{tensor.name}.shape: must have the number of rows first")
    return tensor.shape[0]
