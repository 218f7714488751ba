"""Publication of decoded items to a topic."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from api.http.problems import Problem
from api.intake.bodies import Items, Rejection
from api.intake.events import encode
from app.kafka.producer import Outgoing, Producer
from app.telemetry import metrics
from topics.events import FeedbackEvent, PredictionEvent
from topics.registry import Topic


async def publish(
    producer: Producer,
    topic: Topic,
    events: Sequence[PredictionEvent | FeedbackEvent],
    found: Items[object],
    status: Callable[[Rejection], int] = lambda _: 422,
) -> list[Rejection]:
    """Send events (those of `found.accepted`, in order) and return all rejections by position, once Kafka has the rest.

    Raises Problem where no item is accepted, with the `status` of the first rejection; BrokerUnavailable.
    """
    rejected = list(found.rejected)
    if events:
        records = [Outgoing(event.prediction_id.encode(), encode(event)) for event in events]
        for position, reason in await producer.send_many(topic, records):
            rejected.append(Rejection(found.accepted[position][0], reason))
    rejected.sort(key=lambda one: one.index)
    given = len(found.accepted) + len(found.rejected)
    metrics.API_EVENTS.labels(topic.name, "accepted").inc(given - len(rejected))
    metrics.API_EVENTS.labels(topic.name, "rejected").inc(len(rejected))
    if len(rejected) < given:
        return rejected
    first = rejected[0]
    words = first.error if given == 1 else f"none of {given:,} events can be taken; the first: {first.error}"
    raise Problem(status(first), words, accepted=0, rejected=rejected)


def count_warnings(topic: Topic, unknown_fields: Sequence[str], unregistered: Sequence[str] = ()) -> None:
    """Count the warnings of a response."""
    for kind, lines in (("unknown_field", unknown_fields), ("unregistered", unregistered)):
        if lines:
            metrics.API_WARNINGS.labels(topic.name, kind).inc(len(lines))
