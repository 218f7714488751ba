"""KServe's inference logger and CloudEvents through the API into a real Kafka."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pandas as pd
import pytest
from aiokafka import ConsumerRecord

from api.inference.pairing import REQUEST, RESPONSE
from app.registration import register
from app.runtime.settings import Settings
from app.runtime.topic_admin import ensure_topics
from tests.integration.test_api import client_of, ready, records_of
from topics.events import PredictionEvent
from topics.registry import DEAD_LETTERS, PREDICTIONS

REFERENCE = pd.DataFrame({"age": range(40), "plan": ["basic", "gold"] * 20, "prediction": [0, 1] * 20})


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    await ensure_topics(settings)
    await register(settings, "churn", "3", REFERENCE)
    async with client_of(settings.model_copy(update={"pairing_seconds": 0.2})) as client:
        await ready(client)
        yield client


async def post(client: httpx.AsyncClient, kind: str, number: str, data: object, **more: Any) -> httpx.Response:
    """As the logger does: binary mode."""
    headers = {
        "ce-specversion": "1.0", "ce-id": number, "ce-type": kind, "ce-source": "http://localhost:9081/",
        "ce-time": "2026-01-01T00:00:00Z", "ce-inferenceservicename": "churn", "ce-namespace": "default",
        "content-type": "application/json", **more,
    }  # fmt: skip
    content = json.dumps(data).encode()
    return await client.post("/predictions", params={"model_version": "3"}, content=content, headers=headers)


async def test_pairs_become_predictions_and_what_finds_no_other_half_a_dead_letter(
    client: httpx.AsyncClient, settings: Settings
) -> None:
    instances, answered = {"instances": [[30, "gold"], {"age": 31, "plan": "basic"}]}, {"predictions": [1, 0]}
    answer = await post(client, RESPONSE, "a", answered)
    assert (answer.status_code, answer.json()) == (202, {"accepted": 0, "rejected": [], "waiting": 1})
    answer = await post(client, REQUEST, "a", instances)
    assert (answer.status_code, answer.json()) == (202, {"accepted": 2, "rejected": []})
    assert (await post(client, REQUEST, "alone", instances)).json()["waiting"] == 1
    assert (await post(client, REQUEST, "b", {"instances": [[1]]})).json()["waiting"] == 1
    spoilt = await post(client, RESPONSE, "b", {"predictions": [1]})
    assert (spoilt.status_code, spoilt.json()["detail"]) == (422, "instances[0]: 1 values for 2 features")

    found = [msgspec.json.decode(one.value, type=PredictionEvent) for one in await records_of(settings, PREDICTIONS)]
    assert {one.prediction_id: (one.model, one.features, one.prediction) for one in found} == {
        "a-0": ("churn", {"age": 30.0, "plan": "gold"}, 1.0), "a-1": ("churn", {"age": 31.0, "plan": "basic"}, 0.0),
    }  # fmt: skip
    letters: list[ConsumerRecord] = []
    while len(letters) < 3:
        letters = await records_of(settings, DEAD_LETTERS)
    reasons = {(one.key, dict(one.headers)["driftline-reason"].decode()) for one in letters}
    assert reasons == {
        (b"b", "request: instances[0]: 1 values for 2 features"),
        (b"b", "response: instances[0]: 1 values for 2 features"),
        (b"alone", "request: its response has not come within 0.2 s"),
    }
    alone = next(one for one in letters if one.key == b"alone")
    assert json.loads(alone.value) == instances
    assert dict(alone.headers)["ce_type"].decode() == REQUEST


async def test_a_batch_may_hold_predictions_and_halves(client: httpx.AsyncClient, settings: Settings) -> None:
    common = {"specversion": "1.0", "source": "s", "inferenceservicename": "churn"}
    event = {"model": "churn", "model_version": "3", "features": {"age": 1}, "prediction": 1}
    batch = [
        {**common, "id": "x", "type": REQUEST, "data": {"instances": [[5, "gold"]]}},
        {**common, "id": "y", "type": "prediction", "data": event},
        {**common, "id": "z", "type": "prediction", "data": {}},
        {**common, "id": "x", "type": RESPONSE, "data": {"predictions": [0]}},
        {**common, "id": "w", "type": RESPONSE, "data": {"predictions": [0]}},
    ]
    headers = {"content-type": "application/cloudevents-batch+json"}
    answer = await client.post("/predictions?model_version=3", content=json.dumps(batch), headers=headers)
    assert answer.status_code == 202
    rejected = [{"index": 2, "error": "data: model: missing"}]
    assert answer.json() == {"accepted": 2, "rejected": rejected, "waiting": 1}
    assert {one.key for one in await records_of(settings, PREDICTIONS)} == {b"x", b"y"}
