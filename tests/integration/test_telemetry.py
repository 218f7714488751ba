"""A worker's metrics and probes, and the API's, with a real Kafka and a stream whose every count is known."""

from __future__ import annotations

import asyncio

import msgspec

from app.kafka.topics import ensure_topics
from app.local.kafka_probe import free_ports
from app.settings.settings import Settings
from tests.support.api import EVENT, client_of, ready
from tests.support.metrics import samples
from tests.support.stream import MODEL, VERSION, differences, register_model, send, truth, until_equal, worker
from tests.support.waiting import answers
from tests.support.worker_process import log_of
from topics.registry import FEEDBACK, PREDICTIONS


async def test_a_worker_tells_what_it_has_done_and_that_it_is_ready(settings: Settings) -> None:
    (port,) = free_ports(1)
    settings = settings.model_copy(update={"metrics_port": port})
    await ensure_topics(settings)
    await register_model(settings)
    wanted = truth(2000)
    with worker(settings):
        state = (await answers(f"http://127.0.0.1:{port}/ready", 200)).json()
        assert (state["status"], state["recovery"]) == ("ready", {"read": 0, "records": 0}), state
        assert state["partitions"]["predictions"] == settings.partitions
        first = samples((await answers(f"http://127.0.0.1:{port}/metrics", 200)).text)
        for topic in ("predictions", "feedback", "panes", "reports"):
            assert first["driftline_dead_letter_records_total", topic] == 0
        assert first["driftline_deliveries_total", "file", "failed"] == 0
        await send(settings, [(PREDICTIONS.name, b"x", b"no json"), *wanted.records])
        counts = await until_equal(settings, wanted, 60)
        assert counts.equal(wanted), differences(counts, wanted) + log_of(settings)
        text = (await answers(f"http://127.0.0.1:{port}/metrics", 200)).text
        state = (await answers(f"http://127.0.0.1:{port}/ready", 200)).json()
        assert (await answers(f"http://127.0.0.1:{port}/health", 200)).json() == {"status": "healthy"}
    found = samples(text)
    sent = {name: sum(topic == name for topic, _, _ in wanted.records) for name in (PREDICTIONS.name, FEEDBACK.name)}
    beats_and_broken = settings.partitions + 1
    assert found["driftline_records_read_total", "predictions"] == sent["predictions"] + beats_and_broken
    assert found["driftline_records_read_total", "feedback"] == sent["feedback"]
    assert found["driftline_dead_letters_total", "malformed JSON", "predictions"] == 1
    assert found["driftline_dead_letter_records_total", "predictions"] == 1
    assert found["driftline_lag_records", "0", "predictions"] == 0
    assert state["lag"]["predictions"] == state["lag"]["feedback"] == 0
    assert found["driftline_pane_latency_seconds_count",] > 0
    assert found["driftline_reports_total", "drift"] >= len(wanted.panes)
    newest = max(report.window_end for (kind, _), report in counts.reports.items() if kind == "drift")
    last = counts.reports["drift", newest.timestamp()]
    assert found["driftline_window_predictions", MODEL, VERSION] == last.n
    assert found["process_resident_memory_bytes",] > 1e6


async def test_a_port_that_is_taken_is_named_at_once(settings: Settings) -> None:
    (port,) = free_ports(1)
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", port)
    async with server:
        with worker(settings.model_copy(update={"metrics_port": port})) as process:
            status = await asyncio.to_thread(process.wait, 60)
    assert status == 78
    assert f"cannot listen on 127.0.0.1:{port}" in log_of(settings)
    assert "DRIFTLINE_METRICS_PORT" in log_of(settings)


async def test_the_api_tells_of_its_requests(settings: Settings) -> None:
    async with client_of(settings) as client:
        await ready(client)
        before = samples((await client.get("/metrics")).text)
        body = msgspec.json.encode([EVENT, {**EVENT, "timestamp": "never"}])
        await client.post("/predictions", content=body, headers={"content-type": "application/json"})
        await client.get("/models/no/such")
        await client.get("/nowhere")
        answer = await client.get("/metrics")
    after = samples(answer.text)
    new = {key: value - before.get(key, 0.0) for key, value in after.items()}
    assert answer.headers["content-type"].startswith("text/plain")
    assert new["driftline_api_requests_total", "POST", "/predictions", "202"] == 1
    assert new["driftline_api_request_seconds_count", "POST", "/predictions"] == 1
    assert new["driftline_api_request_bytes_total", "/predictions"] == len(body)
    assert new["driftline_api_events_total", "accepted", "predictions"] == 1
    assert new["driftline_api_events_total", "rejected", "predictions"] == 1
    assert new["driftline_api_requests_total", "GET", "unknown", "404"] >= 1
    assert after["driftline_api_ready",] == 1
