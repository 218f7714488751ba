"""KServe's inference logger: its requests and responses, handed to Kafka, where a worker pairs them."""

from __future__ import annotations

from collections.abc import Sequence

from api.bodies import Rejection
from api.cloud_events import Envelope
from app.runtime.producer import Outgoing, Producer
from app.telemetry import metrics
from topics.inferences import REQUEST, RESPONSE, Inference
from topics.registry import INFERENCES


def is_inference(envelope: Envelope) -> bool:
    """Whether an event is a request or a response of an inference."""
    return envelope.type in (REQUEST, RESPONSE)


async def publish_halves(
    producer: Producer, halves: Sequence[tuple[int, Envelope]], model: str | None, version: str | None
) -> list[Rejection]:
    """Send halves, each to the partition of its id, payloads as they came; return those that are too large.

    `model` and `version` are those of the URL. Raises BrokerUnavailable.
    """
    if not halves:
        return []
    records = [_record(envelope, model, version) for _, envelope in halves]
    refused = await producer.send_many(INFERENCES, records)
    metrics.API_EVENTS.labels(INFERENCES.name, "accepted").inc(len(halves) - len(refused))
    metrics.API_EVENTS.labels(INFERENCES.name, "rejected").inc(len(refused))
    return [Rejection(halves[one.position][0], one.reason) for one in refused]


def _record(envelope: Envelope, model: str | None, version: str | None) -> Outgoing:
    inference = Inference(
        id=envelope.id, type=envelope.type, source=envelope.source, time=envelope.time,
        service=envelope.inferenceservicename, namespace=envelope.namespace, component=envelope.component,
        endpoint=envelope.endpoint, model=model, version=version,
        status=None if envelope.statuscode is None else str(envelope.statuscode),
    )  # fmt: skip
    return Outgoing(envelope.id.encode(), envelope.content, None, inference.headers())
