"""Resending of dead letters to their source topics: letters that can be counted now, each once."""

from __future__ import annotations

import shlex
import subprocess
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import time
from typing import TYPE_CHECKING

import msgspec

from app.commands.dead_letters.reader import KnownLetters, LetterFilter, letters
from app.commands.options import CommandError
from app.core.values.times import believable
from app.ingest.decoding import UNREADABLE, reason_of, wrong_key
from app.ingest.predictions import HEARTBEAT
from topics.events import FeedbackEvent, Heartbeat, PredictionEvent, to_epoch
from topics.inferences import Inference, inference_of
from topics.reasons import field_error
from topics.registry import DEAD_LETTERS, FEEDBACK, INFERENCES, PREDICTIONS

if TYPE_CHECKING:
    from app.commands.dead_letters.resend_checks import Counting
    from app.ingest.letters import Letter
    from app.kafka.producer import Producer
    from app.settings.settings import Settings

SENT_AGAIN = (PREDICTIONS, FEEDBACK, INFERENCES)
TOGETHER = 1000
"""Dead letters that are sent, and recorded as sent, at a time."""

ELSEWHERE = "not from predictions, feedback or inferences"
COUNTED = "counted already: the history alone could not hold it"
BEFORE = "sent again before (--again sends them once more)"
NOT_MENDED = "nothing was printed for it"

_predictions = msgspec.json.Decoder(PredictionEvent)
_feedback = msgspec.json.Decoder(FeedbackEvent)
_heartbeats = msgspec.json.Decoder(Heartbeat)

Event = PredictionEvent | FeedbackEvent | Heartbeat


@dataclass(frozen=True, slots=True)
class ReadyLetter:
    """Dead letter that is ready to send: its event, and the key and value to send."""

    letter: Letter
    event: Event | Inference
    key: bytes | None
    value: bytes


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
    settings: Settings, wanted: LetterFilter, known: KnownLetters, counting: Counting, how: How,
    progress: Callable[[Resent], None],
) -> Resent:  # fmt: skip
    """Send the letters that the filter selects. Leave out letters that would not be counted, and report the reasons.

    Raises CommandError, BrokerUnavailable.
    """
    from app.kafka.producer import Producer

    resent = Resent()
    batch: list[Letter] = []
    async with Producer(settings) as producer:

        async def send() -> None:
            await _send(settings, producer, [*batch], counting, how, resent)
            batch.clear()
            progress(resent)

        async for letter in letters(settings, wanted, known):
            if letter.topic not in [topic.full_name(settings.prefix) for topic in SENT_AGAIN]:
                resent.left_out[ELSEWHERE] += 1
            elif letter.counted:
                resent.left_out[COUNTED] += 1
            elif letter.offset in known.resent and not how.again:
                resent.left_out[BEFORE] += 1
            else:
                batch.append(letter)
            if len(batch) >= TOGETHER:
                await send()
        await send()
    return resent


async def _send(
    settings: Settings, producer: Producer, batch: Sequence[Letter], counting: Counting, how: How, resent: Resent
) -> None:
    from app.ingest.letters import RESENT, resent_header
    from app.kafka.producer import Outgoing

    ready: dict[str, list[ReadyLetter]] = {}
    for letter, value in zip(batch, _mended(batch, how.through), strict=True):
        one = _ready(settings, letter, value)
        reason = one if isinstance(one, str) else counting.obstacle(one, now=time(), late=how.late)
        if reason or isinstance(one, str):
            resent.left_out[reason] += 1
        else:
            ready.setdefault(letter.topic, []).append(one)
    for topic in SENT_AGAIN:
        found = ready.get(topic.full_name(settings.prefix), [])
        if not found:
            continue
        refused: set[int] = set()
        if not how.dry_run:
            records = [Outgoing(one.key, one.value, _partition(one), one.letter.headers) for one in found]
            refused = {one.position for one in await producer.send_many(topic, records)}
            sent = [one.letter.offset for i, one in enumerate(found) if i not in refused]
            await producer.send(DEAD_LETTERS, RESENT.encode(), None, 0, [resent_header(sent)])
        resent.sent[topic.name] += len(found) - len(refused)
        if refused:
            resent.left_out["too large"] += len(refused)


def _partition(one: ReadyLetter) -> int | None:
    """Return the original partition for a letter without a key, and None where the key decides."""
    return one.letter.origin[1] if one.key is None and one.letter.origin is not None else None


def _ready(settings: Settings, letter: Letter, value: bytes | None) -> ReadyLetter | str:
    """Return the letter ready to send, or the reason why it would become a dead letter again."""
    if value is None:
        return "the record has no value" if letter.value is None else NOT_MENDED
    if letter.topic == INFERENCES.full_name(settings.prefix):
        return _half(letter, value)
    is_prediction = letter.topic == PREDICTIONS.full_name(settings.prefix)
    try:
        if HEARTBEAT in letter.headers:
            return ReadyLetter(letter, _heartbeats.decode(value), letter.key, value)
        event = (_predictions if is_prediction else _feedback).decode(value)
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


def _mended(batch: Sequence[Letter], through: str) -> list[bytes | None]:
    """Return the values to send: unchanged, or as corrected by the program, one line a value."""
    values = [letter.value for letter in batch]
    if not through:
        return values
    given = [i for i, value in enumerate(values) if value is not None]
    if not given:
        return values
    lines = b"".join(b" ".join((values[i] or b"").splitlines()) + b"\n" for i in given)
    try:
        ended = subprocess.run(shlex.split(through), input=lines, stdout=subprocess.PIPE, check=False)
    except (OSError, ValueError) as error:
        raise CommandError(f"--through: {error}") from None
    made = ended.stdout.split(b"\n")
    if made and not made[-1]:
        made.pop()
    if ended.returncode or len(made) != len(given):
        raise CommandError(
            f"--through: the program ended with status {ended.returncode} and printed {len(made):,} lines for "
            f"{len(given):,} values; it must print one for each (an empty one leaves it out). Nothing of them was sent"
        )
    for i, line in zip(given, made, strict=True):
        values[i] = line.strip() or None
    return values
