"""KServe's inference logger: its requests and responses are sent to Kafka, where a worker pairs them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from api.auth import Principal
from api.intake.bodies import MAX_ITEMS, Rejection
from api.intake.cloud_events import Envelope
from api.intake.hiding import Hider
from api.intake.parsing import parsed
from api.services import Services
from app.core.values.accepted import wrong_name, wrong_time
from app.ingest.kserve_door import InferenceError, hidden_payload, wrong_payload
from app.kafka.producer import Outgoing
from app.registration.hidden_values import HidingError
from app.telemetry import metrics
from topics.inferences import REQUEST, RESPONSE, Inference
from topics.registry import INFERENCES


def is_inference(envelope: Envelope) -> bool:
    """Return whether an event is a request or a response of an inference."""
    return envelope.type in (REQUEST, RESPONSE)


async def publish_halves(
    services: Services,
    halves: Sequence[tuple[int, Envelope]],
    named: tuple[str | None, str | None],
    caller: Principal,
    size: int,
) -> list[Rejection]:
    """Send halves, each to the partition of its id. Hidden columns of the model are removed or hashed in the payloads.

    Returns the halves that cannot be taken. `named` has the model and version of the URL; a key for one model also
    names the model. `size` is the bytes of all halves. Raises BrokerUnavailable.
    """
    if not halves:
        return []
    services.hider.check_loaded()
    model, version = named
    if model is None and caller.models is not None and len(caller.models) == 1:
        model = caller.models[0]
    of = {index: _inference(envelope, model, version) for index, envelope in halves}
    refused = [
        Rejection(index, wrong)
        for index, inference in of.items()
        if (wrong := wrong_inference(inference) or _not_for(caller, inference))
    ]
    wrong_ones = {one.index for one in refused}
    payloads = {index: envelope.content for index, envelope in halves if index not in wrong_ones}
    passed, unreadable = await parsed(size, _passed_on, services.hider, of, payloads)
    refused += unreadable
    sound = list(passed)
    if sound:
        records = [Outgoing(of[index].id.encode(), passed[index], None, of[index].headers()) for index in sound]
        sent = await services.producer.send_many(INFERENCES, records)
        refused += [Rejection(sound[i], reason) for i, reason in sent]
    metrics.API_EVENTS.labels(INFERENCES.name, "accepted").inc(len(halves) - len(refused))
    metrics.API_EVENTS.labels(INFERENCES.name, "rejected").inc(len(refused))
    return refused


def _passed_on(
    hider: Hider, of: Mapping[int, Inference], payloads: Mapping[int, bytes]
) -> tuple[dict[int, bytes], list[Rejection]]:
    """Return the payloads that may be sent, by position, and the rejections of the others."""
    passed: dict[int, bytes] = {}
    refused: list[Rejection] = []
    for index, payload in payloads.items():
        half = of[index]
        try:
            if wrong := wrong_payload(half, payload):
                raise InferenceError(wrong)
            its = hider.of(half.model, half.version)
            passed[index] = payload if its is None else hidden_payload(payload, its.hiding, its.order, its.features)
        except (HidingError, InferenceError) as error:
            refused.append(Rejection(index, str(error)))
    return passed, refused


def wrong_inference(half: Inference) -> str:
    """Return why no prediction can be made from a half, whatever its payload; empty where one can."""
    longest = f"{half.prediction_id}-{MAX_ITEMS - 1}"
    return (
        wrong_name("id", longest)
        or (wrong_name("model", half.model) if half.model else "")
        or (wrong_name("model_version", half.version) if half.version else "")
        or (wrong_name("inferenceservicename", half.service) if half.service else "")
        or (wrong_time(half.time.timestamp()).replace("timestamp", "time", 1) if half.time is not None else "")
    )


def _not_for(caller: Principal, half: Inference) -> str:
    """Return why a key may not send a half: the URL has to name the model, whatever the payload has."""
    if caller.models is None:
        return ""
    if half.model is None:
        return f"model: missing; the key is for {', '.join(caller.models)}: name one, /predictions?model=M"
    return caller.refusal(half.model)


def _inference(envelope: Envelope, model: str | None, version: str | None) -> Inference:
    return Inference(
        id=envelope.id, type=envelope.type, source=envelope.source, time=envelope.time,
        service=envelope.inferenceservicename, namespace=envelope.namespace, component=envelope.component,
        endpoint=envelope.endpoint, model=model, version=version,
        status=None if envelope.statuscode is None else str(envelope.statuscode),
    )  # fmt: skip
