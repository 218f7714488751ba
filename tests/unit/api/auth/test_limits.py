"""What a caller may send is bounded, and what is written down of it holds nothing of theirs."""

from __future__ import annotations

import asyncio
import gzip
import logging
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request

from api.auth import MAX_BODY_BYTES, AuthMiddleware
from api.http import problems
from app.access import KeyFile
from app.settings.settings import load_settings
from tests.support.keyed_api import bearer, client_of, key_of

MIB = 1 << 20
CANARY = "canary-4711"


class Held:
    """An application behind the door, whose answers wait until they are let go."""

    def __init__(self, state: Path, **more: Any) -> None:
        settings = load_settings(state_dir=state, **{"api_hosts": "api", **more})
        app = FastAPI()
        problems.install(app)
        app.add_middleware(AuthMiddleware, keys=KeyFile(state / "api-keys.json"), settings=settings)
        app.post("/predictions")(self.answer)
        app.post("/sign-in")(self.answer)
        app.post("/broken")(self.fail)
        self.arrived = asyncio.Semaphore(0)
        self.go = asyncio.Event()
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://api")

    async def answer(self, request: Request) -> int:
        size = len(await request.body())
        self.arrived.release()
        await self.go.wait()
        return size

    async def fail(self, request: Request) -> None:
        raise RuntimeError(f"what it was about: {(await request.body()).decode()}")


async def pieces(size: int, count: int, pause: float = 0.0) -> AsyncIterator[bytes]:
    for _ in range(count):
        await asyncio.sleep(pause)
        yield b"x" * size


async def test_a_body_that_is_too_large_is_413_by_what_it_announces_and_by_what_arrives(tmp_path: Path) -> None:
    held = Held(tmp_path)
    held.go.set()
    for content in (b"x" * (MAX_BODY_BYTES + 1), pieces(MIB, 17)):
        answer = await held.client.post("/predictions", content=content)
        assert answer.status_code == 413
        assert (
            answer.json()["detail"] == "the body is larger than 16 MiB; send it in parts, or a reference as its profile"
        )
    assert (await held.client.post("/predictions", content=pieces(MIB, 16))).json() == MAX_BODY_BYTES


async def test_a_body_that_does_not_come_is_408(tmp_path: Path) -> None:
    held = Held(tmp_path, body_seconds=0.05)
    answer = await held.client.post("/predictions", content=pieces(1, 100, pause=0.02))
    assert (answer.status_code, answer.headers["connection"]) == (408, "close")
    assert "0.05 s" in answer.json()["detail"]


async def test_an_answer_may_take_longer_than_the_body(tmp_path: Path) -> None:
    held = Held(tmp_path, body_seconds=0.05)
    asked = asyncio.create_task(held.client.post("/predictions", content=b"x"))
    await held.arrived.acquire()
    await asyncio.sleep(0.1)
    held.go.set()
    assert (await asked).json() == 1


async def test_what_waits_in_all_is_bounded_and_beyond_is_503_until_answers_are_given(tmp_path: Path) -> None:
    held = Held(tmp_path, api_buffer_mib=4)
    waiting = [asyncio.create_task(held.client.post("/predictions", content=b"x" * (2 * MIB))) for _ in range(2)]
    for _ in waiting:
        await held.arrived.acquire()
    for size in (1, MIB):
        answer = await held.client.post("/predictions", content=b"x" * size)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    held.go.set()
    assert [one.json() for one in await asyncio.gather(*waiting)] == [2 * MIB] * 2
    alone = await held.client.post("/predictions", content=b"x" * (8 * MIB))
    assert alone.json() == 8 * MIB
    refused = await asyncio.gather(*(held.client.post("/predictions", content=pieces(MIB, 20)) for _ in range(3)))
    assert {one.status_code for one in refused} <= {413, 503}
    assert (await held.client.post("/predictions", content=b"x" * (4 * MIB))).json() == 4 * MIB


