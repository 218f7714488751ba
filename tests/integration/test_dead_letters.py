"""A thousand records that cannot be read, among many that can: all of them, and nothing else, are set aside."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from app.kafka.topics import ensure_topics
from app.settings.settings import Settings
from tests.support.stream import MODEL, START, VERSION, differences, register_model, send, truth, until_equal, worker
from topics.registry import DEAD_LETTERS, FEEDBACK, PREDICTIONS

MALFORMED = 1000
GOOD = 4000
DEEP = 20_000
LONG = "x" * 100_000
CANARY = "canary-4711"
BEAT = (("driftline", b"heartbeat"),)

Headers = tuple[tuple[str, bytes | None], ...]
Origin = tuple[str, int, int]
"""Topic, partition, offset."""


@dataclass(frozen=True, slots=True)
class Wire:
    """A record as it is sent; `words` are to be in the reason why it is set aside (None: it is sound)."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    words: str | None = None


def prediction(key: str, **changes: object) -> dict[str, object]:
    return {
        "prediction_id": key, "model": MODEL, "model_version": VERSION, "timestamp": START + 60.0,
        "features": {"size": 0.5, "colour": CANARY}, "prediction": "1", "probability": 0.75, "metadata": None,
        **changes,
    }  # fmt: skip


def feedback(key: str, **changes: object) -> dict[str, object]:
    return {"prediction_id": key, "actual": "1", "timestamp": START + 90.0, "metadata": None, **changes}


def encoded(event: dict[str, object], *without: str) -> bytes:
    return msgspec.json.encode({name: value for name, value in event.items() if name not in without})


def not_an_event(sound: bytes, rng: random.Random) -> Iterator[tuple[bytes | None, str]]:
    """Values that are no event at all, and what is to be said of them."""
    text = sound.decode()
    yield sound[: rng.randrange(1, len(sound))], "malformed JSON"
    yield b"\xff" + rng.randbytes(rng.randrange(500)), "malformed JSON"
    yield b"not JSON", "malformed JSON"
    yield b"", "malformed JSON"
    yield None, "the record has no value"
    yield b"null", "Expected `object`, got `null`"
    yield b"[" + sound + b"]", "Expected `object`, got `array`"
    yield msgspec.json.encode(text), "Expected `object`, got `str`"
    yield sound + sound, "trailing characters"
    yield sound + b"\n" + sound, "trailing characters"
    yield text.encode("utf-16"), "malformed JSON"
    yield text.encode("utf-8-sig"), "malformed JSON"
    yield msgspec.msgpack.encode(msgspec.json.decode(sound)), ""
    yield b"[" * DEEP, "Expected `object`, got `array`"
    yield sound[:-1] + b',"more":' + b"[" * DEEP + b"]" * DEEP + b"}", "nested too deeply"
    yield sound.replace(b'"metadata":null', b'"metadata":{"place":"K\xf6ln"}'), "not UTF-8"
    yield sound.replace(b'"metadata":null', b'"metadata":{"a":NaN}'), "malformed JSON"
    yield sound.replace(b'"metadata":null', b'"metadata":{"a":"\\ud800"}'), "malformed JSON"
    yield sound.replace(b'"metadata":null', b'"metadata":{"a":{"b":1}}'), "`metadata"
    yield sound.replace(b'"metadata":null', b'"metadata":7'), "`metadata`"


def wrong_times(event: dict[str, object]) -> Iterator[tuple[bytes, str]]:
    """Timestamps that are none, or not to be believed."""
    for time_ in ("yesterday", "2023-11-14T22:14:00", "2023-11-14T25:00:00Z", True, [1], {"seconds": 1}):
        yield encoded({**event, "timestamp": time_}), "`timestamp`"
    for seconds in (START * 1000, -1.0, 1e300, "2200-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59"):
        yield encoded({**event, "timestamp": seconds}), "`timestamp` is outside 1970 to 2100"
    for token in (b"NaN", b"Infinity", b"-Infinity", b"01", b"1_000"):
        yield encoded({**event, "timestamp": "?"}).replace(b'"?"', token), "malformed JSON"
    yield encoded({**event, "timestamp": "?"}).replace(b'"?"', b"9" * 5000), "Number out of range - at `timestamp`"


