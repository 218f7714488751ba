"""The Compose file as it is, from the image as it is built: events in by HTTP, a report and the history out."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from app.local.kafka_docker import COMPOSE_FILE
from app.local.kafka_probe import free_ports
from app.settings.settings import load_settings
from tests.containers.engine import Engine
from tests.support.paths import ROOT
from tests.support.stream import MODEL, VERSION, frame, register_model

pytestmark = [pytest.mark.containers, pytest.mark.timeout(1200)]
ROWS = 400
OURS = ("worker", "recorder", "api")


@dataclass(frozen=True)
class Project:
    """The Compose file's services, with ports of their own."""

    engine: Engine
    command: tuple[str, ...]
    environment: dict[str, str]
    broker: int
    api: int

    def compose(self, *arguments: str) -> str:
        """Run a command of Compose. Returns what it prints."""
        done = subprocess.run(
            [*self.command, *arguments], env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, timeout=600, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-4000:]
        return done.stdout

    def container(self, service: str) -> str:
        """Return the container of a service."""
        return self.compose("ps", "-q", service).strip().splitlines()[-1]


@contextmanager
def project(engine: Engine, folder: Path) -> Iterator[Project]:
    """Run the Compose file under a name of its own."""
    file = folder / COMPOSE_FILE
    described = yaml.safe_load((ROOT / COMPOSE_FILE).read_text())
    del described["name"]  # Compose 1 does not know it; the name is given below
    file.write_text(yaml.safe_dump(described))
    broker, api = free_ports(2)
    environment = {
        **engine.environment, "DRIFTLINE_BROKER_PORT": str(broker), "DRIFTLINE_API_PORT": str(api),
        "DRIFTLINE_HISTORY_PASSWORD": uuid.uuid4().hex, "COMPOSE_DOCKER_CLI_BUILD": "0",
    }  # fmt: skip
    command = (*_compose(engine), "-p", f"driftline-test-{uuid.uuid4().hex[:8]}",
               "--project-directory", str(ROOT), "-f", str(file))  # fmt: skip
    found = Project(engine, command, environment, broker, api)
    try:
        found.compose("up", "-d", "--no-build")
        yield found
    finally:
        found.compose("down", "-v", "-t", "20")


def _compose(engine: Engine) -> tuple[str, ...]:
    if "version" in engine.run("compose", "version", check=False).lower():
        return ("docker", "compose")
    if shutil.which("docker-compose") is None:
        pytest.skip("no Compose (on Debian: docker-compose)")
    return ("docker-compose",)


def until(seen: Callable[[], Any], logs: Callable[[], str]) -> Any:
    """Ask until there is something."""
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        found = seen()
        if found:
            return found
        time.sleep(0.2)
    raise AssertionError(logs()[-6000:])


def test_the_compose_file_watches_a_model_and_keeps_its_history(
    containers: Engine, image: str, tmp_path: Path, direct: None
) -> None:
    with project(containers, tmp_path) as found, httpx.Client(base_url=f"http://127.0.0.1:{found.api}") as client:

        def logs() -> str:
            return found.compose("logs", "--no-color", "--tail", "40")

        def asked(path: str) -> Any:
            try:
                answer = client.get(path, timeout=10)
            except httpx.TransportError:
                return None
            return answer.json() if answer.status_code == 200 else None

        until(lambda: asked("/ready"), logs)
        settings = load_settings(bootstrap_servers=f"127.0.0.1:{found.broker}", state_dir=tmp_path / "state")
        asyncio.run(register_model(settings))
        now = time.time()
        rows = frame(ROWS, seed=3).to_dict("records")
        events = [
            {
                "prediction_id": f"c-{i}", "model": MODEL, "model_version": VERSION, "timestamp": now - 1200 + i,
                "features": {"size": row["size"], "colour": row["colour"]},
                "prediction": row["prediction"], "probability": row["probability"],
            }
            for i, row in enumerate(rows)
        ]  # fmt: skip
        truths = [{"prediction_id": f"c-{i}", "actual": row["target"]} for i, row in enumerate(rows)]
        for path, sent in (("/predictions", events), ("/feedback", truths)):
            answer = client.post(path, json=sent, timeout=30)
            assert answer.is_success, answer.text
        reports = until(lambda: (asked(f"/models/{MODEL}/{VERSION}/drift") or {}).get("reports"), logs)
        assert 0 < reports[-1]["n"] <= ROWS
        known = until(lambda: asked(f"/history/predictions?model={MODEL}&prediction_id=c-{ROWS - 1}"), logs)
        assert str(rows[-1]["target"]) in json.dumps(known)

        for service in OURS:
            described = json.loads(containers.run("inspect", found.container(service)))[0]
            assert described["HostConfig"]["ReadonlyRootfs"], service
            assert described["HostConfig"]["CapDrop"] == ["ALL"], service
            assert described["State"]["Running"], service
            assert described["RestartCount"] == 0, service
            said = containers.run("exec", found.container(service), "sh", "-c", "id -u; touch /opt/x 2>&1", check=False)
            assert said.startswith("10001"), said
            assert "Read-only file system" in said, said


def test_tests_that_ask_for_kafka_get_the_one_of_the_compose_file(containers: Engine, tmp_path: Path) -> None:
    environment = {**containers.environment, "TESTCONTAINERS_RYUK_DISABLED": "true"}
    kept = {name: value for name, value in environment.items() if not name.startswith(("DRIFTLINE_", "PYTEST_"))}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly",
         "tests/integration/test_transport.py", "tests/integration/test_topic_admin.py"],
        cwd=ROOT, env=kept, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:]
    assert " passed" in done.stdout
    assert containers.run("ps", "-q", "--filter", "ancestor=apache/kafka:4.3.0") == ""  # it is stopped with its tests
