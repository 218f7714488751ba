"""The API's metrics on a port of their own: for who is in the same network, without a key."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from pathlib import Path

import httpx
from prometheus_client import REGISTRY, generate_latest

from api.app import create_app
from app.access import KeyFile
from app.processes.ports import listen
from app.settings.settings import load_settings
from app.telemetry.beginnings import begin_recorder
from app.telemetry.metrics import RECORDER
from topics.registry import PREDICTIONS


async def test_metrics_need_no_key_there_and_nothing_else_is_there(tmp_path: Path) -> None:
    KeyFile(tmp_path / "api-keys.json").create("ada", ["admin"], datetime.now(UTC))
    with contextlib.closing(listen("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        app = create_app(load_settings(bootstrap_servers="127.0.0.1:1", state_dir=tmp_path), listening)
        async with app.router.lifespan_context(app), httpx.AsyncClient(trust_env=False) as client:
            at = f"http://127.0.0.1:{port}"
            told = await client.get(f"{at}/metrics")
            assert told.status_code == 200
            assert "driftline_api_ready 0.0" in told.text
            for topic in ("predictions", "feedback"):
                for outcome in ("accepted", "rejected"):
                    assert f'driftline_api_events_total{{outcome="{outcome}",topic="{topic}"}}' in told.text
            assert (await client.get(f"{at}/health")).status_code == 200
            assert (await client.get(f"{at}/ready")).status_code == 503
            for path in ("/models", "/", "/openapi.json", "/dashboard"):
                assert (await client.get(f"{at}{path}")).status_code == 404
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            assert (await client.get("/metrics")).status_code == 401


def test_what_a_recorder_loses_is_at_0_before() -> None:
    begin_recorder([PREDICTIONS])
    for name in ("driftline_recorder_lost_records_total", "driftline_recorder_dead_letter_records_total"):
        assert RECORDER.get_sample_value(name, {"topic": "predictions"}) is not None
    assert b"driftline" not in generate_latest(REGISTRY)
