"""Kafka goes away under a running API, and comes back: nothing is said to be accepted that is not there or kept."""

from __future__ import annotations

import asyncio
import signal
import stat
import sys
from asyncio.subprocess import Process
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from app.local.kafka_jar_process import start_from_jars
from app.local.kafka_probe import free_ports
from app.settings.settings import load_settings
from tests.support.api_process import answered, ready
from tests.support.kafka_topics import values_by_partition
from tests.support.served_model import OLD, YOUNG, save_model
from topics.events import PredictionEvent, ServedEvent
from topics.registry import PREDICTIONS, SERVED

SERVE = "from api.server import serve; from app.settings.settings import load_settings; serve(load_settings())"


def an_event(number: int) -> dict[str, object]:
    return {"prediction_id": str(number), "model": "m", "model_version": "1", "features": {"age": 1}, "prediction": 1}


async def emptied(client: httpx.AsyncClient) -> dict[str, float]:
    """What is said of the spool once nothing waits in it."""
    async with asyncio.timeout(60):
        while True:
            spool: dict[str, float] = (await answered(client, "/ready?for=predict")).json()["spool"]
            if not spool["events"]:
                return spool
            await asyncio.sleep(0.1)  # another process: it tells nobody


def files(folder: Path) -> tuple[set[int], int]:
    """The modes of the files in a folder, and the bytes that they have together."""
    about = [path.stat() for path in folder.iterdir()]
    return {stat.S_IMODE(one.st_mode) for one in about}, sum(one.st_size for one in about)


async def post(client: httpx.AsyncClient, number: int) -> httpx.Response:
    return await client.post("/predictions", json=an_event(number))


async def predicted(client: httpx.AsyncClient, name: str | None, row: dict[str, Any] = OLD) -> dict[str, Any]:
    answer = await client.post("/predict", json={"features": row} | ({} if name is None else {"request_id": name}))
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def started() -> Process:
    return await asyncio.create_subprocess_exec(sys.executable, "-c", SERVE)


@pytest.mark.timeout(120)
@pytest.mark.usefixtures("java")
async def test_a_broker_that_goes_and_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kafka_port, api_port = free_ports(2)
    broker = start_from_jars(tmp_path / "kafka", port=kafka_port)
    settings = load_settings(bootstrap_servers=broker.bootstrap_servers, api_port=api_port)
    folder = tmp_path / "state" / "spool"
    for name, value in {
        "BOOTSTRAP_SERVERS": broker.bootstrap_servers, "API_PORT": api_port, "STATE_DIR": tmp_path / "state",
        "MODEL_PATH": save_model(tmp_path / "model"), "WHEN_UNRECORDED": "spool", "SPOOL_MIB": 1,
    }.items():  # fmt: skip
        monkeypatch.setenv(f"DRIFTLINE_{name}", str(value))
    api = await started()
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{api_port}", timeout=60) as client:
            await ready(client)
            assert (await post(client, 1)).status_code == 202
            told = {"before": await predicted(client, "before")}
            broker.stop()
            gone = asyncio.gather(*(post(client, number) for number in range(2, 12)))
            told |= await while_it_is_away(client, told["before"], folder)
            assert {answer.status_code for answer in await gone} == {503}
            assert {answer.headers["retry-after"] for answer in await gone} == {"5"}
            assert (await client.get("/health")).status_code == 200
            api.kill()
            await api.wait()
            newest = max(folder.glob("*.spool"))
            with newest.open("ab") as file:
                file.write(newest.read_bytes()[:50])  # the line that it was writing
            broker = start_from_jars(tmp_path / "kafka", port=kafka_port)
            api = await started()
            await ready(client)
            spool = await emptied(client)
            assert (spool["bytes"], spool["torn"], spool["lost"], spool["sent"]) == (0, 1, 0, len(told) - 1)
            assert files(folder) == (set(), 0)
            assert (await post(client, 12)).status_code == 202
            assert await predicted(client, "in turn 0", YOUNG) == told["in turn 0"]
        check(await values_by_partition(settings, PREDICTIONS), told)
        (claims,) = await values_by_partition(settings, SERVED)
        check_claims([msgspec.json.decode(claim, type=ServedEvent) for claim in claims], told)
        api.send_signal(signal.SIGTERM)
        await asyncio.wait_for(api.wait(), 20)
    finally:
        if api.returncode is None:
            api.kill()
            await api.wait()
        broker.stop()


