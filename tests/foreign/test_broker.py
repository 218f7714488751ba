"""Kafka from PyPI, on a PATH without Java, Maven and Docker: `make test-broker`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from app.kafka.topics import NamedTopic, ensure_topics
from app.local.kafka_jars import is_whole
from app.settings.settings import load_settings
from tests.support.paths import ROOT

pytestmark = [pytest.mark.broker, pytest.mark.timeout(900)]  # the jars come over the network


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """The environment of a machine with Python and a shell alone, and nothing in its cache."""
    commands = tmp_path / "bin"
    commands.mkdir()
    shell = shutil.which("sh")
    assert shell is not None
    (commands / "sh").symlink_to(shell)
    assert not [name for name in ("java", "mvn", "docker") if shutil.which(name, path=str(commands))]
    others = {name: value for name, value in os.environ.items() if name != "JAVA_HOME"}
    return {**others, "PATH": str(commands), "XDG_CACHE_HOME": str(tmp_path / "cache")}


async def test_a_broker_starts_takes_and_gives_a_record_and_stops(environment: dict[str, str], tmp_path: Path) -> None:
    home = ROOT / os.environ["BROKER"]

    def broker(command: str) -> dict[str, Any]:
        words = ["-P", "-m", "driftline_server", "broker", command, "--json", "--state-dir", str(tmp_path / "state")]
        done = subprocess.run(
            [str(home / "python"), *words], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    up = broker("up")
    try:
        assert up["how"] == "jars"
        assert home.parent in Path(psutil.Process(broker("status")["pid"]).exe()).parents
        (jars,) = (tmp_path / "cache" / "driftline").glob("kafka-*[0-9]")
        assert is_whole(jars)
        servers = up["bootstrap_servers"]
        await ensure_topics(load_settings(bootstrap_servers=servers), (), [NamedTopic("one", 1)])
        async with AIOKafkaProducer(bootstrap_servers=servers, acks="all") as producer:
            await producer.send_and_wait("one", b"a record")
        async with AIOKafkaConsumer("one", bootstrap_servers=servers, auto_offset_reset="earliest") as consumer:
            assert (await consumer.getone()).value == b"a record"
    finally:
        assert broker("down")["stopped"]
