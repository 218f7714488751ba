"""Clients that others' generators make of docs/openapi.json work with a real API: `make test-generators`."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from pathlib import Path

import httpx
import msgspec
import pytest

from app.kafka.topics import ensure_topics
from app.settings.settings import Settings
from tests.support.api_process import api_process
from tests.support.kafka_topics import records_of
from tests.support.paths import DOCS
from topics.events import PredictionEvent
from topics.registry import PREDICTIONS

pytestmark = [pytest.mark.generators, pytest.mark.usefixtures("direct")]
DOCUMENT = DOCS / "openapi.json"
FORBIDDEN = ("was not created", "Traceback", "Error(s)")


def made(command: str, *arguments: str | Path) -> str:
    """What a generator, or a program that uses what it made, prints."""
    done = subprocess.run(
        [Path(os.environ["GENERATORS"]) / command, *arguments], capture_output=True, text=True, check=False, timeout=150
    )
    assert done.returncode == 0, done.stderr + done.stdout
    assert not any(words in done.stdout for words in FORBIDDEN), done.stdout
    return done.stdout


async def test_generated_clients_send_and_read(settings: Settings, tmp_path: Path) -> None:
    package = tmp_path / "generated"
    said = made("openapi-python-client", "generate", "--path", DOCUMENT, "--meta", "none", "--output-path", package)
    assert {line for line in said.splitlines() if line.startswith(("WARNING", "Unsupported"))} <= {
        "WARNING parsing POST /predict within serving.", "WARNING parsing POST /predictions within events.",
        "WARNING parsing POST /feedback within events.", "Unsupported content type application/x-ndjson",
    }  # fmt: skip
    made(
        "datamodel-codegen", "--input", DOCUMENT, "--input-file-type", "openapi", "--target-python-version", "3.11",
        "--output-model-type", "pydantic_v2.BaseModel", "--output", tmp_path / "models_of_openapi.py",
    )  # fmt: skip
    await ensure_topics(settings)
    with api_process(settings) as url:
        client = json.loads(await asyncio.to_thread(made, "python", program("generated_client"), tmp_path, url))
        models = json.loads(await asyncio.to_thread(made, "python", program("generated_models"), tmp_path, url))
        async with httpx.AsyncClient(base_url=url) as http:
            health, alerts = (await http.get("/health")).json(), (await http.get("/alerts")).json()
    assert client["health"] == ["Health", health] == ["Health", models["health"]]
    assert client["alerts"] == ["AllAlerts", alerts] == ["AllAlerts", models["alerts"]]
    assert (client["one"][1]["accepted"], client["more"][1]["accepted"], client["truth"][0]) == (1, 2, "Recorded")
    assert models["accepted"]["accepted"] == 1
    assert client["models"][1] == models["models"]
    sent = [
        msgspec.json.decode(record.value, type=PredictionEvent) for record in await records_of(settings, PREDICTIONS)
    ]
    assert {event.prediction_id for event in sent} == {"generated-1", "generated-2", "generated-3", "modelled-1"}
    assert all(event.features == {"age": 30, "plan": None} for event in sent)


def program(name: str) -> Path:
    return Path(__file__).with_name(f"{name}.py")
