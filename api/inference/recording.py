"""Predictions on their way to Kafka, or to the disk while Kafka is unavailable, and the claims of their ids.

An id is claimed together with its prediction; a prediction that certainly fails is refused before. A record without
acknowledgement may nevertheless be in Kafka, so its id keeps its features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from api.http.problems import Problem, unavailable
from api.intake.events import encode
from api.served.spooling import Spooled, Spooling
from api.services import Services
from app.core.values.hiding import Hiding
from app.kafka.producer import Outgoing, Producer
from app.registration.hidden_values import HidingError
from topics.events import PredictionEvent, Scalar, ServedEvent
from topics.registry import PREDICTIONS, SERVED, Topic

if TYPE_CHECKING:
    from api.inference.predict import PredictRequest


class Recording:
    """Predictions of one request. `digests` has the digest of each prediction's features."""

    def __init__(
        self, services: Services, model: str, asked: Sequence[PredictRequest], digests: Sequence[str]
    ) -> None:  # fmt: skip
        """Raise Problem 409 where an id occurs twice with different features."""
        self._services, self._model, self._asked, self._digests = services, model, asked, digests
        self._made: dict[int, tuple[ServedEvent, Outgoing]] = {}
        first: dict[str, str] = {}
        for i, one in enumerate(asked):
            if one.id is not None and first.setdefault(one.id, digests[i]) != digests[i]:
                raise _used(one.id, i)

    def known(self) -> dict[int, ServedEvent]:
        """Return the known responses, by position. Raises Problem 409, and 503 while the responses are not loaded."""
        named = [(i, one.id) for i, one in enumerate(self._asked) if one.id is not None]
        if not named:
            return {}
        served, spooling = self._services.served, self._services.spooling
        if served is None or not self._services.loaded:
            raise unavailable(self._services.trouble)
        kept = {} if spooling is None else spooling.answers
        found: dict[int, ServedEvent] = {}
        for i, name in named:
            event = served.get(self._model, name) or kept.get((self._model, name))
            if event is None:
                continue
            if event.features_digest != self._digests[i]:
                raise _used(event.prediction_id, i)
            found[i] = event
        return found

    async def record(self, answers: Mapping[int, ServedEvent], fresh: Sequence[int]) -> list[ServedEvent]:
        """Return the responses once their predictions are in Kafka, or on the disk where that is configured.

        `answers` has all responses by position; those at `fresh` are new. Raises Problem 409, 413, 503,
        BrokerUnavailable.
        """
        self._check_sizes(answers)
        spooling = self._services.spooling
        if spooling is None or not spooling.takes:
            return await self._send_all(answers, fresh)
        returned = await spooling.directly(lambda: self._send_all(answers, fresh))
        return await self._keep(spooling, answers) if returned is None else returned

    async def _send_all(self, own: Mapping[int, ServedEvent], fresh: Sequence[int]) -> list[ServedEvent]:
        answers = dict(own)
        claims = [Outgoing(_key(own[i]), encode(own[i])) for i in fresh if self._asked[i].request_id is not None]
        if claims:
            await self._send(SERVED, claims)
            assert self._services.served is not None
            await self._services.served.catch_up()
            answers |= self.known()
        returned = [answers[i] for i in range(len(self._asked))]
        await self._send(PREDICTIONS, [self._outgoing(i, answer) for i, answer in enumerate(returned)])
        return returned

    async def _keep(self, spooling: Spooling, own: Mapping[int, ServedEvent]) -> list[ServedEvent]:
        async with spooling.changing:
            known = self.known()
            first: dict[str, ServedEvent] = {}
            returned: list[ServedEvent] = []
            kept: list[Spooled] = []
            for i, one in enumerate(self._asked):
                answer = known.get(i, own[i])
                if one.id is not None and one.id in first:
                    returned.append(first[one.id])
                    continue
                returned.append(answer)
                if one.id is not None:
                    first[one.id] = answer
                    if spooling.has(answer):
                        continue
                claim = answer if one.id is not None and i not in known else None
                event = self._outgoing(i, answer).value
                assert event is not None
                kept.append(Spooled(answer.prediction_id, msgspec.Raw(event), claim))
            if kept:
                await spooling.keep(kept)
        return returned

    def _outgoing(self, i: int, answer: ServedEvent) -> Outgoing:
        """Return the prediction's record for Kafka. Raises Problem 503 where its columns cannot be hidden."""
        made = self._made.get(i)
        if made is not None and made[0] is answer:
            return made[1]
        features, metadata = self._asked[i].features, self._asked[i].metadata
        hiding = hiding_of(self._services, answer.model, answer.model_version)
        if hiding is not None:
            features, metadata = hiding.row(features), None if metadata is None else hiding.row(metadata)
        record = Outgoing(_key(answer), encode(event_of(answer, features, metadata)))
        self._made[i] = answer, record
        return record

    def _check_sizes(self, answers: Mapping[int, ServedEvent]) -> None:
        """Raise Problem 413 for a prediction that is too large for Kafka, before its id is claimed."""
        records = [self._outgoing(i, answers[i]) for i in range(len(self._asked))]
        for refused in Producer.refused(PREDICTIONS, records):
            raise Problem(413, refused.reason, index=refused.position)

    async def _send(self, topic: Topic, records: Sequence[Outgoing]) -> None:
        for refused in await self._services.producer.send_many(topic, records):
            raise Problem(413, refused.reason, index=refused.position)


def event_of(answer: ServedEvent, features: dict[str, Scalar], metadata: dict[str, Scalar] | None) -> PredictionEvent:
    """Return the prediction event of a response."""
    return PredictionEvent(
        prediction_id=answer.prediction_id,
        model=answer.model,
        model_version=answer.model_version,
        timestamp=answer.predicted_at,
        features=features,
        prediction=answer.prediction,
        probability=answer.probability,
        metadata=metadata,
    )


def hiding_of(services: Services, model: str, version: str) -> Hiding | None:
    """Return the hidden columns of a served model; None where there are none.

    Raises Problem 503 where they cannot be hidden.
    """
    try:
        found = services.hider.of(model, version)
    except HidingError as error:
        raise unavailable(str(error)) from None
    return None if found is None else found.hiding


def _used(prediction_id: str, index: int) -> Problem:
    words = f"request_id {prediction_id!r} was used for other features; give each request its own"
    return Problem(409, words, index=index)


def _key(answer: ServedEvent) -> bytes:
    return answer.prediction_id.encode()
