"""Resending of dead letters that can be counted now, each once: to the topics that they came from, or mapped again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import time
from typing import TYPE_CHECKING

import msgspec

from app.commands.dead_letters.mending import mended
from app.commands.dead_letters.reader import KnownLetters, LetterFilter, letters
from app.commands.dead_letters.source_letters import NOT_OF_TEXT, SourceLetters
from app.core.values.times import believable
from app.ingest.decoding import UNREADABLE, reason_of, wrong_key
from app.ingest.predictions import HEARTBEAT
from topics.events import FeedbackEvent, Heartbeat, PredictionEvent, to_epoch
from topics.inferences import Inference, inference_of
from topics.reasons import field_error
from topics.registry import DEAD_LETTERS, FEEDBACK, INFERENCES, PREDICTIONS, Topic

if TYPE_CHECKING:
    from app.commands.dead_letters.resend_checks import Counting
    from app.ingest.letters import Headers, Letter
    from app.kafka.producer import Producer
    from app.settings.settings import Settings

SENT_AGAIN: tuple[Topic, ...] = (PREDICTIONS, FEEDBACK, INFERENCES)
TOGETHER = 1000
"""Dead letters that are sent, and recorded as sent, at a time."""

ELSEWHERE = "not from predictions, feedback or inferences, nor from a source that driftline.toml declares"
COUNTED = "counted already: the history alone could not hold it"
BEFORE = "sent again before (--again sends them once more)"
NOT_MENDED = "nothing was printed for it"

_predictions = msgspec.json.Decoder(PredictionEvent)
_feedback = msgspec.json.Decoder(FeedbackEvent)
_heartbeats = msgspec.json.Decoder(Heartbeat)

Event = PredictionEvent | FeedbackEvent | Heartbeat


@dataclass(frozen=True, slots=True)
class ReadyLetter:
    """Event of a dead letter that is ready to send, with its key and value.

    `is_mapped`: it was mapped from a record of a source, whose partition and offset are of another topic.
    """

    letter: Letter
    event: Event | Inference
    key: bytes | None
    value: bytes
    is_mapped: bool = False


Found = list[tuple[Topic, ReadyLetter]]


@dataclass(slots=True)
class Resent:
    """Counts of sent letters by topic, and of letters left out by reason."""

    sent: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)

    @property
    def looked_at(self) -> int:
        """Return the number of letters processed so far."""
        return self.sent.total() + self.left_out.total()


@dataclass(frozen=True, slots=True)
class How:
    """Options of a resend. `through`: a program that corrects values; empty: none."""

    through: str = ""
    again: bool = False
    late: bool = False
    dry_run: bool = False


async def resend(
    settings: Settings, wanted: LetterFilter, known: KnownLetters, counting: Counting, sources: SourceLetters,
    how: How, progress: Callable[[Resent], None],
) -> Resent:  # fmt: skip
    """Send the letters that the filter selects. Leave out letters that would not be counted, and report the reasons.

    Raises CommandError, BrokerUnavailable.
    """
    from app.kafka.producer import Producer

    resent, own = Resent(), [topic.full_name(settings.prefix) for topic in SENT_AGAIN]
    batch: list[Letter] = []
    async with Producer(settings) as producer:

        async def send() -> None:
            await _send(settings, producer, [*batch], counting, sources, how, resent)
            batch.clear()
            progress(resent)

        async for letter in letters(settings, wanted, known):
            if letter.topic not in own and letter.topic not in sources:
                resent.left_out[ELSEWHERE] += 1
            elif letter.counted:
                resent.left_out[COUNTED] += 1
            elif letter.offset in known.resent and not how.again:
                resent.left_out[BEFORE] += 1
            elif how.through and letter.topic not in own and not sources.is_of_text(letter.topic):
                resent.left_out[NOT_OF_TEXT] += 1
            else:
                batch.append(letter)
            if len(batch) >= TOGETHER:
                await send()
        await send()
    return resent


async def _send(
    settings: Settings, producer: Producer, batch: Sequence[Letter], counting: Counting, sources: SourceLetters,
    how: How, resent: Resent,
) -> None:  # fmt: skip
    from app.ingest.letters import RESENT, resent_header
    from app.kafka.producer import Outgoing

    ready: dict[Topic, list[ReadyLetter]] = {topic: [] for topic in SENT_AGAIN}
    sent: set[int] = set()
    values = mended(batch, how.through)
    mapped = await _mapped(batch, values, sources)
    for i, (letter, value) in enumerate(zip(batch, values, strict=True)):
        found = mapped[i] if i in mapped else _ready(settings, letter, value)
        reason = found if isinstance(found, str) else _obstacle(found, counting, how)
        if reason or isinstance(found, str):
            resent.left_out[reason] += 1
            continue
        sent.add(letter.offset)
        for topic, one in found:
            ready[topic].append(one)
    refused: set[int] = set()
    for topic, events in ready.items():
        if not events:
            continue
        too_large = []
        if not how.dry_run:
            records = [Outgoing(one.key, one.value, _partition(one), _headers(one)) for one in events]
            too_large = await producer.send_many(topic, records)
            refused.update(events[one.position].letter.offset for one in too_large)
        resent.sent[topic.name] += len(events) - len(too_large)
    if refused:
        resent.left_out["too large"] += len(refused)
    if sent - refused and not how.dry_run:
        await producer.send(DEAD_LETTERS, RESENT.encode(), None, 0, [resent_header([*(sent - refused)])])


def _obstacle(found: Found, counting: Counting, how: How) -> str:
    """Return the first reason why an event of a letter would not be counted; empty where all would be."""
    reasons = (counting.obstacle(one, now=time(), late=how.late) for _, one in found)
    return next(filter(None, reasons), "")


async def _mapped(
    batch: Sequence[Letter], values: Sequence[bytes | None], sources: SourceLetters
) -> dict[int, Found | str]:
    """Return the events of the letters of sources, or the reasons why they have none, by their positions."""
    positions: dict[str, list[int]] = {}
    for i, letter in enumerate(batch):
        if letter.topic in sources and values[i] is not None:
            positions.setdefault(letter.topic, []).append(i)
    found: dict[int, Found | str] = {}
    for topic, at in positions.items():
        for i, one in zip(at, await sources.map(topic, [(batch[i], values[i]) for i in at]), strict=True):
            found[i] = one.reason or [
                (event.topic, ReadyLetter(batch[i], event.event, event.key, event.value, is_mapped=True))
                for event in one.events
            ]
    return found


def _headers(one: ReadyLetter) -> Headers:
    """Return the record's own headers; none for an event that was mapped from it, since they are of another format."""
    return () if one.is_mapped else one.letter.headers


