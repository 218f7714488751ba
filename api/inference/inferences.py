"""Inferences as they come in: paired, made predictions, or in the end dead letters with the reason."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from api.bodies import Rejection
from api.incoming import IncomingPrediction, wrong_prediction
from api.inference.kserve import InferenceError, predictions_of
from api.inference.pairing import Half, Pair, Pairing, Unpaired
from api.registrations import RegistrationsView
from app.runtime.errors import BrokerUnavailable
from app.runtime.producer import Outgoing, Producer
from topics.registry import DEAD_LETTERS

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
END_SECONDS = 3.0


@dataclass(slots=True)
class Taken:
    """What became of halves, by their positions; `pairs` are those whose predictions are to be sent."""

    accepted: list[tuple[int, IncomingPrediction]] = field(default_factory=list)
    rejected: list[Rejection] = field(default_factory=list)
    pairs: list[Pair] = field(default_factory=list)
    waiting: int = 0


class Inferences:
    """Pairs halves within this process: a logger's requests and responses must come to the same one."""

    def __init__(self, producer: Producer, models: RegistrationsView, seconds: float) -> None:
        self._producer = producer
        self._models = models
        self._pairing = Pairing(seconds)

    async def take(self, halves: Iterable[tuple[int, Half]]) -> Taken:
        """Pair them. A pair that is no prediction is rejected, and both its halves are dead letters."""
        taken, spoilt = Taken(), list[Unpaired]()
        waiting: set[str] = set()
        for index, half in halves:
            pair = self._pairing.meet(half)
            if pair is None:
                waiting.add(half.envelope.id)
                continue
            waiting.discard(half.envelope.id)
            try:
                found = predictions_of(pair, self._order)
                wrong = next(filter(None, map(wrong_prediction, found)), "")
                if wrong:
                    raise InferenceError(wrong)
            except InferenceError as error:
                taken.rejected.append(Rejection(index, str(error)))
                spoilt += [Unpaired(one, str(error)) for one in pair]
                continue
            taken.pairs.append(pair)
            taken.accepted += [(index, one) for one in found]
        taken.waiting = len(waiting)
        await self._to_dead_letters([*spoilt, *self._pairing.over(time.monotonic())])
        return taken

    def wait_again(self, pairs: Iterable[Pair]) -> None:
        """Keep the half that was here first: Kafka was not there, and whoever sent the other sends it again."""
        for pair in pairs:
            self._pairing.put(pair.request if pair.request.arrived <= pair.response.arrived else pair.response)

    async def watch(self) -> None:
        """Send what waits too long to the dead letters, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self._to_dead_letters(self._pairing.over(time.monotonic()))

    async def end(self) -> None:
        """Send what still waits to the dead letters."""
        try:
            async with asyncio.timeout(END_SECONDS):
                await self._to_dead_letters(self._pairing.end())
        except TimeoutError:
            log.error("halves of inferences that waited for their other half are lost: Kafka does not answer")

    def _order(self, model: str, version: str) -> Sequence[str] | None:
        known = self._models.get(model, version)
        return None if known is None else known.features

    async def _to_dead_letters(self, unpaired: Sequence[Unpaired]) -> None:
        if not unpaired:
            return
        log.warning("%d halves of inferences to the dead letters; the first: %s", len(unpaired), unpaired[0].reason)
        try:
            refused = await self._producer.send_many(DEAD_LETTERS, [_dead_letter(one) for one in unpaired])
        except BrokerUnavailable as error:
            log.error("%d halves of inferences are lost: %s", len(unpaired), error)
            return
        if refused:
            log.error("%d halves of inferences are lost: %s", len(refused), refused[0].reason)


def _dead_letter(unpaired: Unpaired) -> Outgoing:
    envelope = unpaired.half.envelope
    given = {
        "ce_id": envelope.id, "ce_type": envelope.type, "ce_source": envelope.source,
        "ce_time": None if envelope.time is None else envelope.time.isoformat(),
        "driftline-reason": f"{envelope.type.rpartition('.')[2]}: {unpaired.reason}",
    }  # fmt: skip
    headers = [(name, value.encode()) for name, value in given.items() if value is not None]
    return Outgoing(envelope.id.encode(), envelope.content, None, headers)
