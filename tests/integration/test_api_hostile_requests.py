"""Whatever is sent, the API answers as it says it does and never fails, and the stream counts what is sound."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx
import hypothesis
import msgspec
import pytest
import requests
import schemathesis
from aiokafka import AIOKafkaProducer
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from schemathesis.checks import CheckFunction
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from api.openapi.document import CLOUD_EVENTS
from app.kafka.topics import ensure_topics
from app.settings.settings import Settings
from tests.support.api_process import api_process
from tests.support.kafka_topics import records_of
from tests.support.stream import Truth, register_model, send, truth, until_equal, worker
from topics.events import FeedbackEvent, PredictionEvent
from topics.registry import DEAD_LETTERS, FEEDBACK, PREDICTIONS

CHECKS: list[CheckFunction] = [content_type_conformance, response_schema_conformance, status_code_conformance]
LINES = "application/x-ndjson"
ENDLESS = "/events"
"""A stream has no whole answer; tests/integration/test_api_events.py reads it."""


@schemathesis.serializer(LINES)
def lines(_: Any, value: Any) -> bytes:
    """What is generated as a text goes as it is."""
    return value.encode("utf-8", "replace") if isinstance(value, str) else json.dumps(value).encode()


def bounded(examples: int) -> Callable[[Any], Any]:
    """So many examples, which each make requests."""
    return hypothesis.settings(
        max_examples=examples, deadline=None, database=None,
        suppress_health_check=list(HealthCheck), phases=[hypothesis.Phase.generate],
    )  # fmt: skip


def never_fails(status: int, headers: Any, text: str) -> None:
    """No 5xx but a 503 that says when to come again."""
    assert status < 500 or (status == 503 and ("retry-after" in headers or "--model-path" in text)), text


# The whole of OpenAPI


@pytest.mark.parametrize("examples", [2, pytest.param(150, marks=[pytest.mark.long, pytest.mark.timeout(3600)])])
def test_every_operation_answers_as_it_is_described(settings: Settings, examples: int) -> None:
    asyncio.run(ensure_topics(settings))
    with api_process(settings) as url, requests.Session() as session:
        schema = schemathesis.openapi.from_dict(with_cloud_events(session.get(f"{url}/openapi.json").json()))
        schema.config.update(base_url=url)
        operations: list[Any] = [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]
        operations = [one for one in operations if one.path != ENDLESS]
        assert len(operations) >= 17
        for operation in operations:
            for mode in schemathesis.GenerationMode:
                attack(operation, mode, session, examples)
        assert session.get(f"{url}/ready?for=events").status_code == 200


def with_cloud_events(document: Any) -> Any:
    """The description with every body that is taken where schemathesis looks for them."""
    for operations in document["paths"].values():
        for operation in operations.values():
            body = operation.get("requestBody", {})
            body.get("content", {}).update(body.get(CLOUD_EVENTS, {}))
    return document


def attack(operation: Any, mode: schemathesis.GenerationMode, session: requests.Session, examples: int) -> None:
    """Sound requests, or unsound ones, to one operation."""

    @bounded(examples)
    @given(case=operation.as_strategy(generation_mode=mode))
    def one(case: Any) -> None:
        response = case.call(session=session)
        never_fails(response.status_code, response.headers, response.text)
        case.validate_response(response, checks=CHECKS)

    try:
        one()
    except hypothesis.errors.Unsatisfiable:
        assert mode is schemathesis.GenerationMode.NEGATIVE  # there is nothing about it that could be wrong


# Bodies of every kind

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)  # fmt: skip
NAMES = st.sampled_from([
    "prediction_id", "model", "model_version", "timestamp", "features", "prediction", "probability", "metadata",
    "actual",
])  # fmt: skip


DEPTHS = [10, 100, 1000] * 10 + [100_000]
"""A body of the deepest is 600 KB: of a hundred thousand bodies it is to be the seldom one."""
MOST_EVENTS = 3
"""In one body."""
CHANGES = st.dictionaries(NAMES | st.text(max_size=8), ANYTHING, max_size=3)
DROPPED = st.sets(NAMES, max_size=2)
FORMS = st.sampled_from(["one", "list", "lines", "nested", "raw"])
DAMAGES = st.sampled_from(["", "", "", "cut", "byte"])


def sound(number: int) -> dict[str, Any]:
    """A prediction that nothing is wrong with; feedback, too."""
    return {
        "prediction_id": f"a{number}", "model": "nobody", "model_version": "1", "timestamp": 1_767_225_600,
        "features": {"age": 30}, "prediction": 1, "probability": 0.5, "actual": 1,
    }  # fmt: skip


@st.composite
def bodies(draw: st.DrawFn) -> bytes | int:
    """A sound event or several, with members replaced, dropped, doubled; then perhaps cut, or spoilt in a byte.

    A number is the depth of a body that is nested (see `body_of`).
    """
    events = []
    for number in range(draw(st.integers(1, MOST_EVENTS))):
        event = {**sound(number), **draw(CHANGES)}
        for name in draw(DROPPED):
            event.pop(name, None)
        events.append(json.dumps(event, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass"))
    form = draw(FORMS)
    if form == "raw":
        return draw(st.binary(max_size=200))
    if form == "nested":
        return draw(st.sampled_from(DEPTHS))
    body = events[0] if form == "one" else b"\n".join(events) if form == "lines" else b"[" + b",".join(events) + b"]"
    damage = draw(DAMAGES)
    at = draw(st.integers(0, max(0, len(body) - 1)))
    if damage == "cut":
        return body[:at]
    return body[:at] + draw(st.binary(min_size=1, max_size=1)) + body[at + 1 :] if damage else body


def body_of(drawn: bytes | int) -> bytes:
    """The body that was drawn."""
    if isinstance(drawn, bytes):
        return drawn
    return b'{"features":' + b'{"a":' * drawn + b"1" + b"}" * drawn + b"}"


KINDS = st.sampled_from([
    "application/json", LINES, "application/cloudevents+json", "application/cloudevents-batch+json", "text/plain", "",
    "é",
])  # fmt: skip
SIZES = [200, pytest.param(100_000, marks=[pytest.mark.long, pytest.mark.timeout(7200)])]
TOGETHER = 20


def together(one: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    """So many in one example."""
    return st.lists(one, min_size=TOGETHER, max_size=TOGETHER)


@pytest.mark.parametrize("size", SIZES)
async def test_no_body_makes_the_api_fail_and_all_that_it_accepts_is_in_kafka(settings: Settings, size: int) -> None:
    await ensure_topics(settings)
    accepted, doubtful = {"/predictions": 0, "/feedback": 0}, Counter[str]()
    with api_process(settings) as url, httpx.Client(base_url=url, timeout=60) as client:

        @bounded(size // TOGETHER)
        @given(together(st.tuples(st.sampled_from(sorted(accepted)), bodies(), KINDS)))
        def post(requests_: list[tuple[str, bytes | int, str]]) -> None:
            for path, drawn, kind in requests_:
                body = body_of(drawn)
                answer = client.post(path, content=body, headers=[(b"content-type", kind.encode())])
                never_fails(answer.status_code, answer.headers, answer.text)
                told = answer.json()
                if answer.status_code >= 300:
                    doubtful[path] += MOST_EVENTS * (answer.status_code == 503)  # some may have arrived
                    assert answer.headers["content-type"] == "application/problem+json"
                    assert told["detail"]
                    continue
                given_ = told.get("accepted")
                accepted[path] += events_in(body, kind) if given_ is None else given_

        await asyncio.to_thread(post)
    for topic, kind in ((PREDICTIONS, PredictionEvent), (FEEDBACK, FeedbackEvent)):
        records = await records_of(settings, topic)
        path = f"/{topic.name}"
        assert 0 < accepted[path] <= len(records) <= accepted[path] + doubtful[path]
        for record in records:
            msgspec.json.decode(record.value, type=kind)


def events_in(body: bytes, kind: str) -> int:
    """How many events a body of feedback holds that was taken whole. Members that it has none of are not read."""
    try:
        found = json.loads(body.decode("utf-8", "replace"))
    except ValueError:
        return sum(bool(line.strip()) for line in body.split(b"\n"))
    return len(found) if isinstance(found, list) else 1


@pytest.mark.parametrize("size", SIZES)
async def test_no_record_makes_the_worker_fail_and_what_is_sound_is_counted(settings: Settings, size: int) -> None:
    settings = settings.model_copy(update={"dead_letter_share": 1.0, "accept_dead_letters": True})
    await ensure_topics(settings)
    await register_model(settings)
    wanted: Truth = truth(400)
    made: list[bytes] = []

    @bounded(size // TOGETHER)
    @given(together(bodies()))
    def make(drawn: list[bytes | int]) -> None:
        made.extend(map(body_of, drawn))

    await asyncio.to_thread(make)
    await send_raw(settings, made)
    with worker(settings) as process:
        await send(settings, wanted.records)
        counts = await until_equal(settings, wanted, 60 + size / 500)
        assert counts.equal(wanted)
        assert process.poll() is None
    assert len(await records_of(settings, DEAD_LETTERS)) == len(made)  # not one of them is of a registered model


async def send_raw(settings: Settings, values: list[bytes]) -> None:
    """Into `predictions`, under the id that a value may have."""
    producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap_servers, acks="all", linger_ms=5)
    await producer.start()
    try:
        name = PREDICTIONS.full_name(settings.prefix)
        for i in range(0, len(values), 500):
            await asyncio.gather(*[await producer.send(name, value, b"a0") for value in values[i : i + 500]])
    finally:
        await producer.stop()