async def test_a_key_has_its_own_rate_and_is_told_when_to_come_again(tmp_path: Path) -> None:
    keys = [key_of(tmp_path, "produce"), key_of(tmp_path, "produce")]
    held = Held(tmp_path, rate_limit="5/hour")
    held.go.set()
    statuses = [(await held.client.post("/predictions", headers=bearer(keys[0]))).status_code for _ in range(6)]
    assert statuses == [200] * 5 + [429]
    answer = await held.client.post("/predictions", headers=bearer(keys[0]))
    assert 0 < int(answer.headers["retry-after"]) <= 7200
    assert answer.json()["detail"] == "more than 5/hour requests"
    assert (await held.client.post("/predictions", headers=bearer(keys[1]))).status_code == 200


async def test_whoever_guesses_keys_is_slowed_down_and_nobody_else(tmp_path: Path) -> None:
    good = key_of(tmp_path, "produce")
    held = Held(tmp_path)
    held.go.set()
    statuses = [(await held.client.post("/predictions", headers=bearer("guess"))).status_code for _ in range(31)]
    assert statuses == [401] * 30 + [429]
    assert (await held.client.post("/predictions", headers=bearer(good))).status_code == 200


async def test_on_this_machine_nobody_is_counted(tmp_path: Path) -> None:
    held = Held(tmp_path, rate_limit="1/hour")
    held.go.set()
    assert {(await held.client.post("/predictions")).status_code for _ in range(3)} == {200}


@pytest.mark.parametrize(
    "body", [b'{"y": ' * 100_000, b'{"features": ' * 100_000, b'{"x":' + b"[" * 5000 + b"]" * 5000 + b"}"]
)
@pytest.mark.parametrize("kind", ["application/json", "application/cloudevents+json"])
async def test_a_body_that_is_nested_too_deeply_is_413(body: bytes, kind: str, tmp_path: Path) -> None:
    async with client_of(tmp_path) as client:
        for path in ("/predictions", "/feedback"):
            answer = await client.post(path, content=body, headers={"content-type": kind})
            assert answer.status_code == 413, answer.text


@pytest.mark.parametrize("path", ["/predictions", "/feedback", "/sign-in", "/silences"])
async def test_a_body_that_is_packed_is_415(path: str, tmp_path: Path) -> None:
    async with client_of(tmp_path) as client:
        answer = await client.post(path, content=gzip.compress(b"{}"), headers={"content-encoding": "gzip"})
    assert (answer.status_code, answer.headers["accept-encoding"]) == (415, "identity")
    assert answer.json()["detail"] == "content-encoding: gzip is not taken; send the body as it is"


async def test_an_unexpected_error_is_500_without_its_words_here_or_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    answer = await Held(tmp_path).client.post("/broken", content=CANARY.encode())
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert CANARY not in answer.text + caplog.text
    assert "POST /broken failed: RuntimeError at " in caplog.text


async def test_no_feature_value_key_or_session_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    key = key_of(tmp_path, "admin")
    event = {"model": "m", "model_version": "1", "features": {"x": CANARY}, "prediction": CANARY}
    bodies: list[Any] = [
        event, [event, {**event, "features": CANARY}], {**event, "timestamp": CANARY}, {**event, "probability": 7},
        {"features": {"x": CANARY}}, CANARY, {"prediction_id": CANARY, "actual": CANARY},
    ]  # fmt: skip
    async with client_of(tmp_path) as client:
        for path in ("/predictions", "/feedback", "/predict", "/silences"):
            for body in bodies:
                await client.post(path, json=body, headers=bearer(key))
                await client.post(path, json=body, headers=bearer(key + CANARY))
        await client.post("/sign-in", data={"key": key})
        await client.post("/sign-in", data={"key": CANARY})
        session = client.cookies["driftline_session"]
        await client.get("/models")
    assert "a key that is not good was given" in caplog.text
    ours = "\n".join(record.getMessage() for record in caplog.records if record.name != "httpx")
    for secret in (CANARY, key.rpartition("_")[2], session.rpartition("_")[2]):
        assert secret not in ours