def malformed_predictions(key: str, rng: random.Random) -> Iterator[tuple[bytes | None, str]]:
    """Every kind of value that is no prediction."""
    event = prediction(key)
    yield from not_an_event(encoded(event), rng)
    yield from wrong_times(event)
    # Without `prediction` an event is sound: only its features are watched.
    for name in ("prediction_id", "model", "model_version", "timestamp", "features"):
        yield encoded(event, name), f"`{name}`"
        yield encoded({**event, name: None}), f"`{name}`"
    for name in ("prediction_id", "model", "model_version"):
        for wrong in (7, "", LONG):
            yield encoded({**event, name: wrong}), f"`{name}`"
    for outputs in ({"prediction": ["1"]}, {"prediction": {"1": 1}}, {"probability": "high"}, {"probability": [0.5]},
                    {"probability": {"1": "high"}}, {"probability": 1.5}, {"probability": -0.25},
                    {"probability": {"1": 2.0}}):  # fmt: skip
        yield encoded({**event, **outputs}), f"`{next(iter(outputs))}"
    for features in ([1.0], "size", {"size": [1]}, {"size": {"cm": 1}}, {"shoe": [1]}):
        yield encoded({**event, "features": features}), "`features`"
    for token, words in (
        (b"NaN", "malformed JSON"),
        (b"1e999", "Number out of range"),
        (b"01", "malformed JSON"),
        (b"-1" + b"0" * 400 + b".5", "Number out of range"),  # a whole one is a value of the wrong type
        (b'"K\xf6ln"', "not UTF-8"),
        (b"[" * DEEP + b"]" * DEEP, "nested too deeply"),
        (b"[" * DEEP, "nested too deeply"),
    ):
        yield encoded({**event, "features": {"size": "?"}}).replace(b'"?"', token), words
    yield encoded(prediction(key, model="nobody")), "unknown `model_version`: nobody 1"
    yield encoded(prediction(key, model_version="99")), f"unknown `model_version`: {MODEL} 99"


def malformed_feedback(key: str, rng: random.Random) -> Iterator[tuple[bytes | None, str]]:
    """Every kind of value that is no feedback."""
    event = feedback(key)
    yield from not_an_event(encoded(event), rng)
    yield from wrong_times(event)
    for name in ("prediction_id", "actual"):
        yield encoded(event, name), f"`{name}`"
        for wrong in (None, ["1"], {"1": 1}):
            yield encoded({**event, name: wrong}), f"`{name}`"
    for wrong_id in ("", LONG):
        yield encoded(feedback(key, prediction_id=wrong_id)), "`prediction_id`"
    for token, words in ((b"NaN", "malformed JSON"), (b"1e999", "Number out of range"), (b"[" * DEEP, "`actual`")):
        yield encoded(feedback(key, actual="?")).replace(b'"?"', token), words


def malformed_beats(rng: random.Random) -> Iterator[tuple[bytes | None, str]]:
    """Heartbeats, by their header, whose body is none."""
    beat: dict[str, object] = {"model": MODEL, "model_version": VERSION, "timestamp": START}
    sound = encoded(beat)
    yield sound[: rng.randrange(1, len(sound))], "malformed JSON"
    yield b"", "malformed JSON"
    yield None, "the record has no value"
    yield sound[:-1] + b',"more":' + b"[" * DEEP + b"]" * DEEP + b"}", "nested too deeply"
    for name in beat:
        yield encoded(beat, name), f"`{name}`"
    yield encoded({**beat, "timestamp": START * 1000}), "`timestamp` is outside 1970 to 2100"
    yield encoded({**beat, "model": "nobody"}), "unknown `model_version`: nobody 1"


def malformed(n: int, rng: random.Random) -> list[Wire]:
    """n records of all kinds on both topics; some have headers of their own."""
    found: list[Wire] = []
    while len(found) < n:
        key = f"bad-{len(found)}"
        headers: Headers = rng.choice([(), (("trace", b"\x00\xff"), ("empty", b""), ("nothing", None))])
        raw = key.encode()
        found += [Wire(PREDICTIONS.name, raw, *one) for one in _with(headers, malformed_predictions(key, rng))]
        found += [Wire(FEEDBACK.name, raw, *one) for one in _with(headers, malformed_feedback(key, rng))]
        found += [Wire(PREDICTIONS.name, raw, *one) for one in _with(headers + BEAT, malformed_beats(rng))]
        for topic, sound in ((PREDICTIONS, encoded(prediction(key))), (FEEDBACK, encoded(feedback(key)))):
            found.append(Wire(topic.name, None, sound, headers, "the record has no key"))
            found.append(Wire(topic.name, b"another", sound, headers, "key is not its prediction_id"))
    return rng.sample(found, n)


def _with(headers: Headers, values: Iterator[tuple[bytes | None, str]]) -> list[tuple[bytes | None, Headers, str]]:
    return [(value, headers, words) for value, words in values]


def rewritten(value: bytes, rng: random.Random) -> bytes:
    """The same event in another spelling that JSON and the contract allow."""
    event: dict[str, Any] = msgspec.json.decode(value)
    if "timestamp" in event and rng.random() < 0.5:
        event["timestamp"] = datetime.fromtimestamp(event["timestamp"], UTC).isoformat()
    if rng.random() < 0.2:
        event["unheard_of"] = {"a": [1, {"b": None}], "x": LONG}
    if "features" in event and rng.random() < 0.5:
        event["features"] |= {'an "odd" \n name': 1, "": None, "size": str(rng.random())}
    event["metadata"] = {"place": f"Jyväskylä\n{CANARY}", "n": 1, "none": None}
    return rng.choice([
        json.dumps(event, indent=2).encode(),
        json.dumps(event, ensure_ascii=False).encode(),
        b"\r\n " + json.dumps(event).encode() + b" \n",
    ])  # fmt: skip


