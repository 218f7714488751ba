"""KServe's inference logger through APIs and workers of which some are killed, into a real Kafka."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import msgspec
import pandas as pd
import pytest
from aiokafka import ConsumerRecord

from api.intake.cloud_events import BATCH, STRUCTURED
from app.kafka.producer import Outgoing, Producer
from app.kafka.topics import ensure_topics
from app.local.kafka_probe import free_ports
from app.registration.monitoring import MonitoringFile, monitoring_of
from app.registration.publish import register
from app.settings.settings import Settings, environment
from tests.support.api import client_of, ready
from tests.support.kafka_topics import records_of
from tests.support.run_command import typed
from tests.support.stream import until, worker
from tests.support.worker_process import log_of, quick
from topics.events import PredictionEvent
from topics.inferences import REQUEST, RESPONSE, Inference
from topics.registry import DEAD_LETTERS, INFERENCES, PREDICTIONS, Topic

REFERENCE = pd.DataFrame({"age": range(40), "plan": ["basic", "gold"] * 20, "prediction": [0, 1] * 20})
WINDOWS = {"pane": 60, "panes": 5, "allowance": 0, "retention": 864_000, "lateness": 864_000, "idle_after": 2}
SECONDS = 6.0
PAIRS, TOGETHER, ALONE = 160, 20, 6

BY_PLACE = "wrong-6"
"""Has another number of values than the model has features, which the door does not know."""
LATER = ("later-0", "later-1")
"""Inferences of a model version that is registered later."""

Half = tuple[str, str, bytes]
"""Its id, its type, its payload."""


async def registered(settings: Settings, version: str = "3") -> None:
    """Register the model that is served."""
    file: MonitoringFile = monitoring_of({"windows": WINDOWS})
    await register(settings, "churn", version, REFERENCE, file)


async def post(client: httpx.AsyncClient, half: Half, **more: str) -> httpx.Response:
    """As the logger does: binary mode."""
    number, kind, content = half
    headers = {
        "ce-specversion": "1.0", "ce-id": number, "ce-type": kind, "ce-source": "http://localhost:9081/",
        "ce-time": "2026-01-01T00:00:00Z", "ce-inferenceservicename": "churn", "ce-namespace": "default",
        "ce-component": "predictor", "ce-endpoint": "", "content-type": "application/json", **more,
    }  # fmt: skip
    version = "4" if number in LATER else "3"
    return await client.post("/predictions", params={"model_version": version}, content=content, headers=headers)


async def past_the_api(settings: Settings, half: Half) -> None:
    """The same half as a record of somebody who writes to Kafka."""
    number, kind, content = half
    inference = Inference(
        id=number, type=kind, source="http://localhost:9081/", time=datetime(2026, 1, 1, tzinfo=UTC), service="churn",
        namespace="default", component="predictor", endpoint="", version="3",
    )  # fmt: skip
    async with Producer(settings) as producer:
        assert not await producer.send_many(INFERENCES, [Outgoing(number.encode(), content, None, inference.headers())])


def request(*rows: object) -> bytes:
    return json.dumps({"instances": rows or [[30, "gold"]]}).encode()


def response(*predictions: object) -> bytes:
    return json.dumps({"predictions": predictions or [1]}).encode()


def awkward() -> tuple[list[Half], set[str]]:
    """Halves that make no prediction for another reason than that one is missing; and the ids of pairs among them."""
    payloads = [
        b"",
        b"\x00\x01binary",
        b"null",
        b"[]",
        b'"text"',
        b"[" * 900,
        request([1]),
        request({"age": [1]}),
        b"\xff",
    ]
    wrong = [(f"wrong-{i}", REQUEST, payload) for i, payload in enumerate(payloads)]
    wrong += [(f"wrong-{i}", RESPONSE, response()) for i in range(len(payloads))]
    wrong += [(number, REQUEST, request()) for number in LATER] + [(number, RESPONSE, response()) for number in LATER]
    two = [("two", REQUEST, request([30, "gold"])), ("two", REQUEST, request([31, "gold"]))]
    return [*wrong, *two], {number for number, _, _ in wrong}


@asynccontextmanager
async def second_api(settings: Settings) -> AsyncIterator[tuple[httpx.AsyncClient, Callable[[], None]]]:
    """An API process of its own, and what kills it."""
    (port,) = free_ports(1)
    with worker(settings.model_copy(update={"api_port": port}), "api", ("-m", "app.cli", "api")) as process:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            deadline = time.monotonic() + 40
            while time.monotonic() < deadline:
                try:
                    if (await client.get("/ready")).status_code == 200:
                        break
                except httpx.TransportError:
                    await asyncio.sleep(0.05)
            yield client, lambda: os.kill(process.pid, signal.SIGKILL)


def shuffled(pairs: list[str], rng: random.Random) -> list[Half]:
    """The halves of pairs in any order, some of them repeated."""
    halves: list[Half] = [(number, REQUEST, request()) for number in pairs]
    halves += [(number, RESPONSE, response()) for number in pairs]
    halves += rng.sample(halves, len(pairs) // 4)
    rng.shuffle(halves)
    return halves


async def grown(
    settings: Settings, topic: Topic, enough: Callable[[list[ConsumerRecord]], bool]
) -> list[ConsumerRecord]:
    """All records of a topic, once they are enough, or 40 seconds are over."""
    deadline = time.monotonic() + 40
    while not enough(found := await records_of(settings, topic)) and time.monotonic() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(0.1)
    return found


@pytest.mark.timeout(200)
async def test_halves_meet_across_apis_and_workers_that_are_killed_and_each_pair_counts_once(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = quick(settings).model_copy(update={"pairing_seconds": SECONDS})
    for name, value in environment(settings).items():
        monkeypatch.setenv(name, value)
    rng = random.Random(7)
    pairs = [f"p{i}" for i in range(PAIRS)]
    groups = [shuffled(pairs[i : i + TOGETHER], rng) for i in range(0, PAIRS, TOGETHER)]
    alone = [(f"alone-{i}", (REQUEST, RESPONSE)[i % 2], (request(), response())[i % 2]) for i in range(ALONE)]
    wrong, wrong_pairs = awkward()
    groups[1] += wrong
    groups[-1] += alone
    await ensure_topics(settings)
    await registered(settings)

    async with client_of(settings) as first, second_api(settings) as (second, kill):
        await ready(first)

        async def log(half: Half) -> None:
            """Post it to one of the two; what the one that is killed has not acknowledged, to the other.

            What the door refuses, because no worker could read it, is sent to Kafka as past the API.
            """
            try:
                answer = await post(rng.choice([first, second]), half)
            except httpx.TransportError:
                answer = await post(first, half)
            if half[1] == REQUEST and half[0].startswith("wrong") and half[0] != BY_PLACE:
                assert answer.status_code == 422, half
                await past_the_api(settings, half)
                return
            assert (answer.status_code, answer.json()) == (202, {"accepted": 0, "rejected": [], "waiting": 1})

        with worker(settings, "killed") as process:
            for number, group in enumerate(groups):
                logging = asyncio.gather(*map(log, group))
                if number == len(groups) // 2:
                    await grown(settings, PREDICTIONS, bool)
                    kill()
                    os.kill(process.pid, signal.SIGKILL)
                await logging
        with worker(settings, "heir") as heir:
            counts = await until(settings, lambda counts: counts.predictions >= PAIRS, 60)
            assert counts.predictions == PAIRS, log_of(settings)
            expected = ALONE + 2 * len(wrong_pairs) + 2
            letters = await grown(
                settings, DEAD_LETTERS, lambda found: len({_origin(one) for one in found}) >= expected
            )
            await send_again(settings)
            assert heir.poll() is None
    made = Counter(one.key.decode() for one in await records_of(settings, PREDICTIONS) if one.key)
    assert made.keys() == {*pairs, *LATER}
    assert max(made.values()) <= 2  # a worker was killed once
    sent = {(one.partition, one.offset): one for one in await records_of(settings, INFERENCES)}
    assert {sent[_origin(one)].key.decode() for one in letters} == {*(one[0] for one in alone), *wrong_pairs, "two"}
    assert len({_origin(one) for one in letters}) == expected
    for letter in letters:
        half = sent[_origin(letter)]
        assert (letter.key, letter.value) == (half.key, half.value)
        assert set(half.headers) <= set(letter.headers)
    check_reasons(letters)


async def send_again(settings: Settings) -> None:
    """Register what was missing; its dead letters are sent again, and pair."""
    await registered(settings, "4")
    status, out, err = await asyncio.to_thread(typed, "dead-letters", "resend", "--version", "4", "--model", "churn")
    assert (status, err) == (0, ""), (out, err)
    made = await grown(settings, PREDICTIONS, lambda found: {one.key for one in found} >= {b"later-0", b"later-1"})
    assert {one.key for one in made} >= {b"later-0", b"later-1"}, log_of(settings)


def check_reasons(letters: list[ConsumerRecord]) -> None:
    """Each says why it was set aside."""
    reasons: dict[str, set[str]] = {}
    for letter in letters:
        reasons.setdefault(letter.key.decode(), set()).add(dict(letter.headers)["driftline-reason"].decode())
    assert reasons["alone-0"] == {"unpaired request: its response has not come within 6 s"}
    assert reasons["alone-1"] == {"unpaired response: its request has not come within 6 s"}
    (words,) = reasons["wrong-1"]
    assert words.startswith("request: not JSON")
    assert reasons["wrong-6"] == {"instances[0]: 1 values for 2 features"}
    assert reasons["two"] == {
        "repeated request: it differs from the one that came first",
        "unpaired request: its response has not come within 6 s",
    }


def _origin(letter: ConsumerRecord) -> tuple[int, int]:
    headers = dict(letter.headers)
    return int(headers["driftline-partition"]), int(headers["driftline-offset"])


async def test_a_batch_may_hold_predictions_and_halves_in_every_form(settings: Settings) -> None:
    common = {"specversion": "1.0", "source": "s", "inferenceservicename": "churn"}
    event = {"model": "churn", "model_version": "3", "features": {"age": 1}, "prediction": 1}
    batch: list[dict[str, Any]] = [
        {**common, "id": "x", "type": REQUEST, "data": {"instances": [[5, "gold"]]}},
        {**common, "id": "y", "type": "prediction", "data": event},
        {**common, "id": "z", "type": "prediction", "data": {}},
        {**common, "id": "x", "type": RESPONSE, "data_base64": base64.b64encode(b'{"predictions": [0]}').decode()},
        {**common, "id": "big", "type": RESPONSE, "data": "x" * (5 << 20)},
        {**common, "id": "", "type": RESPONSE, "data": {}},
    ]
    await ensure_topics(settings)
    async with client_of(settings) as client:
        await ready(client)
        url = "/predictions?model_version=3"
        answer = await client.post(url, content=json.dumps(batch), headers={"content-type": BATCH})
        assert answer.status_code == 202
        assert (answer.json()["accepted"], answer.json()["waiting"]) == (1, 2)
        wrong = {one["index"]: one["error"] for one in answer.json()["rejected"]}
        lacking = "; ".join(f"data: {name}: missing" for name in ("model", "model_version", "features", "prediction"))
        assert (wrong[2], wrong[5]) == (lacking, "id: expected str of length >= 1")
        assert wrong.keys() == {2, 4, 5}
        status = {
            **common,
            "id": "ü",
            "type": RESPONSE,
            "statuscode": 500,
            "time": "2026-01-01T00:00:00+01:00",
            "data": 0,
        }
        answer = await client.post(url, content=json.dumps(status), headers={"content-type": STRUCTURED})
        assert answer.json() == {"accepted": 0, "rejected": [], "waiting": 1}
        refused = await client.post(url, content=json.dumps(batch[4]), headers={"content-type": STRUCTURED})
        assert refused.status_code == 422
        (made,) = await records_of(settings, PREDICTIONS)
        assert msgspec.json.decode(made.value, type=PredictionEvent).prediction_id == "y"
        halves = sorted((one.key.decode(), one.value) for one in await records_of(settings, INFERENCES))
    assert halves == [("x", b'{"instances": [[5, "gold"]]}'), ("x", b'{"predictions": [0]}'), ("ü", b"0")]