def test_a_wrong_rate_names_the_setting() -> None:
    for rate in ("fast", "0/second", "1/fortnight", "1000 / second"):
        with pytest.raises(ValueError, match=r"^rate_limit: must be a number and second"):
            load_settings(rate_limit=rate)
    with pytest.raises(ValueError, match=r"^cors_origins: must be origins"):
        load_settings(cors_origins="*")


async def test_before_a_key_is_shown_nothing_costs_much(tmp_path: Path) -> None:
    key_of(tmp_path, "read")
    async with client_of(tmp_path) as client:
        for content in (b"key=" + b"x" * 8192, b"a=&" * (5 << 20), pieces(1024, 9)):
            answer = await client.post("/sign-in", content=content)
            assert (answer.status_code, answer.json()["detail"]) == (413, "the body is larger than 8 KiB")
        answer = await client.post("/sign-in", content=b"&".join([b"a=b"] * 1000))
        assert (answer.status_code, "fields" in answer.json()["detail"]) == (400, True)
        answer = await client.post("/sign-in", headers={"content-length": "9" * 5000}, content=b"x")
        assert answer.status_code == 413


async def test_what_strangers_hold_is_not_in_the_buffer_of_good_keys(tmp_path: Path) -> None:
    key = key_of(tmp_path, "produce", "read")
    held = Held(tmp_path, api_buffer_mib=1)
    asked = [asyncio.create_task(held.client.post("/sign-in", content=b"x" * 8000)) for _ in range(200)]
    for _ in asked:
        await held.arrived.acquire()
    good = asyncio.create_task(held.client.post("/predictions", content=b"x" * 1000, headers=bearer(key)))
    await asyncio.wait([good, asyncio.create_task(held.arrived.acquire())], return_when=asyncio.FIRST_COMPLETED)
    held.go.set()
    assert (await good).json() == 1000
    assert [one.json() for one in await asyncio.gather(*asked)] == [8000] * 200


async def test_a_wrong_key_in_the_form_is_counted_as_one_in_a_header(
    tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    key = key_of(tmp_path, "read")
    async with client_of(tmp_path) as client:
        statuses = [(await client.post("/sign-in", data={"key": "dlk_0_guess"})).status_code for _ in range(40)]
        assert statuses[0] == 401
        assert statuses[-1] == 429
        assert (await client.get("/models", headers=bearer("dlk_0_guess"))).status_code == 429
        assert (await client.post("/sign-in", data={"key": key})).status_code == 303
    assert sum("not good" in record.message for record in logged.records) == 1


async def test_while_a_large_body_is_decoded_others_are_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served, decoding = threading.Event(), threading.Event()
    waited: list[bool] = []

    def check(event: object) -> str:
        decoding.set()
        waited.append(served.wait(20))
        return "prediction: this is a test"

    monkeypatch.setattr("api.routes.predictions.wrong_prediction", check)
    event = b'{"model":"m","model_version":"1","features":{"a":"%s"},"prediction":1}' % (b"x" * 300_000)
    async with client_of(tmp_path) as client:
        asked = asyncio.create_task(client.post("/predictions", content=event))
        assert await asyncio.to_thread(decoding.wait, 20)
        assert (await client.get("/health")).status_code == 200
        served.set()
        assert (await asked).status_code == 422
    assert waited == [True]


async def test_a_body_with_two_lengths_is_refused(tmp_path: Path) -> None:
    async with client_of(tmp_path) as client:
        headers = {"content-length": "2", "transfer-encoding": "chunked"}
        answer = await client.post("/predictions", content=b"{}", headers=headers)
        assert (answer.status_code, answer.headers["connection"]) == (400, "close")


async def test_a_path_is_in_the_log_without_control_characters(
    tmp_path: Path, logged: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr("api.auth.middleware.check_length", fail)
    async with client_of(tmp_path) as client:
        assert (await client.get("/models/a%0A%1B[31mERROR")).status_code == 500
    (record,) = [
        record for record in logged.records if "failed" in record.message and record.name == "api.auth.middleware"
    ]
    assert record.message.isprintable()
