"""The stream of events and what it points at, from a served API and a real Kafka."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx
import msgspec
import pytest
import uvicorn

from api.app import create_app
from api.server import Server
from app.kafka.producer import Producer
from app.processes.ports import listen
from app.settings.settings import Settings, load_settings
from tests.support.stream import register_model
from topics.events import AlertEvent, DriftReport, Event, FeatureDrift, MonitorReport, Shape
from topics.registry import ALERTS, REPORTS

END = datetime(2026, 1, 1, tzinfo=UTC)


@contextlib.asynccontextmanager
async def served(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """The API as a server of its own, in this process; it is stopped as a signal would stop it."""
    with listen("127.0.0.1", 0) as listening:
        app = create_app(settings)
        server = Server(uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=20))
        running = asyncio.create_task(server.serve([listening]))
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        try:
            async with httpx.AsyncClient(base_url=address, timeout=30, trust_env=False) as client:
                client.app = app  # type: ignore[attr-defined]
                yield client
                server.should_exit = True
                await asyncio.wait_for(running, 5)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


class Reader:
    """Reads events one by one, heartbeats aside."""

    def __init__(self, response: httpx.Response) -> None:
        self._lines = response.aiter_lines()
        self.heartbeats: list[dict[str, Any]] = []

    async def next(self) -> tuple[str, str, dict[str, Any]]:
        """Kind, id and data of the next event."""
        fields: dict[str, str] = {}
        async for line in self._lines:
            if line:
                name, _, value = line.partition(": ")
                fields[name] = value
            elif fields.get("event") == "heartbeat":
                self.heartbeats.append(json.loads(fields["data"]))
                fields = {}
            elif "event" in fields:
                return fields["event"], fields["id"], json.loads(fields["data"])
        raise EOFError("the stream has ended")


async def publish(settings: Settings, *events: Event) -> None:
    async with Producer(settings) as producer:
        for event in events:
            topic = ALERTS if isinstance(event, AlertEvent) else REPORTS
            await producer.send(topic, b"key", msgspec.json.encode(event))


async def until(client: httpx.AsyncClient, path: str, name: str) -> None:
    """Return once an answer has something under a name."""
    while not (answer := await client.get(path)).is_success or not answer.json()[name]:  # noqa: ASYNC110
        await asyncio.sleep(0.05)


async def test_changes_arrive_and_a_reader_that_comes_back_is_told_only_what_it_missed(settings: Settings) -> None:
    async with asyncio.timeout(60), served(settings) as client:
        async with client.stream("GET", "/events") as response:
            assert response.headers["content-type"].startswith("text/event-stream")
            assert not {"content-encoding", "etag", "vary"} & response.headers.keys()
            reader = Reader(response)
            kind, _, data = await reader.next()
            assert (kind, data["models"]) == ("state", [])
            await register_model(settings)
            kind, _, data = await reader.next()
            assert (kind, [(m["model"], m["state"]) for m in data["models"]]) == ("changed", [("stream", "waiting")])
            await publish(settings, a_report())
            kind, seen, data = await reader.next()
            assert (kind, [(m["model"], m["state"]) for m in data["models"]]) == ("changed", [("stream", "drifting")])
        answer = await client.get("/ready")
        assert (answer.status_code, "no worker has reported yet" in answer.text) == (503, True)
        stands = (await client.get("/ready?for=events")).json()
        assert (stands["status"], stands["workers"], stands["unheard"][:9]) == ("ready", 0, "no worker")
        taken = await client.post("/feedback", json={"prediction_id": "p1", "actual": 1})
        assert taken.is_success
        await publish(settings, an_alert(), a_monitor_report())
        await until(client, "/monitor", "workers")
        stands = (await client.get("/ready")).json()
        assert (stands["status"], stands["workers"], stands["lag"]) == ("ready", 1, a_monitor_report().lag)
        assert stands["unheard"] == ""
        await until(client, "/alerts", "alerts")
        head = await client.head("/events")
        assert (head.status_code, head.content, head.headers["x-accel-buffering"]) == (200, b"", "no")
        assert not {"content-encoding", "etag"} & head.headers.keys()
        while client.app.state.services.streams:  # type: ignore[attr-defined]  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        async with client.stream("GET", "/events", headers={"Last-Event-ID": seen}) as response:
            kind, _, data = await Reader(response).next()
            assert (kind, data["lists"]) == ("changed", ["alerts", "monitor"])
            assert [(m["model"], m["state"]) for m in data["models"]] == [("stream", "alerting")]
        for other in ("f00d-1", "nonsense"):
            async with client.stream("GET", "/events", params={"since": other}) as response:
                assert (await Reader(response).next())[0] == "state"


async def test_a_server_that_stops_ends_its_streams_at_once(settings: Settings) -> None:
    async with asyncio.timeout(60), contextlib.AsyncExitStack() as reading:
        async with served(settings) as client:
            response = await reading.enter_async_context(client.stream("GET", "/events"))
            reader = Reader(response)
            await reader.next()
            ended = asyncio.create_task(reader.next())
            await asyncio.sleep(0)
        # leaving has stopped the server within seconds, though the reader was still there
        with pytest.raises(EOFError):
            await ended


async def test_without_a_broker_the_stream_says_what_is_wrong() -> None:
    async with asyncio.timeout(30), served(load_settings(bootstrap_servers="127.0.0.1:9")) as client:
        async with client.stream("GET", "/events") as response:
            lines = response.aiter_lines()
            data = [line async for line in _until_blank(lines, 2) if line.startswith("data: ")]
        assert json.loads(data[0].removeprefix("data: "))["trouble"]


async def _until_blank(lines: AsyncIterator[str], blanks: int) -> AsyncIterator[str]:
    async for line in lines:
        blanks -= not line
        if not blanks:
            return
        yield line


async def test_a_feature_is_told_by_its_name_and_silences_are_told_beside_alerts(settings: Settings) -> None:
    async with asyncio.timeout(60), served(settings) as client:
        await register_model(settings)
        await publish(settings, a_report(), an_alert())
        await until(client, "/alerts", "alerts")
        await until(client, "/models/stream/1/timeline", "ends")
        told = (await client.get("/models/stream/1/features/size%2Fm%20%C3%B6", params={"end": END.isoformat()})).json()
        assert (told["found"]["name"], told["found"]["shape"]["at"]) == ("size/m ö", [1.0, 2.0])
        (column,) = (await client.get("/models/stream/1/features")).json()["columns"]
        assert (column["found"]["name"], column["since"]) == ("size/m ö", "2026-01-01T00:00:00Z")
        for path, words in (
            ("features/nothing", "no feature 'nothing'"), ("features?end=2020-01-01T00:00:00Z", "no window with"),
        ):  # fmt: skip
            answer = await client.get(f"/models/stream/1/{path}")
            assert (answer.status_code, words in answer.json()["detail"]) == (404, True)
        assert (await client.get("/models/stream/1/features?end=2020-01-01T00:00:00")).status_code == 422
        odd = ("50% off? #1 ü&+", "1.0 rc%2F1;=")
        await publish(settings, msgspec.structs.replace(a_report(), model=odd[0], model_version=odd[1]))
        place = "/models/" + "/".join(quote(name, safe="") for name in odd)
        await until(client, f"{place}/timeline", "ends")
        for path in ("", "/drift", "/performance", "/alerts", "/features", "/features/size%2Fm%20%C3%B6"):
            assert (await client.get(place + path)).status_code == 200
        assert (await client.get(place)).json()["model_version"] == odd[1]
        (alert,) = (await client.get("/alerts", params={"status": "firing"})).json()["alerts"]
        assert (alert["silenced_by"], alert["evidence"]) == (None, {"value": 0.5})
        silence = {
            "matchers": ["model=stream", "rule=data_drift"],
            "comment": "known",
            "created_by": "me",
            "seconds": 60,
        }
        made = (await client.post("/silences", json=silence)).json()
        (alert,) = (await client.get("/alerts", params={"model": "stream"})).json()["alerts"]
        assert alert["silenced_by"] == made["silence_id"]
        none = {"total": 0, "alerts": [], "next": None}
        assert (await client.get("/alerts", params={"model": "other"})).json() == none


def a_report() -> DriftReport:
    size = FeatureDrift(
        name="size/m ö", kind="numeric", test="ks", statistic=0.5, p_value=1e-9, threshold=0.1, effect=True,
        significant=True, drifted=True, n=900, missing=0, invalid=0, unseen=0, out_of_range=0, error_bound=0.0,
        reference="median 1", current="median 2", direction="higher", unseen_names={},
        shape=Shape(at=(1.0, 2.0), reference=(0.5, 1.0), current=(0.0, 1.0)),
    )  # fmt: skip
    return DriftReport(
        model="stream", model_version="1", profile_id="p", window_start=END - timedelta(minutes=5), window_end=END,
        revision=1, n=900, sufficient=True, emitted_at=END, drift_detected=True, drift_share=1.0, drift_threshold=0.3,
        drifted_features=("size/m ö",), prediction_drift=False, features=(size,), prediction=None, probability=None,
        missing_share=0.0, unknown_features={},
    )  # fmt: skip


def an_alert() -> AlertEvent:
    return AlertEvent(
        alert_id="1", fingerprint="f", status="firing", level="error", rule="data_drift", title="t", message="m",
        labels={"model": "stream", "model_version": "1", "rule": "data_drift"}, started_at=END, ended_at=None,
        evidence={"value": 0.5}, links={}, emitted_at=END,
    )  # fmt: skip


def a_monitor_report() -> MonitorReport:
    now = datetime.now(UTC)
    return MonitorReport(
        model="driftline", model_version="group", profile_id="", window_start=now - timedelta(seconds=15),
        window_end=now, revision=1, n=10, sufficient=True, emitted_at=now, worker="w", lag={"predictions": 3},
        behind_seconds=1.0, dead_letters={"not JSON": 2},
    )  # fmt: skip