async def send_all(settings: Settings, records: Sequence[Wire]) -> dict[Origin, Wire]:
    """Send in order; where each record that is to be set aside has come to lie."""
    producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap_servers, acks="all", linger_ms=5)
    await producer.start()
    try:
        futures = [
            await producer.send(settings.prefix + r.topic, r.value, r.key, headers=list(r.headers)) for r in records
        ]
        placed = await asyncio.gather(*futures)
    finally:
        await producer.stop()
    return {
        (at.topic, at.partition, at.offset): record
        for at, record in zip(placed, records, strict=True)
        if record.words is not None
    }


async def dead_letters(settings: Settings, enough: int, seconds: float) -> list[Any]:
    """All that is in `dead-letters`, once it is enough or the time is over."""
    at = TopicPartition(DEAD_LETTERS.full_name(settings.prefix), 0)
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap_servers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign([at])
        found: list[Any] = []
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for records in (await consumer.getmany(timeout_ms=100)).values():
                found += records
            end = (await consumer.end_offsets([at]))[at]
            if len(found) >= max(enough, end):
                break
        return found
    finally:
        await consumer.stop()


def split(letter: Any) -> tuple[Origin, str, Headers]:
    """A dead letter's origin and reason, and the headers that it had before."""
    own, ours = letter.headers[:-5], dict(letter.headers[-5:])
    said = {name.removeprefix("driftline-"): value.decode() for name, value in ours.items()}
    assert list(said) == ["reason", "topic", "partition", "offset", "timestamp"]
    assert 0 < int(said["timestamp"]) <= letter.timestamp
    return (said["topic"], int(said["partition"]), int(said["offset"])), said["reason"], own


@pytest.mark.timeout(150)
async def test_all_and_only_the_malformed_are_set_aside_and_the_others_are_counted(settings: Settings) -> None:
    settings = settings.model_copy(update={"max_batch_records": 200, "log_level": "DEBUG"})
    rng = random.Random(4)
    wanted = truth(GOOD, seed=5)
    good = [
        Wire(topic, key, rewritten(value, rng) if rng.random() < 0.02 else value)
        for topic, key, value in wanted.records
    ]
    bad = malformed(MALFORMED, rng)
    mixed = good + bad
    rng.shuffle(mixed)
    await ensure_topics(settings)
    await register_model(settings)
    origins = await send_all(settings, mixed)
    assert len(origins) == MALFORMED
    await send(settings, [])
    with worker(settings) as process:
        counts = await until_equal(settings, wanted, 60)
        await dead_letters(settings, MALFORMED, 20)
        assert process.poll() is None, log_of(settings)
    assert counts.equal(wanted), differences(counts, wanted) + log_of(settings)
    assert CANARY not in (settings.state_dir / "worker.log").read_text()
    letters = await dead_letters(settings, MALFORMED, 5)
    assert sorted(split(letter)[0] for letter in letters) == sorted(origins)
    for letter in letters:
        origin, reason, headers = split(letter)
        sent = origins[origin]
        assert (letter.key, letter.value, headers) == (sent.key, sent.value, sent.headers)
        assert sent.words is not None
        assert sent.words in reason


@pytest.mark.timeout(120)
async def test_a_category_as_long_as_a_record_is_unseen_like_any_other(settings: Settings) -> None:
    wanted = truth(400, seed=6, duplicated=0.0)
    early = {f"p6-{i}".encode() for i in range(12)}  # all in the first two minutes
    places = [i for i, (topic, key, _) in enumerate(wanted.records) if topic == PREDICTIONS.name and key in early]
    for number, place in enumerate(places):
        topic, key, value = wanted.records[place]
        event = msgspec.json.decode(value)
        event["features"]["colour"] = f"{number}" + "x" * 900_000
        event["features"][f"{number}" + "y" * 50_000] = 1
        wanted.records[place] = (topic, key, msgspec.json.encode(event))
    await ensure_topics(settings)
    await register_model(settings)
    await send(settings, wanted.records)
    with worker(settings) as process:
        counts = await until_equal(settings, wanted, 45)
        assert process.poll() is None, log_of(settings)
    assert counts.equal(wanted), differences(counts, wanted) + log_of(settings)
    assert await dead_letters(settings, 0, 2) == []


def log_of(settings: Settings) -> str:
    return "\n" + (settings.state_dir / "worker.log").read_text()[-3000:]