async def while_it_is_away(
    client: httpx.AsyncClient, before: dict[str, Any], folder: Path
) -> dict[str, dict[str, Any]]:
    """Predict while Kafka is away; the answers by id."""
    twice = await asyncio.gather(*(predicted(client, "at once") for _ in range(4)))
    assert all(one == twice[0] for one in twice)
    told = {"at once": twice[0]} | {f"in turn {i}": await predicted(client, f"in turn {i}", YOUNG) for i in range(8)}
    nameless = await predicted(client, None)
    told[nameless["prediction_id"]] = nameless
    assert await predicted(client, "in turn 0", YOUNG) == told["in turn 0"]
    other = await client.post("/predict", json={"features": OLD, "request_id": "in turn 0"})
    assert other.status_code == 409
    large = {"features": OLD, "request_id": "large", "metadata": {"note": "x" * 700_000}}
    answers = [await client.post("/predict", json={**large, "request_id": name}) for name in ("large", "too much")]
    assert [answer.status_code for answer in answers] == [200, 503]
    assert "is full" in answers[1].json()["detail"]
    assert answers[1].headers["retry-after"] == "5"
    told["large"] = answers[0].json()
    told["too much"] = await predicted(client, "too much", YOUNG)  # its id was free
    refused, ready_to_predict = await asyncio.gather(*(client.get(f"/ready{of}") for of in ("", "?for=predict")))
    assert (refused.status_code, ready_to_predict.status_code) == (503, 200)
    spool = ready_to_predict.json()["spool"]
    assert refused.json()["spool"]["events"] == spool["events"] == spool["kept"] == len(told)
    assert (spool["refused"], spool["max_bytes"]) == (1, 1 << 20)
    assert 0 < spool["oldest_seconds"] < 120
    assert files(folder) == ({0o600}, spool["bytes"])
    assert f"driftline_api_spool_events {float(len(told))}" in (await client.get("/metrics")).text
    assert (
        await predicted(client, "before") == before
    )  # its prediction is kept once more, as a repeat is sent once more
    return told | {"before again": before}


def check_claims(claims: list[ServedEvent], told: dict[str, dict[str, Any]]) -> None:
    """What any API answers to an id from now on is what was answered."""
    first: dict[str, ServedEvent] = {}
    for claim in claims:
        first.setdefault(claim.prediction_id, claim)
    named = {name: answer for name, answer in told.items() if name == answer["prediction_id"] and " " in name}
    assert len(named) >= 9
    for name, answer in named.items():
        assert first[name].timestamp == datetime.fromisoformat(answer["timestamp"])


def check(values: list[list[bytes]], told: dict[str, dict[str, Any]]) -> None:
    """Each prediction is there as it was answered, and within its partition in its turn."""
    partitions = [[msgspec.json.decode(value, type=PredictionEvent) for value in run] for run in values]
    by_id: dict[str, list[PredictionEvent]] = {}
    for event in (event for partition in partitions for event in partition):
        by_id.setdefault(event.prediction_id, []).append(event)
    answers = {answer["prediction_id"]: answer for answer in told.values()}
    assert set(by_id) == {"1", "12", *answers}
    for name, answer in answers.items():
        assert {(event.prediction, event.probability) for event in by_id[name]} == {
            (answer["prediction"], answer["probability"])
        }
        assert {event.timestamp for event in by_id[name]} == {datetime.fromisoformat(answer["timestamp"])}
    for partition in partitions:
        turns = dict.fromkeys(e.prediction_id for e in partition if e.prediction_id.startswith("in turn"))
        assert list(turns) == sorted(turns)