def _partition(one: ReadyLetter) -> int | None:
    """Return the original partition for a letter without a key, and None where the key decides."""
    return one.letter.origin[1] if one.key is None and one.letter.origin is not None else None


def _ready(settings: Settings, letter: Letter, value: bytes | None) -> Found | str:
    """Return the letter ready to send to its topic, or the reason why it would become a dead letter again."""
    topic = next((one for one in SENT_AGAIN if one.full_name(settings.prefix) == letter.topic), PREDICTIONS)
    one = _read(topic, letter, value)
    return one if isinstance(one, str) else [(topic, one)]


def _read(topic: Topic, letter: Letter, value: bytes | None) -> ReadyLetter | str:
    if value is None:
        return "the record has no value" if letter.value is None else NOT_MENDED
    if topic == INFERENCES:
        return _half(letter, value)
    try:
        if HEARTBEAT in letter.headers:
            return ReadyLetter(letter, _heartbeats.decode(value), letter.key, value)
        event = (_predictions if topic == PREDICTIONS else _feedback).decode(value)
    except UNREADABLE as error:
        return f"still not readable: {reason_of(error).partition(':')[0]}"
    if event.timestamp is not None and not believable(to_epoch(event.timestamp)):
        return "still not readable: `timestamp` is outside 1970 to 2100"
    key = letter.key
    if wrong_key(key, event.prediction_id):  # only the key is wrong: the value has the correct one
        key = event.prediction_id.encode()
    return ReadyLetter(letter, event, key, value)


def _half(letter: Letter, value: bytes) -> ReadyLetter | str:
    """Return half an inference ready to send, with the id in its headers as key.

    Whether the other half arrives is unknown here.
    """
    try:
        inference = inference_of(letter.headers)
    except UNREADABLE as error:
        return f"still not readable: headers: {field_error(error).partition(':')[0]}"
    return ReadyLetter(letter, inference, inference.id.encode(), value)
